"""Time that can be injected, and the test whether it can be trusted at all."""

from __future__ import annotations

import time
from typing import Protocol

# A clock that reads earlier than this software was written has not been set (2026-01-01, UTC).
EARLIEST = 1_767_225_600.0


class Clock(Protocol):
    """Where time comes from. ``wall``: seconds since the epoch, UTC. ``monotonic``: seconds, never jumps."""

    def wall(self) -> float: ...

    def monotonic(self) -> float: ...


class SystemClock:
    """The operating system's clocks."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


def trustworthy(wall: float) -> bool:
    """Whether ``wall`` can be the time now: false on a camera whose clock was never set."""
    return wall >= EARLIEST
