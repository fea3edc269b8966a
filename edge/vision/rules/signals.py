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
from collections.abc import Mapping
from pathlib import Path

from edge.behaviour import Signal

_LINE = re.compile(rb"(open|closed) (\d{1,11}(?:\.\d{1,6})?)\n?")
_LARGEST = 64  # bytes
_AHEAD = 1.0  # seconds a stamp may lie in the future
_KEPT = 60.0  # seconds of history


class Signals:
    """The signals by name, looked at once a frame, and their recent past. Times are those of frames."""

    def __init__(self, signals: Mapping[str, Signal]) -> None:
        self._signals = dict(signals)
        self._past: dict[str, deque[tuple[float, bool | None]]] = {name: deque() for name in signals}

    def sample(self, now: float, wall: float) -> None:
        """Looks at every signal at the frame time ``now``."""
        for name, past in self._past.items():
            state = read(self._signals[name], wall)
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


def read(signal: Signal, wall: float) -> bool | None:
    """Whether ``signal`` is closed at ``wall`` (seconds since the epoch); None when that is not known."""
    if signal.gpio is not None:
        level = _content(signal.gpio).strip()
        return level == str(signal.closed).encode() if level in {b"0", b"1"} else None
    assert signal.file is not None  # the configuration names one of the two
    found = _LINE.fullmatch(_content(signal.file))
    if found is None or not -_AHEAD <= wall - float(found[2]) <= signal.fresh_seconds:
        return None
    return found[1] == b"closed"


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
