"""What the finger drew, from the page into the configuration and back. The only user of tomlkit.

The page draws zones, lines and privacy zones, and says of each zone and line which rule goes with it. Everything else
in the file stays as it was: other rules too (speed, red light, wrong way), and comments. What comes out is checked as
the camera's processes will check it, and takes the old file's place in one step.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomlkit
from msgspec import Meta
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from edge import config, durable
from edge.behaviour import Behaviour, Crossing, Dwell, Entry, Line, Polygon, RuleName, Seconds, Stop
from edge.config import ConfigError, Uplink, Vision

LARGEST = 32 << 10  # bytes of a drawing
_DIGITS = 4  # of a fraction of the frame: a fifth of a pixel
_ZONE_RULES = {"entry": Entry, "dwell": Dwell, "stop": Stop}
_SECONDS = 30.0  # of a rule that needs some, unless given


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Zone(_Strict, frozen=True, kw_only=True):
    """A zone, and the rule of the same name that goes with it; "" for none the page would change."""

    name: RuleName
    points: Polygon
    rule: Literal["", "entry", "dwell", "stop"] = ""
    seconds: Seconds = _SECONDS


class Fence(_Strict, frozen=True, kw_only=True):
    """A line, and the direction that the rule of the same name is about; "" for no such rule."""

    name: RuleName
    points: Line
    rule: Literal["", "right", "left", "both"] = ""


class Drawing(_Strict, frozen=True, kw_only=True):
    """All that the page draws. Places are fractions of the frame."""

    zones: Annotated[tuple[Zone, ...], Meta(max_length=16)] = ()
    lines: Annotated[tuple[Fence, ...], Meta(max_length=16)] = ()
    privacy: Annotated[tuple[Polygon, ...], Meta(max_length=32)] = ()


class DrawingError(ConfigError):
    """What was drawn cannot be used."""


def parse(text: bytes) -> Drawing:
    """The drawing that a page sent. Raises ``DrawingError``."""
    try:
        return msgspec.json.decode(text, type=Drawing)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # also for names that are no UTF-8
        raise DrawingError(f"What was drawn cannot be used: {error}.") from error


def of(settings: Vision) -> Drawing:
    """What the configuration says already, as the page draws it. Places with names too long for a rule are left out;
    they are kept all the same."""
    behaviour = settings.behaviour
    zones = [
        Zone(name=name, points=points, **_zone_rule(behaviour, name))
        for name, points in behaviour.zones.items()
        if len(name) <= 16
    ]
    lines = [
        Fence(name=name, points=points, rule=_direction(behaviour, name))
        for name, points in behaviour.lines.items()
        if len(name) <= 16
    ]
    return Drawing(zones=tuple(zones), lines=tuple(lines), privacy=settings.privacy)


def store(path: Path, drawing: Drawing) -> None:
    """Puts ``drawing`` into the configuration ``path``. Raises ``ConfigError``; the file is then as it was."""
    try:
        mode = path.stat().st_mode & 0o777
        text = merged(path.read_text(encoding="utf-8"), drawing)
        check(path, text)
        durable.write(path, text.encode(), mode)
    except OSError as error:
        raise ConfigError(f"The configuration {path} cannot be changed: {error}. Check the data partition.") from error


def check(path: Path, text: str) -> None:
    """Reads ``text`` as the camera's processes will read the file ``path``. Raises ``ConfigError`` or ``OSError``."""
    trial = path.with_name(f".{path.name}.drawn")
    durable.write(trial, text.encode())
    try:
        config.load(trial, Vision)
        config.load(trial, Uplink)
    except ConfigError as error:
        raise DrawingError(str(error).replace(f"In {trial}, table [vision]: ", "")) from error
    finally:
        with suppress(FileNotFoundError):
            trial.unlink()


def merged(text: str, drawing: Drawing) -> str:
    """The configuration ``text`` with ``drawing`` in it. Raises ``ConfigError`` when it is no configuration."""
    try:
        document = tomlkit.parse(text)
        vision = document["vision"]
    except (TOMLKitError, KeyError) as error:
        raise ConfigError(f"The configuration is broken ({error}). Enrol the camera anew.") from error
    assert isinstance(vision, dict)
    _put(vision, "privacy", [_places(polygon) for polygon in drawing.privacy])
    behaviour = vision.setdefault("behaviour", tomlkit.table())
    long = {what: _unseen(behaviour.get(what, {})) for what in ("lines", "zones")}
    rules = _rules(list(behaviour.get("rules", [])), drawing)
    _put(behaviour, "lines", {fence.name: _places(fence.points) for fence in drawing.lines} | long["lines"])
    _put(behaviour, "zones", {zone.name: _places(zone.points) for zone in drawing.zones} | long["zones"])
    behaviour.pop("rules", None)
    if rules:
        many = tomlkit.aot()
        for rule in rules:
            many.append(rule if isinstance(rule, Table) else _table(_plain(rule)))
        many[-1].add(tomlkit.nl())
        behaviour["rules"] = many
    if not behaviour:
        vision.pop("behaviour")
    return tomlkit.dumps(document)


def _put(table: Any, name: str, value: Any) -> None:
    table.pop(name, None)
    if not value:
        return
    if isinstance(value, Mapping):
        made = tomlkit.table()
        made.update(value)
        table[name] = made
    else:
        table[name] = value


def _unseen(places: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name): _plain(place) for name, place in places.items() if len(name) > 16}


def _rules(before: list[Any], drawing: Drawing) -> list[Any]:
    """The rules of ``before`` that are not the page's to change, and those that go with what is drawn."""
    wanted = _wanted(drawing)
    kept = []
    for rule in before:
        ours = _is_ours(rule)
        if not ours:
            kept.append(rule)
        elif (new := wanted.pop(rule["name"], None)) is not None:
            if rule["kind"] == new["kind"]:
                rule.update(new)  # what else it says, such as its objects, stays
                kept.append(rule)
            else:
                kept.append(new)
    return kept + list(wanted.values())


def _wanted(drawing: Drawing) -> dict[str, dict[str, Any]]:
    wanted: dict[str, dict[str, Any]] = {}
    for zone in drawing.zones:
        if zone.rule:
            rule: dict[str, Any] = {"kind": zone.rule, "name": zone.name, "zone": zone.name}
            wanted[zone.name] = rule if zone.rule == "entry" else rule | {"seconds": zone.seconds}
    for fence in drawing.lines:
        if fence.rule:
            wanted[fence.name] = {"kind": "line", "name": fence.name, "line": fence.name, "direction": fence.rule}
    return wanted


def _is_ours(rule: Mapping[str, Any]) -> bool:
    place = {"line": "line", "entry": "zone", "dwell": "zone", "stop": "zone"}.get(rule.get("kind", ""))
    return place is not None and rule.get("name") == rule.get(place)


def _zone_rule(behaviour: Behaviour, name: str) -> dict[str, Any]:
    for kind, rule_type in _ZONE_RULES.items():
        for rule in behaviour.rules:
            if type(rule) is rule_type and rule.name == name == getattr(rule, "zone", None):
                return {"rule": kind, "seconds": getattr(rule, "seconds", _SECONDS)}
    return {}


def _direction(behaviour: Behaviour, name: str) -> Literal["", "right", "left", "both"]:
    for rule in behaviour.rules:
        if isinstance(rule, Crossing) and rule.name == name == rule.line:
            return rule.direction
    return ""


def _places(points: Any) -> list[list[float]]:
    return [[round(x, _DIGITS), round(y, _DIGITS)] for x, y in points]


def _table(rule: Mapping[str, Any]) -> Any:
    made = tomlkit.table()
    made.update(rule)
    return made


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value
