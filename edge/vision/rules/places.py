"""Where one object is with regard to lines and zones, decided with hysteresis so that jitter decides nothing.

An object counts as beyond a line, or in or out of a zone, once its centre has been a quarter of its size past the
edge in two successive sightings. What it did is dated to the moment at which its centre was on the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from edge import geometry
from edge.geometry import Point

_MARGIN = 0.25  # of the object's size
_SIGHTINGS = 2
_STILL = 0.5  # sizes within which an object stands


class Sighting(NamedTuple):
    """The middle of an object in a frame, in pixels; ``size`` is the longer side of its box.

    ``time`` is the frame's, on the clock that never jumps; ``wall`` the same moment in seconds since the epoch.
    """

    time: float
    wall: float
    x: float
    y: float
    size: float

    @property
    def point(self) -> Point:
        return self.x, self.y


class Crossing(NamedTuple):
    """An object was on an edge at ``time``, and ``angle`` degrees is how it went.

    Over a line: 90 is square to its right, -90 square to its left. Into a zone: 0 is up in the picture, 90 right.
    """

    time: float
    wall: float
    angle: float


class Latch:
    """Follows a signed distance; its ``state``, 1 or -1 (0 at first), turns only when the new side is certain."""

    __slots__ = ("_count", "_turning", "state")

    def __init__(self) -> None:
        self.state = 0
        self._turning = 0
        self._count = 0

    def see(self, distance: float, margin: float) -> bool:
        """Whether the state has turned with this ``distance``. What lies within ``margin`` of the edge says nothing."""
        if -margin < distance < margin:
            return False
        seen = 1 if distance > 0 else -1
        if seen != self._turning:
            self._turning, self._count = seen, 0
        self._count += 1
        if seen == self.state or self._count < _SIGHTINGS:
            return False
        self.state = seen
        return True


class _Edge:
    """What lines and zones share: the latch, and the way between the last sightings on either side of the edge."""

    __slots__ = ("_before", "_cut", "_last", "latch")

    def __init__(self) -> None:
        self.latch = Latch()
        self._last: tuple[Sighting, float] | None = None
        self._before: Sighting | None = None  # the last sighting that was certainly on the latch's side
        self._cut: tuple[float, float, Point] | None = None  # when (time, wall) and where the edge was last passed

    def follow(self, now: Sighting, distance: float) -> Sighting | None:
        """When the latch turns from one side to the other: the last sighting that was certainly on the old side."""
        if self._last is not None and (self._last[1] < 0) != (distance < 0):
            before, was = self._last
            share = was / (was - distance)
            self._cut = (
                before.time + share * (now.time - before.time),
                before.wall + share * (now.wall - before.wall),
                (before.x + share * (now.x - before.x), before.y + share * (now.y - before.y)),
            )
        self._last = now, distance
        old, before_it = self.latch.state, self._before
        turned = self.latch.see(distance, _MARGIN * now.size)
        if distance * self.latch.state >= _MARGIN * now.size:
            self._before = now
        return before_it if turned and old else None

    @property
    def cut(self) -> tuple[float, float, Point]:
        """When and where the edge was last passed. Only after ``follow`` told that it was."""
        assert self._cut is not None  # the sign has changed between the sightings on either side
        return self._cut


class LineWatch:
    """One object and one line from ``a`` to ``b``, in pixels."""

    def __init__(self, a: Point, b: Point) -> None:
        self._a, self._b = a, b
        self._edge = _Edge()

    def see(self, now: Sighting) -> Crossing | None:
        """The crossing that has become certain with this sighting. Past an end of the line there is none."""
        before = self._edge.follow(now, geometry.side(self._a, self._b, now.point))
        if before is None:
            return None
        time, wall, where = self._edge.cut
        if not 0.0 <= geometry.share_along(self._a, self._b, where) <= 1.0:
            return None
        (ax, ay), (bx, by) = self._a, self._b
        ux, uy, vx, vy = bx - ax, by - ay, now.x - before.x, now.y - before.y
        return Crossing(time, wall, math.degrees(math.atan2(ux * vy - uy * vx, ux * vx + uy * vy)))


class ZoneWatch:
    """One object and one zone, its corners in pixels. ``since`` is when the object came in, or was first seen in it;
    None while it is not certain to be inside."""

    def __init__(self, polygon: Sequence[Point]) -> None:
        self._polygon = polygon
        self._edge = _Edge()
        self._first: float | None = None
        self.since: float | None = None

    def see(self, now: Sighting) -> Crossing | None:
        """The entry that has become certain with this sighting."""
        before = self._edge.follow(now, geometry.depth(self._polygon, now.point))
        self._first = now.time if self._first is None else self._first
        if self._edge.latch.state <= 0:
            self.since = None
            return None
        if before is None:
            if self.since is None:  # it was never seen outside
                self.since = self._first
            return None
        self.since, wall, _ = self._edge.cut
        return Crossing(self.since, wall, math.degrees(math.atan2(now.x - before.x, before.y - now.y)) % 360)


class Standing:
    """Since when an object stands: it has stayed within half its size of a point from ``since`` on."""

    def __init__(self, first: Sighting) -> None:
        self.since = first.time
        self._anchor = first.point
        self._left: Sighting | None = None  # seen away from the anchor, once

    def see(self, now: Sighting) -> None:
        if math.dist(now.point, self._anchor) <= _STILL * now.size:
            self._left = None
        elif self._left is None:
            self._left = now
        else:
            self.since, self._anchor, self._left = self._left.time, now.point, None
