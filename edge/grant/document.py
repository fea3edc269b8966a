"""What a grant and a revocation say: their fields, what these may hold, and their form in bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from msgspec import Meta

from edge import cbor, seal
from edge.config import CameraId
from edge.errors import VidikError
from edge.grant import signed as documents
from edge.grant.signed import LARGEST, GrantError, Kind

__all__ = [
    "LARGEST", "Grant", "GrantError", "ListedFace", "Revocation", "decode", "decode_revocation", "encode", "recipients",
    "sign", "sign_revocation",
]  # fmt: skip

DAY_MINUTES = 24 * 60
_ITEMS = 200_000  # of CBOR: cameras and list entries are the most of a grant
_NORM = 0.01  # by how much the length of a listed template may differ from 1

# No control characters and no marks that change the direction of text: what people read is what they sign.
_PLAIN = r"\A[^\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]*\Z"
Line = Annotated[str, Meta(max_length=500, pattern=_PLAIN)]
Id = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9._-]{0,31}\Z")]
Trigger = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z")]
Time = Annotated[int, Meta(ge=0, le=10**11)]
Minute = Annotated[int, Meta(ge=0, le=DAY_MINUTES)]
Serial = Annotated[int, Meta(ge=1, le=2**63 - 1)]
PlateDigest = Annotated[bytes, Meta(min_length=16, max_length=16)]
RecipientKey = Annotated[bytes, Meta(min_length=32, max_length=seal.HYBRID_BYTES)]
Function = Literal["plates", "faces"]


class ListedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sought person: 128 int8 as bytes (real value times ``scale`` has unit norm), as the embedder gives them,
    and the cosine from which a face counts as this person's."""

    entry: Id
    vector: Annotated[bytes, Meta(min_length=128, max_length=128)]
    scale: Annotated[float, Meta(gt=0.0, le=1.0)]
    threshold: Annotated[float, Meta(gt=0.0, le=1.0)]


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who allows which cameras to report what, when, why, and to whom.

    Every field is critical: a camera that does not know one refuses the grant.

    ``serial`` grows with every grant of the same ``id``; a later one supersedes the earlier. Times are seconds
    since the epoch, UTC, the end exclusive; ``hours`` are daily windows in minutes since midnight, UTC, ends
    exclusive, none meaning the whole day. ``scope`` is ``listed`` (only what the list names) or ``open``.
    ``plates`` holds keyed hashes of sought plates (see ``gate.plate_digest``). ``triggers``: when there are
    any, only objects that tripped one of these rules. ``recipients`` are raw public keys: X25519 (32 bytes), or
    one hybrid key (see ``seal``). ``template_key`` is 32 random bytes that die with the grant. ``retention`` is
    how many seconds a report may exist.
    """

    id: Id
    serial: Serial
    authority: Line
    legal_basis: Line
    purpose: Line
    reference: Line
    function: Function
    cameras: Annotated[tuple[CameraId, ...], Meta(min_length=1, max_length=100_000)]
    not_before: Time
    not_after: Time
    recipients: Annotated[tuple[RecipientKey, ...], Meta(min_length=1, max_length=seal.MOST_RECIPIENTS)]
    retention: Annotated[int, Meta(ge=60, le=366 * 86400)]
    template_key: Annotated[bytes, Meta(min_length=32, max_length=32)]
    hours: Annotated[tuple[tuple[Minute, Minute], ...], Meta(max_length=24)] = ()
    triggers: Annotated[tuple[Trigger, ...], Meta(max_length=16)] = ()
    scope: Literal["listed", "open"] = "listed"
    faces: tuple[ListedFace, ...] = ()
    plates: tuple[PlateDigest, ...] = ()


class Revocation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Takes back the grant with the id ``grant``, in all its versions up to ``serial``. ``time``: when it was
    decided, seconds since the epoch."""

    grant: Id
    serial: Serial
    reason: Line
    time: Time


def encode(document: Grant | Revocation) -> bytes:
    """The unsigned content: canonical CBOR."""
    return bytes(cbor2.dumps(msgspec.to_builtins(document, builtin_types=(bytes,)), canonical=True))


def decode(content: bytes) -> Grant:
    """The grant in ``content``; an unknown or malformed field refuses it. Raises ``GrantError``."""
    grant = _convert(content, Grant)
    for fault in _faults(grant):
        raise GrantError(f"Grant {grant.id} {fault}. Ask its authority for a new one.")
    return grant


def decode_revocation(content: bytes) -> Revocation:
    """The revocation in ``content``. Raises ``GrantError``."""
    return _convert(content, Revocation)


def sign(grant: Grant, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    """``grant`` as a document signed by each of ``keys``, in this order."""
    return _sign(encode(grant), Kind.GRANT, keys)


def sign_revocation(revocation: Revocation, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    """``revocation`` as a document signed by each of ``keys``."""
    return _sign(encode(revocation), Kind.REVOCATION, keys)


def recipients(grant: Grant) -> tuple[seal.RecipientKey, ...]:
    """The public keys reports under ``grant`` are sealed to."""
    return tuple(seal.public_key(raw) for raw in grant.recipients)


def _sign(content: bytes, kind: Kind, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    signed = documents.draft(content, kind)
    for key in keys:
        signed = documents.add(signed, kind, key)
    return signed


Document = TypeVar("Document", Grant, Revocation)


def _convert(content: bytes, kind: type[Document]) -> Document:
    try:
        # bytes as a builtin: text must not be taken for base64
        return msgspec.convert(cbor.loads(content, items=_ITEMS), kind, builtin_types=(bytes,))
    except (VidikError, msgspec.ValidationError) as error:
        name = kind.__name__.lower()
        raise GrantError(f"The {name} breaks its schema: {error}. Ask its authority for a new one.") from error


def _faults(grant: Grant) -> list[str]:
    """What contradicts itself in a grant whose fields are each well-formed."""
    edges = [minute for window in grant.hours for minute in window]
    names = [face.entry for face in grant.faces]
    found = {
        "ends before it begins": grant.not_after <= grant.not_before,
        "has daily hours that overlap or are out of order": any(a >= b for a, b in pairwise(edges)),
        "names something twice": any(len(set(s)) < len(s) for s in (grant.cameras, grant.recipients, names)),
        "lists what it is not about": bool(grant.plates if grant.function == "faces" else grant.faces),
        "has a list although its scope is open": grant.scope == "open" and bool(grant.faces or grant.plates),
        "lists a template that is not of length 1": any(not _is_unit(face) for face in grant.faces),
        "has a recipient's key that cannot be used": not _usable(grant.recipients),
    }
    return [fault for fault, present in found.items() if present]


def _is_unit(face: ListedFace) -> bool:
    # a longer vector would be similar to everybody
    return abs(face.scale * math.hypot(*memoryview(face.vector).cast("b")) - 1.0) <= _NORM


def _usable(raw: tuple[Any, ...]) -> bool:
    if any(len(key) != 32 for key in raw) and len(raw) > 1:
        return False  # several reports' worth of hybrid ciphertext would not fit one report
    try:
        for key in raw:
            seal.public_key(key)
    except ValueError:
        return False
    return True
