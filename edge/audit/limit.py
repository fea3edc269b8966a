"""So many entries an hour of what outsiders can provoke, and no more: a flood must not push the past out."""

from __future__ import annotations

from collections import Counter

HOUR = 3600.0
EACH_HOUR = 20  # entries of one event


class Limit:
    """Counts events by hours of monotonic time (seconds)."""

    def __init__(self) -> None:
        self._began = 0.0
        self._passed: Counter[str] = Counter()
        self._held: Counter[str] = Counter()

    def passes(self, event: str, now: float) -> bool:
        """Whether ``event`` may be written at ``now``; if not, it is counted."""
        if not self._passed:
            self._began = now
        within = self._passed[event] < EACH_HOUR
        (self._passed if within else self._held)[event] += 1
        return within

    def due(self, now: float) -> list[tuple[str, int]]:
        """What was held back in an hour that is over at ``now``: event and count."""
        return self.rest() if self._passed and now - self._began >= HOUR else []

    def rest(self) -> list[tuple[str, int]]:
        """What was held back up to now; counting starts anew."""
        held = sorted(self._held.items())
        self._passed.clear()
        self._held.clear()
        return held
