"""The camera's configuration: one TOML file, typed, checked in full before anything starts.

Each process reads only its own table. Paths in the file are relative to the file's folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from edge.errors import VidikError

CameraId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z", description="lower case, digits, hyphens")]
Milliseconds = Annotated[float, Meta(gt=0.0, le=10_000.0)]
Port = Annotated[int, Meta(ge=1, le=65535)]


class ConfigError(VidikError):
    """The configuration file cannot be read or says something it may not."""


class Uplink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the uplink process needs. ``inbox`` is the socket that vision hands sealed reports to."""

    camera: CameraId
    host: str
    port: Port = 8883
    ca: Path
    certificate: Path
    key: Path
    signing_certificate: Path
    inbox: Path
    spool: Path
    spool_bytes: Annotated[int, Meta(ge=1 << 20)] = 256 << 20


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How inference is spread over the scene: ``cover_seconds`` bounds the time until every part of it
    has been examined at tile resolution, ``budget_ms`` what the detectors may cost a frame. Costs are reckoned with
    ``plate_ms`` and ``face_ms``: one look at the whole frame, one at a tile, as ``make bench`` measures them; the
    defaults are those of one x86-64 core at 1920x1080."""

    tile: Annotated[int, Meta(ge=192, le=2048)] = 432
    overlap: Annotated[float, Meta(ge=0.0, le=0.5)] = 0.25
    cover_seconds: Annotated[float, Meta(gt=0.0, le=60.0)] = 0.7
    budget_ms: Annotated[float, Meta(gt=0.0, le=10_000.0)] = 50.0
    plate_ms: tuple[Milliseconds, Milliseconds] = (9.0, 8.0)
    face_ms: tuple[Milliseconds, Milliseconds] = (5.0, 4.0)


class Vision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the vision process needs. ``source`` is a video file, a folder of images, or a device path.

    ``grants`` is where people put documents by hand, ``incoming`` where the uplink does; ``state`` keeps what must
    survive a restart: start counter, newest time, record of grants, audit log; ``notices`` is where the signed public
    card and the head of the audit log are put for the uplink (by default: in ``state``).
    """

    camera: CameraId
    source: str
    inbox: Path
    trust: Path
    grants: Path
    incoming: Path | None = None
    state: Path
    signing_key: Path
    signing_certificate: Path
    notices: Path | None = None
    pace: bool = False
    look: Look = Look()


Table = TypeVar("Table", Uplink, Vision)
_TABLES: dict[type, str] = {Uplink: "uplink", Vision: "vision"}


def load(path: Path, table: type[Table]) -> Table:
    """The table of ``path`` that belongs to one process. Raises ``ConfigError`` naming the line to mend."""
    name = _TABLES[table]
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error}. Mend it and start again.") from error
    if not isinstance(parsed.get(name), dict):
        raise ConfigError(f"The configuration {path} has no table [{name}]. Add it: docs/configuration.md shows one.")

    def decode(kind: type, value: Any) -> Any:
        if kind is Path and isinstance(value, str):
            return path.parent / value
        raise TypeError(f"cannot make a {kind.__name__} of {value!r}")

    try:
        return msgspec.convert(parsed[name], table, dec_hook=decode)
    except msgspec.ValidationError as error:
        raise ConfigError(f"In {path}, table [{name}]: {error}. Mend the value and start again.") from error
