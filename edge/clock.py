"""Time that can be injected, and the judgement whether it can be trusted at all.

Grants are limits in time, so setting the clock is an attack. Time counts as trustworthy when it is not earlier
than the newest time this camera has ever seen, which is kept across starts; before the first such time is on
record, the operating system must say that its clock is synchronised.
"""

from __future__ import annotations

import ctypes
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge import durable
from edge.errors import VidikError
from edge.journal import Journal

# A clock that reads earlier than this software was written has not been set (2026-01-01, UTC).
EARLIEST = 1_767_225_600.0
SLACK = 5.0  # seconds that an ordinary correction may set the clock back
JUMP = 2.0  # seconds by which wall and monotonic clock may part between two looks
RETRY = 1.0  # seconds until a write that failed is tried again
SAVE_EVERY = 600.0  # seconds between two writes of the newest time, to spare the medium
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
# there once systemd-timesyncd has the time; a sandbox without the clock (ProtectClock=) keeps adjtimex(2) from us
_SAID = Path("/run/systemd/timesync/synchronized")
_TIMEX_BYTES = 512  # more than struct timex has on any platform

_log = logging.getLogger(__name__)


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


def synchronised(said: Path = _SAID) -> bool:
    """Whether the system clock is disciplined by a time source: so says the kernel (``adjtimex``), or, where a sandbox
    forbids asking it, systemd-timesyncd."""
    state = int(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    return state < _TIME_ERROR if state >= 0 else said.exists()


def record(path: Path, wall: float) -> None:
    """Notes ``wall`` as the newest time seen; done once at provisioning. Raises ``VidikError``."""
    try:
        durable.write(path, str(int(wall)).encode())
    except OSError as error:
        raise VidikError(f"The newest time cannot be kept in {path}: {error}. Check the data partition.") from error


class Timekeeper:
    """Judges ``clock`` and remembers the newest time in the file ``path``.

    Only the system's clock counts here, never the time stamps of footage. What changes is logged and goes to
    ``journal``. ``kept`` says whether the newest time could be written down when that was last tried: if not, the
    clock could be set back later. Raises ``VidikError`` when the file cannot be read.
    """

    def __init__(
        self, clock: Clock, path: Path, journal: Journal, is_synchronised: Callable[[], bool] = synchronised
    ) -> None:
        self.offset = 0.0
        self.trusted = False
        self.kept = True
        self._clock, self._path, self._journal, self._synchronised = clock, path, journal, is_synchronised
        self._newest = _newest(path)
        self._save_at = float("-inf")
        self._parted = clock.wall() - clock.monotonic()
        self._reason: str | None = None
        self.tick()

    def tick(self) -> bool:
        """Looks at the clock; returns whether it can be trusted now. Call at every frame.

        ``offset`` is by how many seconds the clock was set since this object was made: a time that was
        extrapolated from the start must be corrected by it.
        """
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        offset = wall - monotonic - self._parted
        if abs(offset - self.offset) > JUMP:
            self._say("jump", milliseconds=round(1000 * (offset - self.offset)))
        self.offset = offset
        reason = self._doubt(wall)
        self.trusted = not reason
        if reason != self._reason:
            self._reason = reason
            self._say("locked" if reason else "trusted", **({"reason": reason} if reason else {}))
        if self.trusted:
            self._newest = max(wall, self._newest or 0.0)
            if monotonic >= self._save_at:
                self._save(monotonic)
        return self.trusted

    def close(self) -> None:
        """Writes down the newest time. Call before the process ends."""
        if self.trusted:
            self._save(self._clock.monotonic())

    def _doubt(self, wall: float) -> str:
        if self._newest is None and not self._synchronised():
            return "never synchronised"
        if wall < max(EARLIEST, (self._newest or 0.0) - SLACK):
            return "earlier than the newest time seen"
        return ""

    def _say(self, state: str, **facts: str | int) -> None:
        _log.warning("clock %s %s", state, " ".join(f"{name}={value}" for name, value in facts.items()))
        self._journal.append("clock", state=state, **facts)

    def _save(self, monotonic: float) -> None:
        assert self._newest is not None  # saved only while trusted
        try:
            record(self._path, self._newest)
        except VidikError as error:
            self._save_at = monotonic + RETRY
            if self.kept:
                _log.error("clock-not-kept: nothing is reported until it is. %s", error)
            self.kept = False
            return
        self._save_at = monotonic + SAVE_EVERY
        self.kept = True


def _newest(path: Path) -> float | None:
    try:
        return float(int(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise VidikError(f"The newest time in {path} cannot be read: {error}. Provision the camera again.") from error
