"""Cameras in and out as CSV, and as a list for people and programs."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path

from edge.errors import VidikError
from edge.grant.words import plain
from edge.listen.trust import CAMERA_ID
from provisioning.office.inventory import Camera, Inventory

COLUMNS = ("id", "label", "place")
_STATED = ("state", "added", "claim_until", "certificate_until")  # of an export; an import passes over them
_MOST = 100_000  # rows
_LONGEST = 200  # characters of a field


class TableError(VidikError):
    """A table of cameras that cannot be used."""


@dataclass(frozen=True, slots=True)
class Row:
    """One camera as it stands. Times in seconds since the epoch, None where there is nothing.

    ``certificate_until``: when the first of the camera's newest two certificates ends.
    """

    camera: Camera
    claim_until: int | None
    certificate_until: int | None


def read(path: Path, now: int) -> list[Camera]:
    """The cameras in a CSV file whose first line names the columns id, label and place (the last two optional).

    Raises ``TableError`` naming the line.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            unknown = set(table.fieldnames or ()) - {*COLUMNS, *_STATED}
            if unknown or "id" not in (table.fieldnames or ()):
                raise TableError(f"{path}: the first line must name the columns {', '.join(COLUMNS)}. Mend it.")
            found = [_camera(path, table.line_num, row, now) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path} cannot be read as CSV in UTF-8: {error}. Save it again.") from error
    seen: set[str] = set()
    for camera in found:
        if camera.id in seen:
            raise TableError(f"{path} names {camera.id} twice. Remove one of the lines.")
        seen.add(camera.id)
    if not 0 < len(found) <= _MOST:
        raise TableError(f"{path} has {len(found)} cameras; 1 to {_MOST} can be added at a time.")
    return found


def camera(name: str, label: str, place: str, now: int) -> Camera:
    """A new camera. Raises ``TableError``."""
    if not CAMERA_ID.fullmatch(name):
        raise TableError(f"{name!r} cannot be a camera id: use up to 32 lower-case letters, digits and hyphens.")
    if max(len(label), len(place)) > _LONGEST or (label + place) != plain(label + place):
        raise TableError(f"Label and place of {name} must be plain text of at most {_LONGEST} characters each.")
    return Camera(name, label, place, now, "new")


def rows(inventory: Inventory, now: int) -> list[Row]:
    """How every camera stands at ``now``."""
    return [_row(inventory, camera, now) for camera in inventory.cameras()]


def export(listed: list[Row]) -> str:
    """``listed`` as CSV, which ``read`` takes back."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*COLUMNS, *_STATED])
    for row in listed:
        stated = (row.camera.added, row.claim_until, row.certificate_until)
        dates = ["" if when is None else date(when) for when in stated]
        table.writerow([row.camera.id, row.camera.label, row.camera.place, row.camera.state, *dates])
    return text.getvalue()


def date(when: int) -> str:
    """``when`` in UTC, to the minute."""
    return time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(when))


def _camera(path: Path, line: int, row: dict[str, str], now: int) -> Camera:
    if None in row or None in row.values():
        raise TableError(f"{path}, line {line}: it has not as many fields as the first line. Mend it.")
    try:
        return camera(row["id"].strip(), row.get("label", "").strip(), row.get("place", "").strip(), now)
    except TableError as error:
        raise TableError(f"{path}, line {line}: {error}") from error


def _row(inventory: Inventory, camera: Camera, now: int) -> Row:
    newest = {held.purpose: held.until for held in inventory.certificates(camera.id) if held.revoked is None}
    open_claims = [
        claim.until for claim in inventory.claims(camera.id)
        if not claim.void and claim.until >= now and inventory.issued_for(claim.digest, "connection") is None
    ]  # fmt: skip
    return Row(camera, max(open_claims, default=None), min(newest.values(), default=None))
