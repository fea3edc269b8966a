"""A camera's places and what trips its rules, drawn into a picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge.behaviour import Behaviour, Speed, WrongWay
from edge.geometry import Point
from edge.records import Trigger
from edge.vision.values import Box, Pixels
from models.lab import media

PLACE, TRIPPED = (230, 150, 40), (60, 60, 235)  # blue; red


def draw_places(pixels: Pixels, behaviour: Behaviour) -> None:
    """Draws lines (an arrow from a to b), zones, arrows of allowed ways and measured stretches, with their names."""

    def scaled(points: Sequence[Point]) -> list[Point]:
        return [(x * pixels.shape[1], y * pixels.shape[0]) for x, y in points]

    for name, line in behaviour.lines.items():
        media.draw_path(pixels, scaled(line), name, PLACE, closed=False)
    for name, zone in behaviour.zones.items():
        media.draw_path(pixels, scaled(zone), name, PLACE, closed=True)
    for rule in behaviour.rules:
        if isinstance(rule, WrongWay):
            media.draw_path(pixels, scaled(rule.along), f"{rule.name}: along", PLACE, closed=False)
        elif isinstance(rule, Speed):
            media.draw_path(pixels, scaled(rule.points), f"{rule.name}: over {rule.over:g} km/h", PLACE, closed=True)


def draw_triggers(pixels: Pixels, box: Box, tripped: Iterable[Trigger]) -> None:
    """Writes below ``box`` which rules its object has tripped, and what was measured."""
    for i, trigger in enumerate(tripped, 1):
        y = box.y1 + 18 * i
        label = f"{trigger.rule} {trigger.value:.1f} {trigger.measure.unit}"
        media.draw_box(pixels, Box(box.x0, y, box.x0, y), label, TRIPPED, 0.5)
