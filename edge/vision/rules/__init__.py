"""Rules of behaviour: what an object must have done for a grant with triggers to apply to it.

Rules act on tracks and know nothing of what a plate says or whose a face is. What an object trips is noted on its
track; nothing else of what it did is kept, and nothing leaves the camera unless a grant asks for this rule by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edge import behaviour
from edge.behaviour import Behaviour
from edge.geometry import Point
from edge.records import Trigger
from edge.vision.rules import judges
from edge.vision.rules.judges import Finding, Judge, Whereabouts
from edge.vision.rules.places import LineWatch, Sighting, Standing, ZoneWatch
from edge.vision.rules.signals import Signals
from edge.vision.track import Track
from edge.vision.values import Frame, Kind

__all__ = ["Rules"]

_OBJECTS = {Kind.PLATE: "plates", Kind.FACE: "faces"}
_REGAIN = 10.0  # seconds for which something that stood when it was lost may come back
_STOOD = 1.0  # seconds
_SAME_PLACE = 0.5  # sizes
_SAME_SIZE = 1.3


class Rules:
    """Watches all tracks of one camera by the rules of ``settings``."""

    def __init__(self, settings: Behaviour) -> None:
        self._settings = settings
        self._signals = Signals(settings.signals)
        self._size = (0, 0)
        self._subjects: dict[int, _Subject] = {}
        self._lost: list[_Subject] = []

    def watch(self, frame: Frame, live: Sequence[Track]) -> None:
        """Takes in where the tracks seen in ``frame`` are, and ends those no longer ``live``; notes on every track
        what it has tripped. A change of the frame's size starts everything afresh."""
        if not self._settings.rules:
            return
        if (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            self._subjects, self._lost = {}, []
        self._signals.sample(frame.monotonic, frame.wall)
        self._end({track.number for track in live})
        for track in live:
            if track.last == frame.monotonic:
                # detectors speak float32, in which times would not fit
                size = float(max(track.box.width, track.box.height))
                self._see(track, Sighting(frame.monotonic, frame.wall, *track.point, size))

    def troubles(self) -> list[str]:
        """What a person should know: the signals without which rules cannot trip."""
        return self._signals.troubles()

    def _see(self, track: Track, now: Sighting) -> None:
        subject = self._subjects.get(track.number)
        if subject is None:
            subject = self._subjects[track.number] = self._regained(track, now) or self._subject(track, now)
        subject.see(now)

    def _end(self, live: set[int]) -> None:
        for number in [n for n in self._subjects if n not in live]:
            subject = self._subjects.pop(number)
            subject.end()
            if subject.last.time - subject.standing.since >= _STOOD:
                self._lost.append(subject)

    def _regained(self, track: Track, now: Sighting) -> _Subject | None:
        """The subject that ``track`` goes on: lost here a moment ago, while it stood."""
        self._lost = [subject for subject in self._lost if now.time - subject.last.time <= _REGAIN]
        for subject in self._lost:
            before = subject.last
            near = math.dist(before.point, now.point) <= _SAME_PLACE * max(before.size, now.size)
            alike = 1 / _SAME_SIZE <= now.size / before.size <= _SAME_SIZE
            if subject.track.kind is track.kind and near and alike:
                self._lost.remove(subject)
                track.tripped.update(subject.track.tripped)
                subject.track = track
                return subject
        return None

    def _subject(self, track: Track, first: Sighting) -> _Subject:
        settings = self._settings
        rules = [rule for rule in settings.rules if _OBJECTS[track.kind] in rule.objects]
        lines = {rule.line for rule in rules if isinstance(rule, behaviour.Crossing | behaviour.RedLight)}
        zones = {rule.zone for rule in rules if not isinstance(rule, behaviour.Crossing | behaviour.Speed)}
        return _Subject(
            track, first, Standing(first),
            {name: LineWatch(*self._scaled(settings.lines[name])) for name in lines},
            {name: ZoneWatch(self._scaled(settings.zones[name])) for name in zones},
            [_Open(rule.name, judges.make(rule, self._scaled, self._signals)) for rule in rules],
        )  # fmt: skip

    def _scaled(self, places: Sequence[Point]) -> tuple[Point, ...]:
        width, height = self._size
        return tuple((x * width, y * height) for x, y in places)


class _Open(NamedTuple):
    """A rule that an object has not tripped yet."""

    name: str
    judge: Judge


@dataclass(slots=True)
class _Subject:
    """One object under watch: where it is, and the rules it has not tripped yet."""

    track: Track
    last: Sighting
    standing: Standing
    lines: dict[str, LineWatch]
    zones: dict[str, ZoneWatch]
    open: list[_Open]

    def see(self, now: Sighting) -> None:
        self.last = now
        self.standing.see(now)
        if not self.open:
            return
        crossed = {name: found for name, line in self.lines.items() if (found := line.see(now))}
        entered = {name: found for name, zone in self.zones.items() if (found := zone.see(now))}
        where = Whereabouts(crossed, entered, self.zones, self.standing)
        self._note([(rule, rule.judge.see(now, where)) for rule in self.open])

    def end(self) -> None:
        self._note([(rule, rule.judge.end()) for rule in self.open])

    def _note(self, findings: list[tuple[_Open, Finding | None]]) -> None:
        for rule, found in findings:
            if found is not None:
                self.track.tripped[rule.name] = Trigger(rule.name, rule.judge.measure, found.value, found.wall)
                self.open.remove(rule)
