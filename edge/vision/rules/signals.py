"""Whether a zone is closed, from a wire or from a file that another process keeps up to date.

The file holds one line, ``closed 1795000000.250`` or ``open …``: the state and when it was known to hold, in seconds
since the epoch. Its writer is not trusted: anything else, or a state that is not fresh, means that nothing is known,
and then no rule trips.
"""

from __future__ import annotations

import os
import re
import stat
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from edge.behaviour import Signal
from edge.vision.gpio import GpioError, Line

_LINE = re.compile(rb"(open|closed) (\d{1,11}(?:\.\d{1,6})?)\n?")
_LARGEST = 64  # bytes
_AHEAD = 1.0  # seconds a stamp may lie in the future
_KEPT = 60.0  # seconds of history


class Wire(Protocol):
    """A line whose level says whether a zone is closed."""

    def read(self) -> bool:
        """Whether the level is high. Raises ``GpioError``."""


def _line(signal: Signal) -> Wire:
    assert signal.chip is not None  # the configuration names a file, or chip and line
    assert signal.line is not None
    return Line(signal.chip, signal.line, pull=signal.pull)


class Signals:
    """The signals by name, looked at once a frame, and their recent past. Times are those of frames. ``wire`` makes
    the wire of a signal that has one."""

    def __init__(self, signals: Mapping[str, Signal], wire: Callable[[Signal], Wire] = _line) -> None:
        self._signals = {
            name: FromFile(signal.file, signal.fresh_seconds) if signal.file else FromWire(wire(signal), signal.closed)
            for name, signal in signals.items()
        }
        self._past: dict[str, deque[tuple[float, bool | None]]] = {name: deque() for name in signals}

    def sample(self, now: float, wall: float) -> None:
        """Looks at every signal at the frame time ``now``, which was ``wall`` in seconds since the epoch."""
        for name, past in self._past.items():
            state = self._signals[name].closed(wall)
            if not past or past[-1][1] is not state:
                past.append((now, state))
            while len(past) > 1 and now - past[1][0] > _KEPT:
                past.popleft()

    def closed_for(self, name: str, time: float) -> float | None:
        """For how many seconds ``name`` had been known to be closed at ``time``; None when it was not."""
        for since, state in reversed(self._past[name]):
            if since <= time:
                return time - since if state else None
        return None

    def troubles(self) -> list[str]:
        """The signals of which nothing is known, and why: no rule trips by them."""
        return [
            f"nothing is known of the signal {name}: {self._signals[name].trouble}"
            for name, past in self._past.items()
            if past and past[-1][1] is None
        ]


class FromFile:
    """A signal in a file that another process keeps up to date."""

    def __init__(self, path: Path, fresh_seconds: float) -> None:
        self._path, self._fresh = path, fresh_seconds
        self.trouble = f"{path} is missing, older than {fresh_seconds:g} s, of the future, or no state with its time"

    def closed(self, wall: float) -> bool | None:
        """Whether it is closed at ``wall`` (seconds since the epoch); None when that is not known."""
        found = _LINE.fullmatch(_content(self._path))
        if found is None or not -_AHEAD <= wall - float(found[2]) <= self._fresh:
            return None
        return found[1] == b"closed"


class FromWire:
    """A signal on a wire, on which ``level`` (0 or 1) means closed."""

    def __init__(self, wire: Wire, level: int) -> None:
        self._wire, self._level = wire, level
        self.trouble = ""

    def closed(self, _: float) -> bool | None:
        """Whether it is closed now; None when the wire cannot be read."""
        try:
            return self._wire.read() == bool(self._level)
        except GpioError as error:
            self.trouble = str(error)
            return None


def _content(path: Path) -> bytes:
    """What a small plain file holds; nothing when it is anything else."""
    try:
        # neither a link to elsewhere nor a pipe that never ends
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        content = os.read(handle, _LARGEST + 1) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(handle)
    return content if len(content) <= _LARGEST else b""
