"""Who may come in, how often one may try, and when it is over. Time and chance are given; no I/O.

One session at a time. The right code begins one; while a session lives, the same code begins no other, so that a code
somebody watched being typed is worth nothing. A session that was silent for two minutes is lost (a phone without
power), and then the code begins a new one and ends the old. Five wrong codes close the door for a minute, the next five
for two, then four; twenty close it until setup mode is entered anew.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

LASTS = 15 * 60.0  # seconds of setup mode
SILENT = 120.0  # seconds without a request after which a session counts as lost
TRIES = 5  # wrong codes until the door is closed for a while
MOST_TRIES = 20  # until it stays closed
_FIRST_WAIT = 60.0  # seconds


class Refusal(StrEnum):
    """Why somebody does not come in."""

    WRONG = "wrong"
    LOCKED = "locked"  # for a while
    CLOSED = "closed"  # for the rest of setup mode
    BUSY = "busy"  # the code was right, but another session lives


class Outcome(NamedTuple):
    """``token``: the new session's, "" when refused. ``wait``: seconds until the next try can succeed. ``closes``: the
    door was closed by this try, which is worth a note; the tries after it are not."""

    token: str
    refusal: Refusal | None = None
    wait: float = 0.0
    closes: bool = False


@dataclass(slots=True)
class _Session:
    digest: bytes
    used: float


class Door:
    """``is_right`` checks a code. ``clock``: monotonic seconds. Not for use by several threads."""

    def __init__(self, is_right: Callable[[str], bool], clock: Callable[[], float]) -> None:
        self._is_right, self._clock = is_right, clock
        self._ends = clock() + LASTS
        self._secret = secrets.token_bytes(32)
        self._session: _Session | None = None
        self._locked_until = float("-inf")
        self.wrong = 0

    @property
    def left(self) -> float:
        """Seconds of setup mode that are left, 0 when it is over."""
        return max(0.0, self._ends - self._clock())

    def shut(self) -> None:
        """Ends setup mode, and whatever session there is."""
        self._ends, self._session = float("-inf"), None

    def enter(self, code: str) -> Outcome:
        """What becomes of somebody who gives ``code``."""
        now = self._clock()
        if self.wrong >= MOST_TRIES or not self.left:
            return Outcome("", Refusal.CLOSED, self.left)
        if now < self._locked_until:
            return Outcome("", Refusal.LOCKED, self._locked_until - now)  # the code is not even looked at
        if not self._is_right(code):
            return self._count(now)
        if self._session is not None and now - self._session.used <= SILENT:
            return Outcome("", Refusal.BUSY, self._session.used + SILENT - now)
        token = secrets.token_urlsafe(32)
        self._session = _Session(_digest(token), now)
        self.wrong = 0
        return Outcome(token)

    def admits(self, token: str) -> bool:
        """Whether ``token`` is that of the living session, which goes on living by being asked for."""
        if self._session is None or not self.left or not hmac.compare_digest(_digest(token), self._session.digest):
            return False
        self._session.used = self._clock()
        return True

    def proof(self, token: str) -> str:
        """What a page of the visitor ``token`` sends along with a change, and another site cannot know."""
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()

    def proves(self, token: str, proof: str) -> bool:
        """Whether ``proof`` belongs to the visitor ``token``."""
        return bool(token) and hmac.compare_digest(self.proof(token).encode(), proof.encode("utf-8", "replace"))

    def _count(self, now: float) -> Outcome:
        self.wrong += 1
        if self.wrong >= MOST_TRIES:
            return Outcome("", Refusal.CLOSED, self.left, closes=True)
        if self.wrong % TRIES == 0:
            wait = _FIRST_WAIT * 2.0 ** (self.wrong // TRIES - 1)
            self._locked_until = now + wait
            return Outcome("", Refusal.LOCKED, wait, closes=True)
        return Outcome("", Refusal.WRONG)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()
