"""What the spool knows of its content without reading it. Pure; the spool keeps it on the medium."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edge.gaps import Reason
from edge.handover import Key
from edge.uplink.losses import Losses
from edge.uplink.salvage import Salvage

_ROW_OVERHEAD = 56  # bytes of keys, lengths and page slack that a report costs besides its content
_STARTS = 8  # of the camera, whose highest numbers are kept


@dataclass
class Books:
    """``accepted``: the highest number of each start. ``unknown_before``: all before the next report may be lost."""

    reports: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    losses: Losses = field(default_factory=Losses)
    accepted: dict[int, int] = field(default_factory=dict)
    unknown_before: bool = False

    @classmethod
    def of(cls, reports: int, size: int, dropped: Mapping[str, int], losses: Losses, accepted: dict[int, int]) -> Books:
        """The books of ``reports`` reports with ``size`` bytes of content."""
        return cls(reports, size + reports * _ROW_OVERHEAD, Counter(dropped), losses, accepted)

    def copy(self) -> Books:
        return replace(self, dropped=self.dropped.copy(), losses=self.losses.copy(), accepted=dict(self.accepted))

    def added(self, size: int) -> None:
        """A report with ``size`` bytes of content was stored."""
        self.reports += 1
        self.bytes += size + _ROW_OVERHEAD

    def deleted(self, which: Sequence[tuple[Key, int]]) -> list[Key]:
        """Reports were deleted, with so many bytes of content; returns which."""
        self.reports -= len(which)
        self.bytes -= sum(size + _ROW_OVERHEAD for _, size in which)
        return [key for key, _ in which]

    def lose(self, reason: Reason, count: int | None, first: Key | None, last: Key, now: float) -> None:
        """Reports were lost; one loss of unknown extent counts as one report."""
        self.dropped[reason] += count or 1
        self.losses.add(reason, count, first, last, now)

    def arrived(self, key: Key, now: float) -> None:
        """A report came from vision, which hands over in order: the numbers it left out never will come."""
        highest = max(self.accepted.items(), default=None)
        if highest is None or self.unknown_before:
            if key > (1, 1):  # not the first report that this camera has ever made
                reason: Reason = "corrupt" if self.unknown_before else "reset"
                self.lose(reason, None, None, Key(key.boot, max(0, key.seq - 1)), now)
            self.unknown_before = False
        elif key > highest:
            expected = highest[1] + 1 if highest[0] == key.boot else 1
            if key.seq > expected:
                self.lose("skipped", key.seq - expected, Key(key.boot, expected), Key(key.boot, key.seq - 1), now)
        self._accept(*key)

    def salvaged(self, salvage: Salvage, now: float) -> None:
        """Takes over what is known of a damaged file, and notes what could not be read of it as lost."""
        for boot, seq in (*salvage.accepted(), *salvage.found.items()):
            self._accept(boot, seq)
        for reason, count in salvage.dropped():
            self.dropped[reason] += count
        for loss in salvage.losses():
            self.losses.add(loss.reason, loss.count, loss.first, loss.last, loss.time)
        for key in salvage.rotten:
            self.lose("corrupt", 1, key, key, now)
        if salvage.unread is None:
            return
        low, high = salvage.unread
        first = None if low is None else Key(low.boot, low.seq + 1)
        if high is not None:
            self.lose("corrupt", None, first, Key(high.boot, max(0, high.seq - 1)), now)
            return
        if self.accepted:
            last = Key(*max(self.accepted.items()))
            self.lose("corrupt", None, None if first is None else min(first, last), last, now)
        self.unknown_before = True  # how far it went is clear when the next one comes

    def _accept(self, boot: int, seq: int) -> None:
        self.accepted[boot] = max(self.accepted.get(boot, 0), seq)
        for oldest in sorted(self.accepted)[:-_STARTS]:
            del self.accepted[oldest]
