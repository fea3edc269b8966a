"""The signs of life that a new image has to show: what vision and the uplink state of themselves.

Both keep a small file in memory, so that what stands there is of this start. Vision describes no frame before every
model that it uses has passed its self-test (edge/vision/selftest.py), so frames are the sign for that too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge import config
from edge.enrol.identity import SEALED
from edge.errors import VidikError

HEALTH, UPLINK = "health.json", "uplink.json"
_LARGEST = 64 << 10  # bytes
_OLD = 90.0  # seconds after which what a process states of itself does not count


def of(configuration: Path, notices: Path, now: float) -> list[str]:
    """What the camera with that ``configuration`` lacks; the rest as in ``read``."""
    if not configuration.exists() or not (configuration.parent / SEALED).exists():
        return []  # there is no vision to run yet; that the unit came up is all it can show
    try:
        uplink = config.load(configuration, config.Uplink).stated
    except VidikError as error:  # an image that cannot read the camera's configuration has not proved itself
        return [str(error)]
    return read(notices, uplink, now)


def read(notices: Path, uplink: Path | None, now: float) -> list[str]:
    """What the camera lacks whose vision states itself in the folder ``notices``, and whose uplink in the folder
    ``uplink``, at the time ``now`` (seconds since the epoch)."""
    return missing(_stated(notices / HEALTH), _stated(uplink / UPLINK) if uplink is not None else {}, now)


def missing(health: Mapping[str, Any], uplink: Mapping[str, Any], now: float) -> list[str]:
    """What a camera lacks whose vision states ``health`` and whose uplink ``uplink``; empty where there is none."""
    found = []
    if not _is_fresh(health, now):
        found.append("vision states nothing of itself")
    else:
        frames = health.get("frames")
        if not isinstance(frames, int) or frames < 1:
            found.append("vision has described no frame")
        if health.get("state") == "failing":
            found.append(f"vision is failing{_causes(health)}")
    if not _is_fresh(uplink, now):
        found.append("the uplink states nothing of itself")
    elif uplink.get("connected") is not True:
        found.append("the uplink is not connected")
    return found


def _is_fresh(stated: Mapping[str, Any], now: float) -> bool:
    when = stated.get("time")
    return isinstance(when, int | float) and abs(now - when) <= _OLD


def _causes(health: Mapping[str, Any]) -> str:
    causes = health.get("causes")
    return f" ({'; '.join(map(str, causes))[:120]})" if isinstance(causes, list) and causes else ""


def _stated(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_LARGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
