"""Tracking: detections of successive frames joined into objects, so that one object gives one report.

Association in two rounds, confident detections first, as in ByteTrack (Zhang et al., ECCV 2022); the
distance is between predicted and detected centres in units of the object's size, since plates are small
and move by more than their own width between frames, where overlap says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.records import Trigger
from edge.vision.values import Box, Detection, Frame, Kind

# A detection below this score may continue a track, but not begin one.
BEGIN_SCORE = {Kind.PLATE: 0.35, Kind.FACE: 0.5}
_FORGET = 1.5  # seconds without a detection after which a track has ended
_REACH = 2.2  # sizes a fresh object may have moved between two detections
_SLACK = 0.9  # sizes a movement seen but a few times may be off, and as many more a second unseen
_KNOWN = 5  # detections after which a movement is known well
_STEADY = 0.4  # sizes a well known movement may be off
_DRIFT = 0.3  # sizes a second that a well known object may wander unseen
_TURN = 0.5  # share of its speed by which a well known movement may change a second
_SIZE_RATIO = 1.7  # factor by which the size may change between two detections
_SMOOTHING = 0.6  # weight of the newest velocity


@dataclass(slots=True)
class Track:
    """One object. ``first`` and ``last`` are the frame times of its detections (monotonic seconds); ``point`` is
    where it was at the last one: the middle of a plate's corners, which is steadier than its box, or of a face's box.

    ``settled`` is set once all is decided about it: it then only keeps the object from being reported again.
    ``best`` is the quality of its best shot so far, 0 to 100. ``reported``: whether it was, under any grant.
    ``tripped`` are the rules of behaviour that the object has tripped, by name, in the order in which it did;
    ``answered`` the ids of the grants under which it was reported, or found to have been reported just before.
    """

    number: int
    kind: Kind
    box: Box
    first: float
    last: float
    point: tuple[float, float] = (0.0, 0.0)
    hits: int = 1
    settled: bool = False
    best: float = 0.0
    reported: bool = False
    tripped: dict[str, Trigger] = field(default_factory=dict)
    answered: set[str] = field(default_factory=set)
    velocity: tuple[float, float] | None = field(default=None)

    def predicted(self, now: float) -> Box:
        """Where the object is expected at ``now``, by constant velocity, at most one second ahead."""
        if self.velocity is None:
            return self.box
        ahead = min(1.0, max(0.0, now - self.last))
        dx, dy = self.velocity[0] * ahead, self.velocity[1] * ahead
        return Box(self.box.x0 + dx, self.box.y0 + dy, self.box.x1 + dx, self.box.y1 + dy)

    def see(self, detection: Detection, now: float) -> None:
        """Takes ``detection`` as this object's position at ``now``."""
        elapsed = now - self.last
        if elapsed > 0:
            (x0, y0), (x1, y1) = self.box.centre, detection.box.centre
            new = (x1 - x0) / elapsed, (y1 - y0) / elapsed
            old = self.velocity or new
            self.velocity = tuple(_SMOOTHING * n + (1 - _SMOOTHING) * o for n, o in zip(new, old, strict=True))  # type: ignore[assignment]
        self.box, self.last, self.hits = detection.box, now, self.hits + 1
        self.point = _point(detection)


class Tracker:
    """Joins detections to tracks. ``live`` are the objects in view or lost only a moment ago."""

    def __init__(self) -> None:
        self.live: list[Track] = []
        self._count = 0

    @property
    def count(self) -> int:
        """How many objects have been seen so far."""
        return self._count

    def update(self, frame: Frame, detections: Sequence[Detection]) -> list[tuple[Track, Detection]]:
        """The tracks seen in ``frame``, each with its detection; forgets tracks unseen for too long."""
        now = frame.monotonic
        self.live = [track for track in self.live if now - track.last <= _FORGET]
        sure = [d for d in detections if d.score >= BEGIN_SCORE[d.kind]]
        faint = [d for d in detections if d.score < BEGIN_SCORE[d.kind]]
        seen, left, unmatched = _associate(self.live, sure, now)
        again, _, _ = _associate(left, faint, now)
        seen += again
        for track, detection in seen:
            track.see(detection, now)
        return seen + [(self._begin(detection, now), detection) for detection in unmatched]

    def _begin(self, detection: Detection, now: float) -> Track:
        self._count += 1
        track = Track(self._count, detection.kind, detection.box, now, now, _point(detection))
        self.live.append(track)
        return track


def _point(detection: Detection) -> tuple[float, float]:
    if detection.kind is not Kind.PLATE:
        return detection.box.centre
    corners = detection.points.tolist()
    return sum(x for x, _ in corners) / len(corners), sum(y for _, y in corners) / len(corners)


def _associate(
    tracks: Sequence[Track], detections: Sequence[Detection], now: float
) -> tuple[list[tuple[Track, Detection]], list[Track], list[Detection]]:
    """Greedy matching, nearest first: (pairs, tracks left, detections left)."""
    costs = sorted(
        (cost, i, j)
        for i, track in enumerate(tracks if detections else ())
        for place in [_Place(track, now)]
        for j, detection in enumerate(detections)
        if track.kind is detection.kind and (cost := place.distance(detection.box)) is not None
    )
    used_tracks: set[int] = set()
    used_detections: set[int] = set()
    pairs = []
    for _, i, j in costs:
        if i not in used_tracks and j not in used_detections:
            used_tracks.add(i)
            used_detections.add(j)
            pairs.append((tracks[i], detections[j]))
    return (
        pairs,
        [track for i, track in enumerate(tracks) if i not in used_tracks],
        [detection for j, detection in enumerate(detections) if j not in used_detections],
    )


class _Place:
    """Where ``track`` should be, with what every comparison needs."""

    def __init__(self, track: Track, now: float) -> None:
        box = track.predicted(now)
        self._x, self._y = box.centre
        self._width, self._reach = box.width, _reach(track, now)

    def distance(self, box: Box) -> float | None:
        """How far ``box`` lies from here, in sizes; None when it cannot be the same object."""
        width, (x, y) = box.width, box.centre
        ratio = width / max(1e-6, self._width)
        if not 1 / _SIZE_RATIO < ratio < _SIZE_RATIO:
            return None
        distance = math.hypot(x - self._x, y - self._y) / max(self._width, width)
        return distance + abs(math.log(ratio)) if distance <= self._reach else None


def _reach(track: Track, now: float) -> float:
    """How far, in sizes, ``track`` may lie from where it is expected.

    What has stood still for long is not expected to leap: a car that passes a parked one hides its plate
    and shows its own beside it.
    """
    unseen = now - track.last
    if track.velocity is None:
        return _REACH
    if track.hits < _KNOWN:
        return _SLACK * (1 + unseen)
    speed = math.hypot(*track.velocity) / max(1.0, track.box.width)
    return _STEADY + unseen * (_DRIFT + _TURN * speed)
