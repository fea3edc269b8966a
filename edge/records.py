"""What a report says, and its form in bytes: shared by the camera and everyone who receives.

The form is a CBOR map with small integer keys (``docs/report.cddl``), deterministic encoding of RFC 8949
section 4.2. Confidences and similarities travel in thousandths, times in milliseconds since the epoch, UTC.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

import cbor2
import msgspec
from msgspec import Meta

from edge import cbor
from edge.errors import VidikError
from edge.handover import LARGEST

VERSION = 1

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Name = Annotated[str, Meta(max_length=64)]
PlateString = Annotated[str, Meta(min_length=1, max_length=16)]
Permille = Annotated[int, Meta(ge=0, le=1000)]


class RecordError(VidikError):
    """Bytes that are not a report of this version."""


class Measure(IntEnum):
    """What the value of a trigger measures, and its unit. The numbers are those of the wire."""

    LINE = 1  # the angle at which the line was crossed, degrees: 90 square to its right, -90 square to its left
    ENTRY = 2  # the heading at which the zone was entered, degrees in the picture: 0 up, 90 to the right
    DWELL = 3  # seconds in the zone
    STOP = 4  # seconds at a standstill in the zone
    WRONG_WAY = 5  # the angle between the way it took and the way that is allowed, degrees
    SPEED = 6  # km/h
    RED_LIGHT = 7  # seconds for which the zone had been closed when the line was crossed

    @property
    def word(self) -> str:
        """Its name for people and programs: ``line``, ``wrong-way`` …"""
        return self.name.lower().replace("_", "-")

    @property
    def unit(self) -> str:
        """``deg``, ``s`` or ``km/h``."""
        if self is Measure.SPEED:
            return "km/h"
        return "s" if self in (Measure.DWELL, Measure.STOP, Measure.RED_LIGHT) else "deg"


class Trigger(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule of behaviour that the object tripped: its name, what was measured, and the moment.

    ``value`` is in the unit of ``measure``, to a tenth; ``time`` is seconds since the epoch, to a millisecond.
    """

    rule: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z")]
    measure: Measure
    value: Annotated[float, Meta(ge=-1e6, le=1e6)]
    time: Annotated[float, Meta(ge=0.0, le=1e11)]


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every report carries.

    ``camera, boot, seq`` identify it: ``boot`` counts the camera's starts, ``seq`` its reports since then.
    ``time`` is when the picture was taken, seconds since the epoch. ``grant`` is the id of the grant that
    allowed the report. ``track`` numbers the object since the start. ``box`` is x, y, width, height in
    thousandths of the frame. ``trigger`` is the first of the grant's triggers that the object tripped.
    """

    camera: Annotated[str, Meta(min_length=1, max_length=32)]
    boot: Count
    seq: Count
    time: Annotated[float, Meta(ge=0.0, le=1e11)]
    grant: Name
    track: Count
    box: tuple[Permille, Permille, Permille, Permille]
    trigger: Trigger | None = None


class PlateReport(Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A licence plate. ``confidence`` is the probability that ``text`` is exactly right; ``country`` is
    ISO 3166-1 alpha-2 or empty; ``alternates`` are other possible texts with their probabilities."""

    text: PlateString
    confidence: Share
    country: Annotated[str, Meta(pattern="^([A-Z]{2})?$")] = ""
    alternates: Annotated[tuple[tuple[PlateString, Share], ...], Meta(max_length=3)] = ()


class FaceReport(Header, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A face. ``vector`` holds 128 signed bytes whose real value is ``vector * scale`` (unit norm).

    ``model`` is the first 8 bytes of the embedder's SHA-256: vectors of different models are not
    comparable. ``entry`` names the entry of the grant's list that matched and ``similarity`` the cosine
    to it; both are empty or zero under an open scope. ``quality`` is 0 to 100.
    """

    vector: Annotated[bytes, Meta(min_length=128, max_length=128)]
    scale: Annotated[float, Meta(gt=0.0, le=1.0)]
    quality: Annotated[float, Meta(ge=0.0, le=100.0)]
    model: Annotated[bytes, Meta(min_length=8, max_length=8)]
    entry: Name = ""
    similarity: Share = 0.0


Report = PlateReport | FaceReport

_PLATE, _FACE = 1, 2
_TYPES: dict[int, type[PlateReport | FaceReport]] = {_PLATE: PlateReport, _FACE: FaceReport}
_KEYS = {
    "camera": 2, "boot": 3, "seq": 4, "time": 5, "grant": 6, "track": 7, "box": 8, "trigger": 9,
    "text": 10, "confidence": 11, "country": 12, "alternates": 13,
    "vector": 20, "scale": 21, "quality": 22, "model": 23, "entry": 24, "similarity": 25,
}  # fmt: skip
_NAMES = {number: name for name, number in _KEYS.items()}
_OPTIONAL = {"trigger", "country", "alternates", "entry", "similarity"}  # left out when empty, to save bytes


def encode(report: Report) -> bytes:
    """The report as CBOR."""
    body: dict[int, Any] = {0: VERSION, 1: _PLATE if isinstance(report, PlateReport) else _FACE}
    for name in type(report).__struct_fields__:
        value = _packed(name, getattr(report, name), report.time)
        if value or name not in _OPTIONAL:
            body[_KEYS[name]] = value
    return cbor2.dumps(body, canonical=True)


def decode(content: bytes) -> Report:
    """The report in ``content``. Raises ``RecordError`` when it is anything but a well-formed report."""
    try:
        body: Any = cbor.loads(content) if len(content) <= LARGEST else None
    except cbor.CborError as error:
        raise RecordError(f"The report cannot be read: {error}. Check what the camera runs.") from error
    head = [body.pop(key, None) for key in (0, 1)] if isinstance(body, dict) else []
    if head[:1] != [VERSION] or type(head[0]) is not int:
        raise RecordError("The report is of another version. Update this subscriber.")
    kind = _TYPES.get(head[1]) if type(head[1]) is int else None
    if kind is None:
        raise RecordError("The report is of an unknown kind. Update this subscriber.")
    try:
        taken = body.get(_KEYS["time"])
        fields = {_NAMES[key]: _unpacked(_NAMES[key], value, taken) for key, value in body.items()}
        report: Report = msgspec.convert(fields, kind, builtin_types=(bytes,))
        return report
    except (KeyError, TypeError, ValueError, OverflowError, msgspec.ValidationError) as error:
        raise RecordError(f"The report breaks its schema: {error}. Check what the camera runs.") from error


def _packed(name: str, value: Any, taken: float) -> Any:
    match name:
        case "trigger" if value is not None:
            start = round(taken * 1000)
            return [value.rule, int(value.measure), round(value.value * 10), round(value.time * 1000) - start]
        case "time":
            return round(value * 1000)
        case "confidence" | "similarity":
            return round(value * 1000)
        case "quality":
            return round(value)
        case "alternates":
            return [[text, round(share * 1000)] for text, share in value]
        case _:
            return value


def _unpacked(name: str, value: Any, taken: Any) -> Any:
    match name:
        case "trigger":
            if type(value) is not list:
                raise TypeError(f"a trigger is a list, not {type(value).__name__}")
            rule, measure, tenths, at = value
            time = (_whole(taken) + _whole(at)) / 1000
            return {"rule": rule, "measure": measure, "value": _whole(tenths) / 10, "time": time}
        case "time" | "confidence" | "similarity":
            return _whole(value) / 1000
        case "quality":
            return float(_whole(value))
        case "alternates":
            if not isinstance(value, list):
                raise TypeError("alternates are a list")
            return [[text, _whole(share) / 1000] for text, share in value]
        case _:
            return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"a whole number is needed, not {type(value).__name__}")
    return value
