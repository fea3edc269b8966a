"""How fast the uplink works and how long it waits. Values and pure arithmetic."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The knobs of delivery; ``docs/configuration.md`` says what each is good for.

    ``settle``: a report is kept until the broker has answered something that was sent this many seconds after it
    took the report. ``answer``: seconds until a broker that answers nothing is given up. ``drain``: reports a second
    at most, 0 for no limit. ``commit``: seconds for which arriving reports wait to share one commit.
    ``keep_unheard``: whether reports that nobody subscribes to wait for a subscriber.
    """

    settle: float = 10.0
    answer: float = 30.0
    drain: float = 50.0
    commit: float = 0.25
    keep_unheard: bool = True


class Bucket:
    """A token bucket: ``rate`` reports a second, at most two seconds' worth at once; a rate of 0 sets no limit."""

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, 2 * rate)
        self._tokens = self._most
        self._filled = now

    def room(self, now: float) -> int:
        """How many reports may go now."""
        self._tokens = min(self._most, self._tokens + max(0.0, now - self._filled) * self._rate)
        self._filled = now
        return int(self._tokens) if self._rate else 1 << 30

    def take(self, count: int) -> None:
        """``count`` reports went."""
        self._tokens -= count
