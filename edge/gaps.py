"""Gap announcements: what a camera says about reports it no longer has, and a subscriber's account of them.

Every report carries its ``boot`` (which start of the camera) and ``seq`` (which report since then, from 1) inside its
seal, and the uplink learns the same two numbers at the hand-over, so both ends count the same thing without the uplink
reading a report. ``docs/gap.cddl`` gives the form of an announcement, ``docs/delivery.md`` the whole scheme.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta

from edge.errors import VidikError

CHANNEL = "gap"
_LARGEST = 4096  # bytes of an announcement
_BOOTS = 256  # starts of the camera that an account remembers
_STRETCHES = 1024  # holes in one start that it remembers
_GAPS = 1024  # announcements that an account remembers

Reason = Literal["full", "expired", "corrupt", "conflict", "skipped", "unheard", "reset"]
REASONS: tuple[Reason, ...] = get_args(Reason)
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class GapError(VidikError):
    """A message on the gap channel that is no announcement."""


class Place(NamedTuple):
    """Which report: ``seq`` counts from 1 at each ``boot``. Places sort in the order in which reports were made."""

    boot: Number
    seq: Number


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """``count`` reports of ``camera`` from ``first`` to ``last`` (both included) will not come, because of ``reason``.

    ``count`` is None when the camera cannot know how many, ``first`` is None when they may reach back to the
    beginning, ``last`` when they may be any that were made before the announcement. Other reports of the same stretch
    may well have been delivered. An announcement that comes again under its ``id`` replaces the earlier one.
    ``time``: seconds since the epoch, of the latest loss it counts.
    """

    camera: Annotated[str, Meta(min_length=1, max_length=32)]
    id: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
    reason: Reason
    count: Annotated[int, Meta(ge=1)] | None
    first: Place | None
    last: Place | None
    time: int

    def covers(self, place: Place) -> bool:
        return (self.first is None or self.first <= place) and (self.last is None or place <= self.last)

    def __str__(self) -> str:
        many = "an unknown number of reports" if self.count is None else f"{self.count} report(s)"
        begin = "the beginning" if self.first is None else f"{self.first.boot}/{self.first.seq}"
        end = "now" if self.last is None else f"{self.last.boot}/{self.last.seq}"
        return f"{many} lost ({self.reason}), from {begin} to {end}"


def encode(gap: Gap) -> bytes:
    """The announcement as JSON."""
    return msgspec.json.encode(gap)


def decode(untrusted: bytes, camera: str) -> Gap:
    """The announcement in ``untrusted``, which came under the name of ``camera``. Raises ``GapError``."""
    try:
        gap = msgspec.json.decode(untrusted if len(untrusted) <= _LARGEST else b"", type=Gap)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise GapError(f"Not a gap announcement: {error}. Check what the camera runs.") from error
    backwards = gap.first is not None and gap.last is not None and gap.first > gap.last
    if gap.camera != camera or backwards:
        raise GapError(f"A gap announcement of {gap.camera!r} under the name of {camera} makes no sense.")
    return gap


class Stretch(NamedTuple):
    """The reports ``first`` to ``last`` (both included) of one start of the camera."""

    boot: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


class Account:
    """What has come from one camera and what has not.

    For a subscriber that can open all of its reports ``missing`` is exact. One that holds some recipients' keys only
    sees no numbers of the others' reports, just that they come: ``lost`` allows for as many.

    Numbers are expected from the first report on that is seen; a start of the camera that begins under the
    subscriber's eyes is expected from its number 1. Memory is bounded: beyond some thousand holes the oldest are
    forgotten. No network, no clock.
    """

    def __init__(self) -> None:
        self._came: dict[int, list[list[int]]] = {}  # boot -> stretches [first, last], in order, that do not touch
        self._until: dict[int, int] = {}  # boot -> highest number known to exist
        self._from: dict[int, int] = {}  # boot -> lowest number expected
        self._gaps: OrderedDict[str, Gap] = OrderedDict()
        self._others = 0  # reports for somebody else that came since numbers are expected

    def came(self, place: tuple[int, int]) -> bool:
        """Notes a report; False when it was here before."""
        boot, seq = place
        stretches = self._came.setdefault(boot, [])
        self._expect(boot, seq, seen=True)
        at = len(stretches)
        while at and stretches[at - 1][0] > seq:
            at -= 1
        if at and seq <= stretches[at - 1][1]:
            return False
        if at and stretches[at - 1][1] == seq - 1:
            stretches[at - 1][1] = seq
            at -= 1
        else:
            stretches.insert(at, [seq, seq])
        if at + 1 < len(stretches) and stretches[at + 1][0] == stretches[at][1] + 1:
            stretches[at][1] = stretches.pop(at + 1)[1]
        if len(stretches) > _STRETCHES:
            del stretches[0]
            self._from[boot] = stretches[0][0]
        return True

    def came_for_another(self) -> None:
        """Notes a genuine report that is sealed to somebody else; once for each."""
        self._others += bool(self._until)

    @property
    def lost(self) -> int:
        """How many reports at least are neither here, nor announced, nor reports for somebody else that came."""
        return max(0, sum(map(len, self.missing())) - self._others)

    def stated(self, place: tuple[int, int]) -> None:
        """Notes that the camera has said that the report ``place`` exists: the ``accepted`` of its status."""
        self._expect(*place, seen=False)

    def announced(self, gap: Gap) -> None:
        """Notes an announcement."""
        if gap.last is None and self._until:
            gap = msgspec.structs.replace(gap, last=Place(*max(self._until.items())))
        if gap.last is not None:
            self._gaps[gap.id] = gap
            self._expect(*gap.last, seen=False)
        if len(self._gaps) > _GAPS:
            self._gaps.popitem(last=False)

    def missing(self) -> list[Stretch]:
        """What is neither here nor announced, oldest first: still under way, or lost without a word.

        An announcement that counts fewer than what is missing from its stretch explains nothing for certain, so
        that whole stretch stays in the list until the rest has come.
        """
        holes = list(self._holes())
        for gap in self._gaps.values():
            inside = sum(len(part) for hole in holes if (part := _within(hole, gap)))
            if gap.count is None or inside <= gap.count:
                holes = [rest for hole in holes for rest in _without(hole, gap)]
        return holes

    def _expect(self, boot: int, seq: int, seen: bool) -> None:
        if boot not in self._until:
            began_here = bool(self._until) and boot > max(self._until)
            self._from[boot] = 1 if began_here else seq if seen else seq + 1
        elif seen and self._from[boot] > seq:
            self._from[boot] = seq
        self._until[boot] = max(self._until.get(boot, 0), seq)
        if len(self._until) > _BOOTS:
            oldest = min(self._until)
            del self._until[oldest], self._from[oldest]
            self._came.pop(oldest, None)

    def _holes(self) -> Iterator[Stretch]:
        for boot in sorted(self._until):
            position = self._from[boot]
            for first, last in self._came.get(boot, []):
                if first > position:
                    yield Stretch(boot, position, first - 1)
                position = max(position, last + 1)
            if position <= self._until[boot]:
                yield Stretch(boot, position, self._until[boot])


def _within(hole: Stretch, gap: Gap) -> Stretch | None:
    """The part of ``hole`` that ``gap`` covers."""
    first, last = hole.first, hole.last
    if gap.last is None:
        return None
    if gap.first is not None and gap.first.boot == hole.boot:
        first = max(first, gap.first.seq)
    if gap.last.boot == hole.boot:
        last = min(last, gap.last.seq)
    after = gap.first is None or gap.first.boot <= hole.boot
    return Stretch(hole.boot, first, last) if after and hole.boot <= gap.last.boot and first <= last else None


def _without(hole: Stretch, gap: Gap) -> Iterator[Stretch]:
    """What is left of ``hole`` outside of ``gap``."""
    part = _within(hole, gap)
    if part is None:
        yield hole
        return
    if hole.first < part.first:
        yield Stretch(hole.boot, hole.first, part.first - 1)
    if part.last < hole.last:
        yield Stretch(hole.boot, part.last + 1, hole.last)
