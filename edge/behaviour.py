"""What of behaviour a camera is told to watch for: the tables of its configuration, checked in full.

Places are fractions of the frame, ``[x, y]`` from the top left corner, so that they hold at every resolution.
``docs/rules.md`` says what each rule means, with drawings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge import geometry

MOST_RULES = 32

Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]
Place = tuple[Fraction, Fraction]
Metres = tuple[Annotated[float, Meta(ge=-1000.0, le=1000.0)], Annotated[float, Meta(ge=-1000.0, le=1000.0)]]
Line = tuple[Place, Place]
Polygon = Annotated[tuple[Place, ...], Meta(min_length=3, max_length=32)]
Name = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z", description="lower case, digits, hyphens")]
RuleName = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,15}\Z", description="at most 16: it travels in reports")]
Seconds = Annotated[float, Meta(gt=0.0, le=86_400.0)]
Direction = Literal["right", "left", "both"]
Objects = Literal["plates", "faces"]

_SHORTEST = 0.01  # of the frame: a line shorter than this is a slip
_SMALLEST = 1e-4  # of the frame's area: likewise a polygon


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Rule(_Strict, frozen=True, kw_only=True):
    """What all rules share: a ``name`` that grants and reports use, and what kinds of objects it is about."""

    name: RuleName
    objects: Annotated[tuple[Objects, ...], Meta(min_length=1)] = ("plates", "faces")


class Crossing(Rule, frozen=True, kw_only=True, tag_field="kind", tag="line"):
    """An object crosses the ``line`` towards its right (seen from its first point to its second), left, or either."""

    line: Name
    direction: Direction = "both"


class Entry(Rule, frozen=True, kw_only=True, tag_field="kind", tag="entry"):
    """An object that was outside the ``zone`` comes into it."""

    zone: Name


class Dwell(Rule, frozen=True, kw_only=True, tag_field="kind", tag="dwell"):
    """An object stays in the ``zone`` for ``seconds``, moving or not."""

    zone: Name
    seconds: Seconds


class Stop(Rule, frozen=True, kw_only=True, tag_field="kind", tag="stop"):
    """An object stands still in the ``zone`` for ``seconds``."""

    zone: Name
    seconds: Seconds


class WrongWay(Rule, frozen=True, kw_only=True, tag_field="kind", tag="wrong-way"):
    """An object in the ``zone`` moves against ``along``: an arrow, from its first point to its second."""

    zone: Name
    along: Line


class Speed(Rule, frozen=True, kw_only=True, tag_field="kind", tag="speed"):
    """A plate moves faster than ``over`` km/h between four points of the picture.

    ``points`` go around a quadrilateral; ``metres`` are the same points on the plane, in any two axes at right angles.
    The plane lies at the height of plates, or, if ``camera_height`` (metres above the road) is given, on the road.
    """

    over: Annotated[float, Meta(gt=0.0, le=400.0)]
    points: tuple[Place, Place, Place, Place]
    metres: tuple[Metres, Metres, Metres, Metres]
    camera_height: Annotated[float, Meta(ge=1.5, le=100.0)] | None = None
    plate_height: Annotated[float, Meta(ge=0.2, le=1.2)] = 0.5
    objects: Annotated[tuple[Literal["plates"], ...], Meta(min_length=1)] = ("plates",)

    def __post_init__(self) -> None:
        for what, corners in (("points", self.points), ("metres", self.metres)):
            if geometry.nearly_collinear(corners):
                raise ValueError(f"rule {self.name}: three of the four {what} lie on one line; spread them out")
            if not geometry.is_convex(corners):
                raise ValueError(f"rule {self.name}: {what} must go around the quadrilateral, corner by corner")


class RedLight(Rule, frozen=True, kw_only=True, tag_field="kind", tag="red-light"):
    """An object crosses the ``line`` in ``direction`` and goes on into the ``zone`` while the ``signal`` closes it.

    Nothing trips in the first ``grace_seconds`` after the signal closed.
    """

    line: Name
    direction: Direction
    zone: Name
    signal: Name
    grace_seconds: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.5


AnyRule = Crossing | Entry | Dwell | Stop | WrongWay | Speed | RedLight


Pull = Literal["", "up", "down"]  # a GPIO chip's own resistor, as an open contact needs it; "" leaves it as it is


class Signal(_Strict, frozen=True, kw_only=True):
    """Where it stands whether a zone is closed: in a ``file`` (a state with its time), or on a wire, the ``line`` of
    the GPIO chip ``chip``.

    A ``file`` older than ``fresh_seconds`` says nothing. ``closed`` is the wire's level that means closed (1: high);
    ``pull`` is the chip's own resistor that holds the wire up or down while a contact is open.
    """

    file: Path | None = None
    fresh_seconds: Annotated[float, Meta(gt=0.0, le=3600.0)] = 3.0
    chip: Path | None = None
    line: Annotated[int, Meta(ge=0, le=4095)] | None = None
    pull: Pull = ""
    closed: Literal[0, 1] = 1

    def __post_init__(self) -> None:
        if (self.file is None) == (self.chip is None) or (self.chip is None) != (self.line is None):
            raise ValueError("a signal needs either a file, or chip and line of a GPIO")


class Behaviour(_Strict, frozen=True, kw_only=True):
    """The table ``[vision.behaviour]``: places by name, signals by name, and the rules that use them."""

    lines: dict[Name, Line] = {}
    zones: dict[Name, Polygon] = {}
    signals: dict[Name, Signal] = {}
    rules: Annotated[tuple[AnyRule, ...], Meta(max_length=MOST_RULES)] = ()

    def __post_init__(self) -> None:
        for name, (a, b) in self.lines.items():
            check_line(f"line {name}", a, b)
        for name, polygon in self.zones.items():
            check_polygon(f"zone {name}", polygon)
        twice = [name for name, count in Counter(rule.name for rule in self.rules).items() if count > 1]
        if twice:
            raise ValueError(f"two rules have the name {twice[0]}; give each its own")
        for rule in self.rules:
            self._check(rule)

    def _check(self, rule: AnyRule) -> None:
        known: dict[str, Mapping[str, object]] = {"line": self.lines, "zone": self.zones, "signal": self.signals}
        for what, there in known.items():
            name = getattr(rule, what, None)
            if name is not None and name not in there:
                raise ValueError(
                    f"rule {rule.name} uses the {what} {name}, which is not defined "
                    f"({what}s here: {', '.join(there) or 'none'})"
                )
        if isinstance(rule, WrongWay):
            check_line(f"along of rule {rule.name}", *rule.along)


def check_line(what: str, a: Place, b: Place) -> None:
    """Raises ``ValueError`` naming ``what`` when the line is too short to have two sides."""
    if abs(a[0] - b[0]) < _SHORTEST and abs(a[1] - b[1]) < _SHORTEST:
        raise ValueError(f"{what} has two ends in the same place; set them further apart")


def check_polygon(what: str, polygon: tuple[Place, ...]) -> None:
    """Raises ``ValueError`` naming ``what`` when the polygon has no clear inside."""
    if len(set(polygon)) < len(polygon):
        raise ValueError(f"{what} names a corner twice; the last one joins the first by itself")
    if geometry.crosses_itself(polygon):
        raise ValueError(f"{what} crosses itself; name its corners in their order around it")
    if geometry.area(polygon) < _SMALLEST:
        raise ValueError(f"{what} has hardly any area; its corners must not lie on one line")
