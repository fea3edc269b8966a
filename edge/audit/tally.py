"""The work in numbers: what was seen, reported and discarded, as one audit entry an hour.

An hour, and a day for the public card, because a finer count would tell when somebody came by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from edge.audit.chain import Entry
from edge.clock import Clock
from edge.journal import Journal

HOUR = 3600.0
DAY = 86_400
_KINDS = ("seen", "reported", "discarded", "lost")


class Tally:
    """Counts for one camera and writes the hourly entry. Not for use by several threads."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal, self._clock = journal, clock
        self._began = clock.monotonic()
        self._counts: dict[str, Counter[str]] = {kind: Counter() for kind in _KINDS}

    def seen(self, what: str, count: int = 1) -> None:
        """``what``: plate or face."""
        self._counts["seen"][what] += count

    def reported(self, what: str, count: int = 1) -> None:
        """``what``: plate or face."""
        self._counts["reported"][what] += count

    def discarded(self, reason: str, count: int = 1) -> None:
        """``reason``: one of the gate's."""
        self._counts["discarded"][reason] += count

    def lost(self, reason: str, count: int = 1) -> None:
        """Reports that were made but never handed over, or deleted unread."""
        self._counts["lost"][reason] += count

    def tick(self) -> bool:
        """Writes the entry when the hour is over; says whether it did. Call often: it costs nothing."""
        if self._clock.monotonic() - self._began < HOUR:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Writes the entry now: at the end of the hour, and before the camera stops."""
        now = self._clock.monotonic()
        facts = {kind: {name: n for name, n in counts.items() if n} for kind, counts in self._counts.items()}
        self._journal.append("hour", seconds=round(now - self._began), **facts)
        self._began = now
        for counts in self._counts.values():
            counts.clear()


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts over a time, seconds since the epoch, from the hourly entries written in it."""

    begin: int
    end: int
    seen: dict[str, int] = field(default_factory=dict)
    reported: dict[str, int] = field(default_factory=dict)
    discarded: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)


def last_day(entries: Iterable[Entry], now: float) -> Sums:
    """The sums of the last whole day (UTC) before ``now``, seconds since the epoch."""
    end = int(now) // DAY * DAY
    sums: dict[str, Counter[str]] = {kind: Counter() for kind in _KINDS}
    for entry in entries:
        if entry.event == "hour" and end - DAY <= entry.time / 1000 < end:
            for kind, total in sums.items():
                counts = entry.facts.get(kind)
                total.update(counts if isinstance(counts, dict) else {})
    return Sums(end - DAY, end, *(dict(sorted(sums[kind].items())) for kind in _KINDS))
