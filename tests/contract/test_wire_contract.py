"""What a wire with a signal is, for the one in memory that tests use and for a GPIO line of the kernel's simulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.vision.gpio import GpioError, Line
from edge.vision.rules.signals import Wire
from tests.wires import Contact, simulated

Made = tuple[Wire, Callable[[bool], object]]  # and what sets its level from outside


def memory() -> Made:
    contact = Contact(False)
    return contact, lambda high: setattr(contact, "high", high)


def gpio() -> Made:
    chip, shown = simulated(1)
    return Line(chip, 1), lambda high: (shown / "pull").write_text("pull-up" if high else "pull-down")


@pytest.mark.parametrize("make", [memory, gpio])
def test_a_wire_follows_its_level(make: Callable[[], Made]) -> None:
    wire, put = make()
    for high in (False, True, True, False, True):
        put(high)
        assert wire.read() is high


@pytest.mark.parametrize("chip", ["/nowhere/gpiochip0", "/dev/null"])
@pytest.mark.parametrize("wire", [lambda chip: Line(chip, 4), lambda chip: Line(chip, 4, pull="up", active_low=True)])
def test_what_is_no_line_is_named(wire: Callable[[Path], Line], chip: str) -> None:
    line = wire(Path(chip))
    for _ in range(2):
        with pytest.raises(GpioError, match=f"Line 4 of {chip} cannot be read"):
            line.read()
    with pytest.raises(GpioError, match="cannot be switched"):
        line.write(True)
    line.close()


def test_a_wire_that_cannot_be_read_says_so() -> None:
    with pytest.raises(GpioError):
        Contact(None).read()
