"""Day or night: a pure policy that decides by the light there is, slowly enough not to be moved by headlights.

Where the camera states the light in lux, or exposure and gain by which it can be reckoned, that decides; otherwise how
bright the picture is. A camera that turns to the day by the light of its own lamp is dark again at once: every such
trial doubles the time until the next one.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np

from edge import config
from edge.vision.values import Pixels

_EVERY = 16  # pixels in both directions: of these one is looked at
_LUMA = (0.114, 0.587, 0.299)  # of blue, green and red (ITU-R BT.601)
_GAMMA = 2.2  # of the picture, nearly
# Lux for a picture of the luminance 1 (linear) at 1 microsecond and gain 1. From the reference of the Raspberry Pi's
# tuning files, which reckon so too (their "lux" algorithm): 980 lux give 12744/65535 at 27685 us and gain 1.
_LUX = 980 * 27_685 / (12_744 / 65_535)
_LONGEST_STAY = 3600.0  # seconds
_TRIAL = 5  # a day that ends within so many dwells was a trial that failed


class Mode(Enum):
    """What a camera is set for."""

    DAY = "day"
    NIGHT = "night"


class Readings(NamedTuple):
    """What a camera says of a picture: exposure in microseconds, analogue gain, and the light in lux; None where it
    does not."""

    exposure_us: float | None = None
    gain: float | None = None
    lux: float | None = None


class Light(NamedTuple):
    """``luminance``: of the picture's middle pixel, 0 to 1, as coded; ``lux``: stated or reckoned, None if unknown."""

    luminance: float
    lux: float | None


def light(pixels: Pixels, readings: Readings) -> Light:
    """What the picture and its ``readings`` say. The median counts: lamps and headlights are bright, and small."""
    sample = pixels[::_EVERY, ::_EVERY].astype(np.float32)
    luminance = float(np.median(sample @ np.array(_LUMA, np.float32))) / 255
    if readings.lux is not None:
        return Light(luminance, readings.lux)
    if not readings.exposure_us or not readings.gain:
        return Light(luminance, None)
    return Light(luminance, _LUX * luminance**_GAMMA / (readings.exposure_us * readings.gain))


class DayNight:
    """Decides the mode. At its start it is day."""

    def __init__(self, settings: config.Night) -> None:
        self.mode = Mode.DAY
        self._settings = settings
        self._since = float("-inf")  # when the mode was last changed
        self._stay = 0.0  # for how long it stays at least
        self._patience = settings.dwell_seconds  # how long a night stays
        self._turning: float | None = None  # since when the light has been asking for the other mode

    def judge(self, now: float, light: Light) -> Mode:
        """The mode from ``now`` (monotonic seconds) on. Call about once a second."""
        if self._asked(light) is not self._other:
            self._turning = None
        elif self._turning is None:
            self._turning = now
        if (
            self._turning is not None
            and now - self._turning >= self._settings.steady_seconds
            and now - self._since >= self._stay
        ):
            self._turn(now)
        return self.mode

    @property
    def _other(self) -> Mode:
        return Mode.NIGHT if self.mode is Mode.DAY else Mode.DAY

    def _asked(self, light: Light) -> Mode | None:
        measured, (dark, bright) = light.luminance, self._settings.luminance
        if light.lux is not None:
            measured, (dark, bright) = light.lux, self._settings.lux
        if measured < dark:
            return Mode.NIGHT
        return Mode.DAY if measured > bright else None

    def _turn(self, now: float) -> None:
        dwell = self._settings.dwell_seconds
        self.mode = self._other
        if self.mode is Mode.NIGHT:
            failed = now - self._since < _TRIAL * dwell
            self._patience = min(2 * self._patience, _LONGEST_STAY) if failed else dwell
            self._stay = max(self._patience, dwell)
        else:
            self._stay = dwell
        self._since, self._turning = now, None
