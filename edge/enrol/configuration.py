"""The configuration that a camera gets at enrolment, and what a technician may say of it beforehand.

``vidik-camera.toml`` lies beside the claim. It has what differs from pole to pole, in the words of
docs/configuration.md, and no more: where reports go and whom to trust comes from the office alone.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge import config, toml
from edge.config import ConfigError
from edge.enrol.identity import CA, CURRENT, IDENTITY, TRUST

FILE = "vidik-camera.toml"  # beside the claim
_LINK = "run/link/video"  # the socket of the camera link


class VisionOverlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What of ``[vision]`` may be said beforehand. The tables are checked as a whole with the rest."""

    source: Annotated[str, Meta(min_length=1, max_length=1024)] | None = None
    pace: bool | None = None
    lens: dict[str, Any] | None = None
    behaviour: dict[str, Any] | None = None
    privacy: list[Any] | None = None
    accelerator: dict[str, Any] | None = None


class LinkOverlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The network camera's address. Its socket, and vision's source, follow from it."""

    url: str
    latency_ms: int | None = None


class Overlay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The file ``vidik-camera.toml``."""

    vision: VisionOverlay = VisionOverlay()
    link: LinkOverlay | None = None


def overlay(path: Path) -> Overlay | None:
    """What ``path`` says, None when it is not there. Raises ``ConfigError``."""
    if not path.exists():
        return None
    try:
        return msgspec.convert(toml.read(path), Overlay)
    except (toml.TomlError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path} cannot be used: {error}. Mend it; until then nothing is enrolled.") from error


def text(camera: str, host: str, port: int, source: str, said: Overlay | None = None) -> str:
    """The configuration of ``camera``, whose broker is ``host``."""
    held = f"{IDENTITY}/{CURRENT}"
    link = said.link if said else None
    vision = {"source": f"link:{_LINK}" if link else source} | _given(said.vision if said else VisionOverlay())
    tables: dict[str, dict[str, Any]] = {
        "vision": {
            "camera": camera, "source": vision.pop("source"), "inbox": "run/inbox", "trust": f"{held}/{TRUST}",
            "grants": "grants", "incoming": "run/incoming", "state": "state", "events": "events",
            "notices": "run/notices",
            "signing_key": f"{held}/signing.key", "signing_certificate": f"{held}/signing.pem", **vision,
        },
        "uplink": {
            "camera": camera, "host": host, "port": port, "ca": f"{held}/{CA}",
            "certificate": f"{held}/connection.pem", "key": f"{held}/connection.key",
            "signing_certificate": f"{held}/signing.pem", "inbox": "run/inbox", "spool": "spool/spool.sqlite",
            "notices": "run/notices", "incoming": "run/incoming", "signals": "run/signals",
            "stated": "run/uplink",
        },
    }  # fmt: skip
    if link:
        tables["link"] = {"socket": _LINK, **_given(link)}
    lines = ["# Written at enrolment; docs/configuration.md says what else there is."]
    for name, values in tables.items():
        lines += [f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in values.items()), ""]
    return "\n".join(lines)


def check(written: str, path: Path) -> None:
    """Raises ``ConfigError`` unless every process will take ``written``, as it would stand in ``path``."""
    parsed = tomllib.loads(written)
    config.convert(parsed, path, config.Vision)
    config.convert(parsed, path, config.Uplink)
    if "link" in parsed:
        config.convert(parsed, path, config.Link)


def _given(said: VisionOverlay | LinkOverlay) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}


def _toml(value: Any) -> str:
    """``value``, as tomllib reads it, in one line of TOML."""
    match value:
        case dict():
            return "{ " + ", ".join(f"{_toml(str(key))} = {_toml(each)}" for key, each in value.items()) + " }"
        case list():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case str():
            # JSON strings are valid TOML, but for one character that TOML wants escaped
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case _:
            return str(value.isoformat())  # dates and times
