"""From the TOML file that an authority writes to a grant, with everything the file names by path read in.

``docs/grants.md`` shows the file. Plates and photos stay with the authority: the grant holds keyed hashes and
templates, under a key that is made here and dies with the grant.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import x25519
from msgspec import Meta

from edge import seal, toml
from edge.errors import VidikError
from edge.grant import document
from edge.grant.document import Function, Grant, ListedFace
from edge.grant.gate import plate_digest
from edge.vision import face_threshold
from provisioning import grants

_DAY = 86_400
_PLATE = re.compile(r"[A-Z0-9ČĆĐŠŽ]{1,16}")
_SAME = ("id", "authority", "legal_basis", "purpose", "reference", "function", "cameras", "scope", "triggers")


class DraftError(VidikError):
    """A grant cannot be made from the file, and why."""


class Sought(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sought person: a ``photo``, or the ``vector`` (base64 of 128 signed bytes) and ``scale`` of a template.

    ``threshold``: the cosine from which a face counts as theirs; by default what the draft's false alarms give.
    """

    entry: str
    photo: str = ""
    vector: str = ""
    scale: float = 0.0
    threshold: float | None = None


class Draft(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"begin": "from"}):
    """The file's fields. Times carry an offset from UTC; ``days`` may stand instead of ``until``; without
    ``from`` the grant begins at once; without ``serial`` that is the time of making, which only grows.

    ``false_alarms_per_day`` is how many false alarms one camera may raise a day on average, where
    ``passers_per_day`` people pass it: the thresholds of faces follow from them and from the length of the list.
    """

    id: str
    authority: str
    legal_basis: str
    purpose: str
    reference: str
    function: Function
    cameras: tuple[str, ...]
    recipients: tuple[str, ...]
    retention_hours: Annotated[float, Meta(gt=0, le=366 * 24)]
    scope: str = "listed"
    serial: int | None = None
    begin: Annotated[dt.datetime, Meta(tz=True)] | None = None
    until: Annotated[dt.datetime, Meta(tz=True)] | None = None
    days: Annotated[int, Meta(ge=1, le=3660)] | None = None
    hours: tuple[Annotated[str, Meta(pattern=r"\A\d\d:\d\d-\d\d:\d\d\Z")], ...] = ()
    triggers: tuple[str, ...] = ()
    plates: tuple[str, ...] = ()
    face: tuple[Sought, ...] = ()
    false_alarms_per_day: Annotated[float, Meta(gt=0)] | None = None
    passers_per_day: Annotated[float, Meta(gt=0)] | None = None


def load(path: Path) -> Grant:
    """The grant described by the TOML file ``path``. Raises ``DraftError``, or ``GrantError`` when it is unsound."""
    try:
        draft = msgspec.convert(toml.read(path), Draft)
    except (toml.TomlError, msgspec.ValidationError) as error:
        raise DraftError(f"No grant can be made from {path}: {error}. docs/grants.md shows such a file.") from error
    return document.decode(document.encode(make(draft, path.parent)))  # held to the rules every camera applies


def make(draft: Draft, folder: Path, now: float | None = None) -> Grant:
    """The grant of ``draft``, whose paths are relative to ``folder``. ``now``: seconds since the epoch."""
    made = int(time.time() if now is None else now)
    key = grants.new_key()
    begin = made if draft.begin is None else int(draft.begin.timestamp())
    fields = {name: getattr(draft, name) for name in _SAME}
    fields |= {
        "serial": made if draft.serial is None else draft.serial,
        "not_before": begin,
        "not_after": _end(draft, begin),
        "hours": tuple(_window(text) for text in draft.hours),
        "recipients": tuple(recipient(folder / name) for name in draft.recipients),
        "retention": round(draft.retention_hours * 3600),
        "template_key": key,
        "plates": tuple(sorted({plate_digest(key, _plate(text)) for text in draft.plates})),
        "faces": tuple(_face(sought, folder, _threshold(draft)) for sought in draft.face),
    }
    try:
        return msgspec.convert(fields, Grant, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise DraftError(f"No grant can be made: {error}. docs/grants.md says what each field may hold.") from error


def recipient(path: Path) -> bytes:
    """The raw public key in ``path``: PEM of X25519, or the raw bytes themselves. Raises ``DraftError``."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DraftError(f"The recipient's key {path} cannot be read: {error.strerror}. Ask the recipient.") from error
    if b"PRIVATE KEY" in content:
        raise DraftError(f"{path} is a private key, which must never leave its owner. Name the public one (.pub).")
    try:
        if content.startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(content)
            if not isinstance(key, x25519.X25519PublicKey):
                raise DraftError(f"The recipient's key {path} is not an X25519 key. Ask the recipient for that one.")
            return key.public_bytes_raw()
        seal.public_key(content)
    except ValueError as error:
        raise DraftError(f"The recipient's key {path} cannot be used: {error}. Ask the recipient again.") from error
    return content


def _end(draft: Draft, begin: int) -> int:
    if (draft.until is None) == (draft.days is None):
        raise DraftError("A grant must end: say until or days, and only one of them.")
    if draft.until is not None:
        return int(draft.until.timestamp())
    assert draft.days is not None  # one of the two is there
    return begin + draft.days * _DAY


def _window(text: str) -> tuple[int, int]:
    begin, end = (60 * int(part[:2]) + int(part[3:]) for part in text.split("-"))
    if any(int(part[3:]) > 59 for part in text.split("-")):
        raise DraftError(f"{text} is no time of day. Write hours as 06:00-22:00, in UTC.")
    return begin, end


def _plate(text: str) -> str:
    plate = re.sub(r"[\s-]", "", text.upper())
    if not _PLATE.fullmatch(plate):
        raise DraftError(f"{text!r} is no licence plate: use Latin letters (with Č Ć Đ Š Ž) and digits.")
    return plate


def _threshold(draft: Draft) -> float | None:
    """The cosine that the draft's false alarms give; None when it names none."""
    alarms, passers = draft.false_alarms_per_day, draft.passers_per_day
    if (alarms is None) != (passers is None):
        raise DraftError("false_alarms_per_day and passers_per_day belong together: give both, or neither.")
    if alarms is None or passers is None or not draft.face:
        return None
    return face_threshold.threshold(face_threshold.match_rate(alarms, passers, len(draft.face)))


def _face(sought: Sought, folder: Path, default: float | None) -> ListedFace:
    if bool(sought.photo) == bool(sought.vector):
        raise DraftError(f"The entry {sought.entry} needs a photo, or a vector with its scale, and only one of them.")
    if sought.photo:
        return _enrolled(sought, folder / sought.photo, default)
    threshold = default if sought.threshold is None else sought.threshold
    if threshold is None:
        raise DraftError(
            f"The entry {sought.entry} is given by a vector and needs a threshold. Better, say "
            "false_alarms_per_day and passers_per_day at the top of the file."
        )
    try:
        vector = base64.b64decode(sought.vector, validate=True)
    except binascii.Error as error:
        raise DraftError(f"The vector of the entry {sought.entry} is not base64: {error}.") from error
    return ListedFace(sought.entry, vector, sought.scale, threshold)


def _enrolled(sought: Sought, photo: Path, default: float | None) -> ListedFace:
    try:
        from provisioning.face_templates import Enroller  # noqa: PLC0415 - only photos need the models
    except ModuleNotFoundError as error:
        raise DraftError(
            f"Photos need the face models, and the module {error.name} is not installed here. "
            "Install them: pip install 'vidik[office,vision]'."
        ) from error
    found = Enroller().photo(photo, sought.entry).listed()
    threshold = found.threshold if default is None else default
    threshold = threshold if sought.threshold is None else sought.threshold
    return ListedFace(sought.entry, found.vector, found.scale, threshold)
