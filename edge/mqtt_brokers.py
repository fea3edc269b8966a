"""Which broker to try next, in which version of MQTT, and after which pause. Pure policy, no network.

One of several brokers is used at a time: the first that answers. Pauses have full jitter: uniform between zero and a
bound that doubles (Brooker, "Exponential Backoff And Jitter", 2015), so that many devices do not return at the same
moment.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from edge.address import Address

FIRST_PAUSE = 0.5  # seconds
LARGEST_PAUSE = 60.0  # seconds between attempts at most
_STEADY_SECONDS = 10.0  # a connection that lasted this long was a success
_SILENT_REFUSALS = 3  # no answer this often in a row: perhaps it is the version, try the other one


@dataclass(slots=True)
class Attempt:
    """One attempt to connect, and how it went. ``over``: we end it ourselves, ``useless``: since the broker does no
    work."""

    generation: int
    connected: bool = False  # TLS stands and CONNECT is on its way
    answered: bool = False
    wrong_version: bool = False
    over: bool = False
    useless: bool = False
    reason: str = ""


@dataclass(slots=True)
class Broker:
    """What is known of one broker. ``known``: it has seen this client since our start, and may keep a session.

    A broker that says nothing at all may only be in trouble: the version taken because of its silence holds for one
    connection, since 3.1.1 cannot tell us of lost messages.
    """

    address: Address
    version: int = 5
    known: bool = False
    _refused: bool = False  # the latest answer was a refusal of the version
    _silent: int = 0  # attempts in a row without any answer
    _guessed: bool = False  # the version was changed because of silence, not of a refusal

    def learn(self, attempt: Attempt) -> bool:
        """Takes the other version if this one was refused. True when that is worth trying at once."""
        if attempt.wrong_version:
            self.version = _other(self.version)
            again, self._refused = self._refused, True
            return not again
        if attempt.answered:
            self._silent, self._refused = 0, False
            if self._guessed:
                self.version, self._guessed = 5, False
        elif attempt.connected:
            self._silent += 1
            if self._silent == _SILENT_REFUSALS:
                self.version, self._guessed, self._silent = _other(self.version), True, 0
        return False


class Brokers:
    """The brokers at ``addresses``, in order of preference."""

    def __init__(self, addresses: Sequence[Address], longest_pause: float = LARGEST_PAUSE) -> None:
        self.all = [Broker(address) for address in addresses]
        self._longest_pause = longest_pause
        self._place = 0
        self._bound = FIRST_PAUSE

    @property
    def current(self) -> Broker:
        return self.all[self._place]

    def after(self, attempt: Attempt, seconds: float) -> float:
        """The pause after an attempt that took ``seconds``; then ``current`` is the broker to try."""
        if self.current.learn(attempt):
            return 0.0
        if attempt.answered and seconds > _STEADY_SECONDS:
            self._bound = FIRST_PAUSE
        if attempt.answered and seconds > _STEADY_SECONDS and not attempt.useless:
            self._place = 0
        else:
            self._place = (self._place + 1) % len(self.all)
            if self._place:
                return 0.0  # the next one at once; a pause when all have had their turn
        pause = random.uniform(0.0, self._bound)
        self._bound = min(2 * self._bound, self._longest_pause)
        return pause


def _other(version: int) -> int:
    return 4 if version == 5 else 5
