"""GPIO lines for tests: one in memory, and the kernel's own simulator where it is."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from edge.vision.gpio import GpioError


class Contact:
    """A wire whose level the test sets; None: it cannot be read."""

    def __init__(self, high: bool | None) -> None:
        self.high = high

    def read(self) -> bool:
        if self.high is None:
            raise GpioError("nobody is there")
        return self.high


def simulated(line: int) -> tuple[Path, Path]:
    """The chip of the kernel's simulator, and the folder in which it shows ``line``; the test is skipped without."""
    found = sorted(Path("/sys/devices/platform").glob(f"gpio-sim.*/gpiochip*/sim_gpio{line}"))
    if not found:
        warnings.warn("there is no gpio-sim here: GPIO lines are not tested", stacklevel=1)
        pytest.skip("needs the kernel's gpio-sim")
    return Path("/dev") / found[0].parent.name, found[0]
