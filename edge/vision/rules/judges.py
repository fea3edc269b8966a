"""What each rule means: one small judge for every rule and object. ``docs/rules.md`` shows them in drawings.

A judge is told of every sighting and answers once, with what it measured; then it is not asked again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge import behaviour, geometry
from edge.geometry import Point
from edge.records import Measure
from edge.vision.rules.places import Crossing, Sighting, Standing, ZoneWatch
from edge.vision.rules.plane import Plane, Position, estimate
from edge.vision.rules.signals import Signals

Scale = Callable[[Sequence[Point]], tuple[Point, ...]]
"""From fractions of the frame to pixels."""

_AGAINST = 1.5  # sizes an object must have come back from where it was furthest ahead
_ANGLE = 120.0  # degrees from the allowed way at which a way counts as wrong
_SECTION = 2.0  # seconds over which a speed is measured at most
_FOLLOW = 10.0  # seconds within which what crossed the line must come into the zone


class Finding(NamedTuple):
    """A rule is tripped: the measured value, and when, in seconds since the epoch."""

    value: float
    wall: float


@dataclass(slots=True)
class Whereabouts:
    """What has become certain of one object with its latest sighting, by the names of lines and zones."""

    crossed: Mapping[str, Crossing]
    entered: Mapping[str, Crossing]
    zones: Mapping[str, ZoneWatch]
    standing: Standing


class Judge:
    """Judges one object by one rule."""

    measure: Measure

    def see(self, now: Sighting, where: Whereabouts, /) -> Finding | None:
        """What is found with this sighting."""
        raise NotImplementedError

    def end(self) -> Finding | None:
        """What is found now that the object is gone."""
        return None


class CrossingJudge(Judge):
    measure = Measure.LINE

    def __init__(self, rule: behaviour.Crossing) -> None:
        self._line, self._direction = rule.line, rule.direction

    def see(self, _: Sighting, where: Whereabouts) -> Finding | None:
        crossing = where.crossed.get(self._line)
        if crossing is None or not _is_towards(crossing, self._direction):
            return None
        return Finding(crossing.angle, crossing.wall)


class EntryJudge(Judge):
    measure = Measure.ENTRY

    def __init__(self, rule: behaviour.Entry) -> None:
        self._zone = rule.zone

    def see(self, _: Sighting, where: Whereabouts) -> Finding | None:
        entry = where.entered.get(self._zone)
        return Finding(entry.angle, entry.wall) if entry is not None else None


class DwellJudge(Judge):
    measure = Measure.DWELL

    def __init__(self, rule: behaviour.Dwell) -> None:
        self._zone, self._seconds = rule.zone, rule.seconds

    def see(self, now: Sighting, where: Whereabouts) -> Finding | None:
        since = where.zones[self._zone].since
        if since is None or now.time - since < self._seconds:
            return None
        return Finding(now.time - since, now.wall)


class StopJudge(Judge):
    measure = Measure.STOP

    def __init__(self, rule: behaviour.Stop) -> None:
        self._zone, self._seconds = rule.zone, rule.seconds

    def see(self, now: Sighting, where: Whereabouts) -> Finding | None:
        since = where.zones[self._zone].since
        if since is None:
            return None
        stood = now.time - max(since, where.standing.since)
        return Finding(stood, now.wall) if stood >= self._seconds else None


class WrongWayJudge(Judge):
    measure = Measure.WRONG_WAY

    def __init__(self, rule: behaviour.WrongWay, a: Point, b: Point) -> None:
        self._zone = rule.zone
        length = math.dist(a, b)
        self._x, self._y = (b[0] - a[0]) / length, (b[1] - a[1]) / length
        self._furthest: Sighting | None = None  # where it was furthest along the allowed way
        self._against = 0

    def see(self, now: Sighting, where: Whereabouts) -> Finding | None:
        if where.zones[self._zone].since is None:
            self._furthest, self._against = None, 0
            return None
        if self._furthest is None or self._ahead(now, self._furthest) >= 0:
            self._furthest, self._against = now, 0
            return None
        way = math.dist(now.point, self._furthest.point)
        angle = math.degrees(math.acos(max(-1.0, self._ahead(now, self._furthest) / way)))
        self._against = self._against + 1 if way >= _AGAINST * now.size and angle >= _ANGLE else 0
        return Finding(angle, now.wall) if self._against == 2 else None

    def _ahead(self, now: Sighting, then: Sighting) -> float:
        return (now.x - then.x) * self._x + (now.y - then.y) * self._y


class SpeedJudge(Judge):
    measure = Measure.SPEED

    def __init__(self, rule: behaviour.Speed, quad: tuple[Point, ...]) -> None:
        height = rule.camera_height
        self._plane = Plane(quad, rule.metres, 1.0 if height is None else (height - rule.plate_height) / height)
        self._quad = quad
        self._over = rule.over
        self._section: list[Position] = []
        self._wall = 0.0

    def see(self, now: Sighting, _: Whereabouts) -> Finding | None:
        if geometry.depth(self._quad, now.point) < 0:
            return self.end()
        if self._section and now.time - self._section[0].time > _SECTION:
            found = self.end()
            if found is not None:
                return found
        # a plate seen half as large is twice as far away: its place is half as precise across, a quarter along the way
        self._section.append(Position(now.time, *self._plane.at(*now.point), now.size**2))
        self._wall = now.wall
        return None

    def end(self) -> Finding | None:
        section, self._section = self._section, []
        measured = estimate(section)
        if measured is None or measured.speed - 2 * measured.error <= self._over:
            return None
        return Finding(measured.speed, self._wall)


class RedLightJudge(Judge):
    measure = Measure.RED_LIGHT

    def __init__(self, rule: behaviour.RedLight, signals: Signals) -> None:
        self._rule = rule
        self._signals = signals
        self._crossed: tuple[Crossing, float] | None = None  # over the line, closed for so many seconds by then

    def see(self, now: Sighting, where: Whereabouts) -> Finding | None:
        rule = self._rule
        crossing = where.crossed.get(rule.line)
        if crossing is not None:
            closed = self._signals.closed_for(rule.signal, crossing.time)
            offends = closed is not None and closed >= rule.grace_seconds and _is_towards(crossing, rule.direction)
            self._crossed = (crossing, closed) if offends and closed is not None else None
        if self._crossed is None:
            return None
        over, closed = self._crossed
        if now.time - over.time > _FOLLOW or self._signals.closed_for(rule.signal, now.time) is None:
            self._crossed = None
            return None
        return Finding(closed, over.wall) if where.zones[rule.zone].since is not None else None


def make(rule: behaviour.AnyRule, scaled: Scale, signals: Signals) -> Judge:  # noqa: PLR0911 - one line a kind
    """A fresh judge by ``rule`` for one object."""
    match rule:
        case behaviour.Crossing():
            return CrossingJudge(rule)
        case behaviour.Entry():
            return EntryJudge(rule)
        case behaviour.Dwell():
            return DwellJudge(rule)
        case behaviour.Stop():
            return StopJudge(rule)
        case behaviour.WrongWay():
            return WrongWayJudge(rule, *scaled(rule.along))
        case behaviour.Speed():
            return SpeedJudge(rule, scaled(rule.points))
        case behaviour.RedLight():
            return RedLightJudge(rule, signals)


def _is_towards(crossing: Crossing, direction: behaviour.Direction) -> bool:
    return direction == "both" or (crossing.angle > 0) == (direction == "right")
