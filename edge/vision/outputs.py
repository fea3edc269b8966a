"""What a camera switches besides itself: an infrared lamp, a filter that moves. LEDs of the kernel, and GPIO lines."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge import config
from edge.errors import VidikError
from edge.vision.gpio import GpioError, Line

_OFF, _TRIGGER, _BRIGHTNESS, _MOST = "0", "trigger", "brightness", "max_brightness"


class OutputError(VidikError):
    """An output cannot be switched."""


class Output(Protocol):
    """One thing that is on or off."""

    def switch(self, on: bool) -> None:
        """Raises ``OutputError``."""

    def close(self) -> None:
        """Lets go of it. An LED stays as it is; what a GPIO line does then is up to its chip."""


class Led:
    """A LED as the kernel shows it, a folder such as ``/sys/class/leds/ir``; what else would switch it is taken off."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def switch(self, on: bool) -> None:
        try:
            if (self._folder / _TRIGGER).exists():
                (self._folder / _TRIGGER).write_text("none", encoding="ascii")
            value = (self._folder / _MOST).read_text(encoding="ascii").strip() if on else _OFF
            (self._folder / _BRIGHTNESS).write_text(value, encoding="ascii")
        except OSError as error:
            raise OutputError(f"{self._folder} cannot be switched: {error.strerror}. Is it there, and ours?") from error

    def close(self) -> None:
        """Nothing is held."""


class Gpio:
    """A line of a GPIO chip; held from the first switching on."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def switch(self, on: bool) -> None:
        try:
            self._line.write(on)
        except GpioError as error:
            raise OutputError(str(error)) from error

    def close(self) -> None:
        self._line.close()


class Pulsed:
    """Another output that is on for ``seconds`` only, as filters need it that stay where they were moved to: a longer
    current would burn them. It is waited for, so that nothing that fails later leaves it on."""

    def __init__(self, output: Output, seconds: float, sleep: Callable[[float], None] = time.sleep) -> None:
        self._output, self._seconds, self._sleep = output, seconds, sleep

    def switch(self, on: bool) -> None:
        try:
            if on:
                self._output.switch(True)
                self._sleep(self._seconds)
        finally:
            self._output.switch(False)

    def close(self) -> None:
        self._output.close()


def make(settings: config.Output) -> Output:
    """The output that ``settings`` describe."""
    made: Output
    if settings.led is not None:
        made = Led(settings.led)
    else:
        assert settings.chip is not None  # or the configuration would not have been taken
        assert settings.line is not None
        made = Gpio(Line(settings.chip, settings.line, active_low=settings.active_low))
    return Pulsed(made, settings.pulse_ms / 1000) if settings.pulse_ms else made
