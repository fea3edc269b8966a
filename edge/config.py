"""The camera's configuration: one TOML file, typed, checked in full before anything starts.

Each process reads only its own table. Paths in the file are relative to the file's folder.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from edge import systemd, toml
from edge.behaviour import Behaviour, Polygon, check_polygon
from edge.errors import VidikError

CameraId = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z", description="lower case, digits, hyphens")]
Milliseconds = Annotated[float, Meta(gt=0.0, le=10_000.0)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Exposure = Annotated[int, Meta(ge=10, le=1_000_000)]
Gain = Annotated[float, Meta(ge=1.0, le=1024.0)]
Between = tuple[Annotated[float, Meta(ge=0.0, le=1e6)], Annotated[float, Meta(ge=0.0, le=1e6)]]
Shares = tuple[Annotated[float, Meta(ge=0.0, le=1.0)], Annotated[float, Meta(ge=0.0, le=1.0)]]
CONFIRMATIONS = "confirm"  # the folder beside ``incoming`` for confirmations of test reports: the setup page reads it


class ConfigError(VidikError):
    """The configuration file cannot be read or says something it may not."""


class Broker(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where another broker is, for when those before it do not answer."""

    host: str
    port: Port = 8883


class Uplink(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the uplink process needs. ``inbox`` is the socket that vision hands sealed reports to.

    ``notices`` is where vision puts the signed card and the head of its audit log, to be published; ``incoming`` is
    where documents from the broker go, for vision to verify; ``signals`` the folder where the states of signals from
    the broker go, for vision's rules (docs/rules.md); ``stated`` the folder where the uplink says whether it is
    connected, by which a new image is judged (docs/updates.md). On ``metrics_port`` of the loopback interface the
    camera's figures are served for Prometheus.
    """

    camera: CameraId
    host: str
    port: Port = 8883
    ca: Path
    certificate: Path
    key: Path
    signing_certificate: Path
    inbox: Path
    spool: Path
    spool_bytes: Annotated[int, Meta(ge=1 << 20)] = 512 << 20
    notices: Path | None = None
    incoming: Path | None = None
    signals: Path | None = None
    stated: Path | None = None
    fallback: Annotated[tuple[Broker, ...], Meta(max_length=8)] = ()
    keepalive: Annotated[int, Meta(ge=5, le=3600)] = 60
    wait_for_subscribers: bool = True
    settle_seconds: Annotated[float, Meta(ge=0.0, le=600.0)] = 10.0
    answer_seconds: Annotated[float, Meta(ge=1.0, le=600.0)] = 30.0
    drain_rate: Annotated[float, Meta(ge=0.0, le=100_000.0)] = 50.0
    commit_seconds: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.25
    metrics_port: Port | None = None


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


class Camera(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a camera is to be set. ``None`` leaves it to the camera.

    ``exposure_us`` is the time of exposure in microseconds, ``gain`` the analogue gain (of a V4L2 camera: in the units
    of its driver), ``focus`` the lens position in dioptres (0: infinity); a Raspberry Pi camera without ``focus`` keeps
    focusing by itself if it can. ``monochrome`` has it leave out colours.
    """

    width: Annotated[int, Meta(ge=320, le=4096, multiple_of=4)] = 1920
    height: Annotated[int, Meta(ge=240, le=4096, multiple_of=4)] = 1080
    fps: Annotated[float, Meta(ge=1.0, le=120.0)] = 15.0
    exposure_us: Exposure | None = None
    gain: Gain | None = None
    monochrome: bool = False
    focus: Annotated[float, Meta(ge=0.0, le=32.0)] | None = None


class Accelerator(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What runs the models. ``threads``: of the processor, for models and for detectors side by side.

    ``library`` is the driver of ``kind`` ``edge-tpu`` or ``gpu`` (a TensorFlow Lite delegate).
    """

    kind: Literal["cpu", "edge-tpu", "gpu"] = "cpu"
    threads: Annotated[int, Meta(ge=1, le=16)] = 1
    library: str = ""


class Thermal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """From which temperature on, in degrees Celsius, less is done; ``zones`` is where the kernel shows temperatures."""

    hot: Annotated[float, Meta(ge=30.0, le=120.0)] = 78.0
    zones: Path = Path("/sys/class/thermal")


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Something that is switched on by ``when``, such as an infrared lamp: an LED of the kernel (``led``, a folder like
    ``/sys/class/leds/ir``), or the line ``line`` of the GPIO chip ``chip``. With ``pulse_ms`` it is on for so many
    milliseconds only, at the change."""

    name: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z", description="lower case, digits, hyphens")]
    led: Path | None = None
    chip: Path | None = None
    line: Annotated[int, Meta(ge=0, le=4095)] | None = None
    active_low: bool = False
    when: Literal["night", "day"] = "night"
    pulse_ms: Annotated[int, Meta(ge=0, le=500)] = 0

    def __post_init__(self) -> None:
        if (self.led is None) == (self.chip is None) or (self.chip is None) != (self.line is None):
            raise ValueError(f"the output {self.name} needs either led, or chip and line")


class Night(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When it is night for a camera, and what changes then.

    Below the first of ``lux`` it is night, above the second day, where the camera states or lets reckon the light;
    elsewhere the same holds of ``luminance``, the picture's median from 0 to 1. That must last ``steady_seconds``; what
    was changed stays for ``dwell_seconds`` at least. ``exposure_us`` and ``gain`` are what the camera is fixed to at
    night, so that plates do not blur; None leaves them as by day.
    """

    lux: Between = (10.0, 40.0)
    luminance: Shares = (0.1, 0.35)
    steady_seconds: Annotated[float, Meta(ge=0.0, le=600.0)] = 10.0
    dwell_seconds: Annotated[float, Meta(ge=1.0, le=3600.0)] = 120.0
    exposure_us: Exposure | None = None
    gain: Gain | None = None
    monochrome: bool = False
    output: Annotated[tuple[Output, ...], Meta(max_length=4)] = ()

    def __post_init__(self) -> None:
        for name, (dark, bright) in (("lux", self.lux), ("luminance", self.luminance)):
            if dark >= bright:
                raise ValueError(f"of {name}, what is night ({dark:g}) must be less than what is day ({bright:g})")
        if len({each.name for each in self.output}) < len(self.output):
            raise ValueError("two outputs have the same name")


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the camera link needs: the network camera's address, and the socket where vision takes its video."""

    url: Annotated[str, Meta(pattern=r"\Artsps?://[^\s\"'!]+\Z", description="rtsp:// or rtsps://")]
    socket: Path
    latency_ms: Annotated[int, Meta(ge=0, le=5000)] = 200


class Vision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the vision process needs. ``source`` is a video file, a folder of images, or a device path.

    ``grants`` is where people put documents by hand, ``incoming`` where the uplink does; ``state`` keeps what must
    survive a restart: start counter, newest time, record of grants, audit log; ``notices`` is where the signed public
    card and the head of the audit log are put for the uplink (by default: in ``state``). ``events`` is the postbox in
    which other processes leave events for the audit log. ``privacy`` are polygons, in fractions of the frame, that no
    model may see.
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
    events: Path | None = None
    pace: bool = False
    look: Look = Look()
    privacy: Annotated[tuple[Polygon, ...], Meta(max_length=32)] = ()
    behaviour: Behaviour = Behaviour()
    lens: Camera = Camera()
    accelerator: Accelerator = Accelerator()
    thermal: Thermal = Thermal()
    night: Night | None = None

    def __post_init__(self) -> None:
        for number, polygon in enumerate(self.privacy, 1):
            check_polygon(f"privacy zone {number}", polygon)


Table = TypeVar("Table", Uplink, Vision, Link)
_TABLES: dict[type, str] = {Uplink: "uplink", Vision: "vision", Link: "link"}
# the key that a process holds, and the name under which the service manager hands it over
_CREDENTIALS = {Uplink: ("key", "connection.key"), Vision: ("signing_key", "signing.key")}


def load(path: Path, table: type[Table]) -> Table:
    """The table of ``path`` that belongs to one process. Raises ``ConfigError`` naming the line to mend.

    A key that the service manager hands to the process takes the place of the file that the configuration names.
    """
    try:
        parsed = toml.read(path)
    except toml.TomlError as error:
        raise ConfigError(f"The configuration {path} cannot be read: {error}. Mend it and start again.") from error
    settings = convert(parsed, path, table)
    field, name = _CREDENTIALS.get(table, ("", ""))
    given = systemd.credential(name) if name else None
    return settings if given is None else msgspec.structs.replace(settings, **{field: given})


def convert(parsed: dict[str, Any], path: Path, table: type[Table]) -> Table:
    """The same of what was read already, as if it stood in ``path``. Raises ``ConfigError``."""
    name = _TABLES[table]
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


def notices_of(path: Path) -> Path:
    """Where the vision process states its health, even if the configuration ``path`` is otherwise broken: what it
    says, as far as it can be read, or a folder ``state`` beside it."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    vision = text.partition("[vision]")[2] or text
    for name in ("notices", "state"):
        found = re.search(rf"""^{name}\s*=\s*["']([^"'\n]+)["']""", vision, re.MULTILINE)
        if found:
            return path.parent / found.group(1)
    return path.parent / "state"
