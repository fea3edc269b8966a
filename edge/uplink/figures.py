"""The uplink in numbers: for the status, for the service manager and for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from edge.handover import Key

_NOTED = 1024  # places that are remembered; at twice as many, every other is forgotten


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts are since the start of the process, except ``dropped``: reports lost since the spool was made, by reason.

    ``oldest`` is for how many seconds at least the oldest report has been waiting; ``trouble`` why the spool fails.
    """

    connected: bool = False
    spool: int = 0
    spool_bytes: int = 0
    oldest: float = 0.0
    accepted: int = 0
    published: int = 0
    refused: int = 0
    gaps: int = 0
    connections: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    trouble: str | None = None

    @property
    def words(self) -> str:
        """One line for people."""
        trouble = f"; spool: {self.trouble}" if self.trouble else ""
        waiting = "1 report waits" if self.spool == 1 else f"{self.spool} reports wait"
        return f"{'connected' if self.connected else 'not connected'}, {waiting}{trouble}"


class Ages:
    """Remembers when reports came, which come in the order of their keys; roughly, so that it stays small.

    ``known``: the highest key of reports from before. ``clock``: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float], known: Key | None) -> None:
        self._clock = clock
        self._keys = [] if known is None else [known]
        self._times = [clock()] * len(self._keys)

    def came(self, key: Key) -> None:
        """Reports up to ``key`` have come by now."""
        if self._keys and key <= self._keys[-1]:
            return
        self._keys.append(key)
        self._times.append(self._clock())
        if len(self._keys) >= 2 * _NOTED:
            self._keys, self._times = self._keys[1::2], self._times[1::2]

    def of(self, oldest: Key | None) -> float:
        """For how many seconds at least the ``oldest`` report has been waiting; 0 when there is none."""
        gone = len(self._keys) if oldest is None else bisect_left(self._keys, oldest)
        del self._keys[:gone], self._times[:gone]
        return self._clock() - self._times[0] if self._times else 0.0
