"""Sets the camera and what is switched beside it for day or night, once the policy has decided."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from edge import config
from edge.vision import outputs
from edge.vision.night import DayNight, Light, Mode, Readings, light
from edge.vision.outputs import Output, OutputError
from edge.vision.sources import FrameSource, LiveSource
from edge.vision.values import Frame

_EVERY = 1.0  # seconds between two looks at the light
_AGAIN = 10.0  # and between two attempts to switch what could not be switched

_log = logging.getLogger(__name__)


class Switch:
    """Day and night of one camera, whose ``lens`` holds by day. ``make`` makes outputs."""

    def __init__(
        self, settings: config.Night, lens: config.Camera, make: Callable[[config.Output], Output] = outputs.make
    ) -> None:
        self._settings, self._lens = settings, lens
        self._policy = DayNight(settings)
        self._outputs = [(each, make(each)) for each in settings.output]
        self._switched: dict[str, Mode] = {}  # what each output was last set for
        self._troubles: dict[str, str] = {}
        self._set: tuple[LiveSource, Mode] | None = None  # the source that was set, and for what
        self._light: Light | None = None
        self._next = self._try_at = self._adjust_at = float("-inf")

    @property
    def mode(self) -> Mode:
        return self._policy.mode

    def look(self, now: float, frame: Frame, source: FrameSource) -> None:
        """Sees whether it is day or night in ``frame``, and does what follows. ``now``: monotonic seconds."""
        if now < self._next:
            return
        self._next = now + _EVERY
        before = self._policy.mode
        readings = source.readings if isinstance(source, LiveSource) else Readings()
        self._light = light(frame.pixels, readings)
        mode = self._policy.judge(now, self._light)
        if mode is not before:
            _log.info("set for the %s: luminance %.2f, lux %s", mode.value, *self._light)
            self._try_at = now
        if isinstance(source, LiveSource) and self._set != (source, mode) and now >= self._adjust_at:
            if source.adjust(self._lens_for(mode)):
                self._set = source, mode
            else:
                self._adjust_at = now + _AGAIN
        if now >= self._try_at:
            self._try_at = now + _AGAIN
            self._switch(mode)

    def lens(self, lens: config.Camera) -> None:
        """Takes over a new ``lens`` for the day."""
        self._lens, self._set = lens, None

    def _lens_for(self, mode: Mode) -> config.Camera:
        if mode is Mode.DAY:
            return self._lens
        night = self._settings
        return msgspec.structs.replace(
            self._lens, exposure_us=night.exposure_us or self._lens.exposure_us, gain=night.gain or self._lens.gain,
            monochrome=night.monochrome or self._lens.monochrome,
        )  # fmt: skip

    def _switch(self, mode: Mode) -> None:
        for settings, output in self._outputs:
            if self._switched.get(settings.name) is mode:
                continue
            try:
                output.switch(settings.when == mode.value)
            except OutputError as error:
                self._troubles[settings.name] = f"the output {settings.name} fails: {error}"
            else:
                self._switched[settings.name] = mode
                self._troubles.pop(settings.name, None)

    def troubles(self) -> list[str]:
        """What a person should know."""
        return list(self._troubles.values())

    def facts(self) -> Mapping[str, Any]:
        """Whether it is set for the night, and by what light."""
        known = self._light
        lux = None if known is None or known.lux is None else round(known.lux, 1)
        return {
            "night": self.mode is Mode.NIGHT, "lux": lux,
            "luminance": None if known is None else round(known.luminance, 3),
        }  # fmt: skip

    def close(self) -> None:
        for _, output in self._outputs:
            output.close()
