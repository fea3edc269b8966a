"""Lines of GPIO chips, through the kernel's character device. The only module that imports ``gpiod``.

The older files below ``/sys/class/gpio`` are not used: root would have to export every line first, at every start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge.behaviour import Pull
from edge.errors import VidikError


class GpioError(VidikError):
    """A GPIO line cannot be used."""


class Line:
    """The line ``line`` of the GPIO chip ``chip``, such as ``/dev/gpiochip0``. It is asked for at its first use, which
    decides whether it is an input or an output, and again after an error."""

    def __init__(self, chip: Path, line: int, *, active_low: bool = False, pull: Pull = "") -> None:
        self._chip, self._line, self._active_low, self._pull = chip, line, active_low, pull
        self._request: Any = None

    def read(self) -> bool:
        """Whether the line is active. Raises ``GpioError``."""
        with self._as("read") as gpiod:
            if self._request is None:
                self._ask_for(gpiod, direction=gpiod.line.Direction.INPUT)
            return bool(self._request.get_value(self._line).value)

    def write(self, active: bool) -> None:
        """Raises ``GpioError``."""
        with self._as("switched") as gpiod:
            value = gpiod.line.Value(int(active))
            if self._request is None:
                self._ask_for(gpiod, direction=gpiod.line.Direction.OUTPUT, output_value=value)
            else:
                self._request.set_value(self._line, value)

    def close(self) -> None:
        """Lets go of the line; what it does then is up to its chip."""
        request, self._request = self._request, None
        if request is not None:
            request.release()

    def _ask_for(self, gpiod: Any, **wanted: Any) -> None:
        bias = gpiod.line.Bias
        pull = {"": bias.AS_IS, "up": bias.PULL_UP, "down": bias.PULL_DOWN}[self._pull]
        settings = gpiod.LineSettings(active_low=self._active_low, bias=pull, **wanted)
        self._request = gpiod.request_lines(str(self._chip), consumer="vidik", config={self._line: settings})

    @contextmanager
    def _as(self, done: str) -> Iterator[Any]:
        try:
            import gpiod  # noqa: PLC0415 - there only where it is wanted

            yield gpiod
        except ImportError as error:
            raise GpioError(f"GPIO lines need the package gpiod: pip install 'vidik[gpio]' ({error}).") from error
        except (OSError, ValueError) as error:
            self.close()
            raise GpioError(
                f"Line {self._line} of {self._chip} cannot be {done}: {error}. Is it there, free, and ours?"
            ) from error
