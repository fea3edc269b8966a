"""What the spool knows of its content without reading it. Pure; the spool keeps it on the medium."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from edge.gaps import Reason
from edge.handover import Key
from edge.uplink.losses import Loss, Losses
from edge.uplink.salvage import Salvage

_OVERHEAD = 72  # bytes of keys, lengths, index and page slack that a report costs besides its content
_INLINE, _HEAD, _PAGE = 960, 489, 4096  # what is longer keeps a head of this size, the rest gets pages of its own
_STARTS = 8  # of the camera, whose highest numbers are kept


@dataclass
class Books:
    """``size``: bytes on the medium. ``accepted``: the highest number of each start.

    ``unknown_before``: all before the next report may be lost. ``removed``: what this commit has deleted.
    """

    reports: int = 0
    size: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    losses: Losses = field(default_factory=Losses)
    accepted: dict[int, int] = field(default_factory=dict)
    unknown_before: bool = False
    removed: list[Key] = field(default_factory=list)

    @classmethod
    def read(cls, sizes: Mapping[int, int], accounts: bytes | None, accepted: bytes | None) -> Books:
        """The books of reports of these ``sizes`` (bytes of content, and how many have as many), with what the other
        two methods have written."""
        books = cls(sum(sizes.values()), sum(count * cost(size) for size, count in sizes.items()))
        if accounts is not None:
            dropped, losses = msgspec.json.decode(accounts, type=tuple[dict[str, int], list[Loss]])
            books.dropped, books.losses = Counter(dropped), Losses({loss.reason: loss for loss in losses})
        if accepted is not None:
            books.accepted = msgspec.json.decode(accepted, type=dict[int, int])
        return books

    def write_accounts(self) -> bytes:
        """What was lost."""
        return msgspec.json.encode((self.dropped, self.losses.pending))

    def write_accepted(self) -> bytes:
        """The highest numbers."""
        return msgspec.json.encode(self.accepted)

    def copy(self) -> Books:
        dropped, losses, accepted = self.dropped.copy(), self.losses.copy(), dict(self.accepted)
        return replace(self, dropped=dropped, losses=losses, accepted=accepted, removed=[])

    @property
    def removed_last(self) -> bool:
        """Whether this commit has deleted a report with a highest number, so that only ``accepted`` tells of it."""
        return any(self.accepted.get(key.boot) == key.seq for key in self.removed)

    def added(self, size: int) -> None:
        """A report with ``size`` bytes of content was stored."""
        self.reports += 1
        self.size += cost(size)

    def deleted(self, which: Sequence[tuple[Key, int]]) -> list[Key]:
        """Reports were deleted, with so many bytes of content; returns which."""
        self.reports -= len(which)
        self.size -= sum(cost(size) for _, size in which)
        keys = [key for key, _ in which]
        self.removed += keys
        return keys

    def lose(self, reason: Reason, count: int | None, first: Key | None, last: Key | None, now: float) -> None:
        """Reports were lost; one loss of unknown extent counts as one report."""
        self.dropped[reason] += count or 1
        self.losses.add(reason, count, first, last, now)

    def lose_these(self, reason: Reason, keys: Sequence[Key], now: float) -> None:
        """These were lost. Test reports are missed by nobody but whoever waits for their confirmation."""
        reports = [key for key in keys if key.counts]
        if reports:
            self.lose(reason, len(reports), min(reports), max(reports), now)

    def arrived(self, key: Key, now: float) -> None:
        """A report came from vision, which hands over in order: the numbers it left out never will come."""
        if not key.counts:
            return
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
        self.accept({key.boot: key.seq})

    def salvaged(self, salvage: Salvage, now: float) -> None:
        """Takes over what is known of a damaged file, and notes what could not be read of it as lost.

        Only where everything fits together are the numbers believed: otherwise all up to the latest may be lost.
        """
        accounts, accepted = salvage.books()
        known = Books.read({}, accounts, accepted)
        self.dropped.update(known.dropped)
        for loss in known.losses.pending:
            self.losses.add(loss.reason, loss.count, loss.first, loss.last, loss.time)
        self.accept(known.accepted)
        self.accept(salvage.highest)
        for place in (*known.accepted.items(), *salvage.highest.items()):
            salvage.account.stated(place)
        holes = salvage.account.missing()
        count = sum(map(len, holes))
        if salvage.unread is None and count == len(salvage.rotten):
            if holes:
                first, last = Key(holes[0].boot, holes[0].first), Key(holes[-1].boot, holes[-1].last)
                self.lose("corrupt", count, first, last, now)
            return
        low, high = salvage.unread or (None, None)
        if low is not None and high is not None and not salvage.rotten:
            first, last = Key(low.boot, low.seq + 1), Key(high.boot, max(0, high.seq - 1))
            if all(first <= (hole.boot, hole.first) and (hole.boot, hole.last) <= last for hole in holes):
                self.lose("corrupt", None, first, last, now)
                return
        self.lose("corrupt", None, None, None, now)
        self.unknown_before = True  # how far it went is clear when the next one comes

    def accept(self, numbers: Mapping[int, int]) -> None:
        """Notes numbers of reports that were accepted, by start."""
        for boot, seq in numbers.items():
            if not Key(boot, seq).counts:
                continue
            self.accepted[boot] = max(self.accepted.get(boot, 0), seq)
        for oldest in sorted(self.accepted)[:-_STARTS]:
            del self.accepted[oldest]


def cost(size: int) -> int:
    """Bytes on the medium for ``size`` bytes of content, in SQLite's layout of a clustered table (file format, 1.6)."""
    if size <= _INLINE:
        return size + _OVERHEAD
    return _HEAD + _OVERHEAD + -(-(size - _HEAD) // (_PAGE - 4)) * _PAGE
