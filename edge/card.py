"""The public card: what a camera is, what it may do by whose order, and what it did, signed by the camera.

The form is a JWS in flattened JSON serialisation (RFC 7515 section 7.2.2) with ES256 and the camera's
certificate in ``x5c``, so that any JOSE library can check it; ``docs/card.md`` shows how. It holds no list, no
key of a grant, and counts of whole days only: a finer count would tell a passer-by that he was recognised.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from edge.errors import VidikError
from edge.grant.document import Grant
from edge.signing import Signer, holds

LARGEST = 64 << 10  # bytes of a signed card
VERSION = 1
TYPE = "vidik-card+json"
_MOST = 64  # entries of each list in a card
_SAME = (  # what a card says of a grant in the grant's own words
    "id", "serial", "function", "scope", "authority", "legal_basis", "purpose", "reference", "retention", "hours",
    "triggers",
)  # fmt: skip

Text = Annotated[str, Meta(max_length=500)]
Short = Annotated[str, Meta(max_length=64)]
Time = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Minute = Annotated[int, Meta(ge=0, le=1440)]
Counts = Annotated[dict[Short, Annotated[int, Meta(ge=0)]], Meta(max_length=_MOST)]


class CardError(VidikError):
    """A card that proves nothing, and why."""


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A neural network the camera runs: its name and the SHA-256 of its file."""

    name: Short
    sha256: Digest


class Allowed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the public may know of a grant in force. ``scope``: ``listed`` is only what is on its list, ``open``
    is everything. ``retention``: seconds a report may exist. ``recipients``: how many may read the reports.
    ``hours``: daily windows in minutes since midnight, UTC. ``triggers``: rules of behaviour it is limited to."""

    id: Short
    serial: Annotated[int, Meta(ge=1)]
    function: Annotated[str, Meta(pattern="^(plates|faces)$")]
    scope: Annotated[str, Meta(pattern="^(listed|open)$")]
    authority: Text
    legal_basis: Text
    purpose: Text
    reference: Text
    not_before: Time
    not_after: Time
    retention: Annotated[int, Meta(ge=1)]
    recipients: Annotated[int, Meta(ge=1)]
    hours: Annotated[tuple[tuple[Minute, Minute], ...], Meta(max_length=24)] = ()
    triggers: Annotated[tuple[Short, ...], Meta(max_length=16)] = ()


class Counters(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What became of everything the camera saw on one whole day."""

    begin: Time
    end: Time
    seen: Counts
    reported: Counts
    discarded: Counts


class AuditState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far the audit log had got: the number of its last entry, and the hash there."""

    number: Annotated[int, Meta(ge=0)]
    hash: Digest


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The public statement of one camera. ``functions``: what is on, which is what grants in force allow."""

    version: Annotated[int, Meta(ge=VERSION, le=VERSION)] = VERSION
    camera: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
    issued: Time
    software: Short
    models: Annotated[tuple[Model, ...], Meta(max_length=_MOST)]
    functions: Annotated[tuple[Short, ...], Meta(max_length=_MOST)]
    grants: Annotated[tuple[Allowed, ...], Meta(max_length=_MOST)]
    counters: Counters | None
    audit: AuditState


class _Jws(msgspec.Struct, forbid_unknown_fields=True):
    payload: str
    protected: str
    signature: str


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    alg: str
    typ: str
    x5c: Annotated[list[str], Meta(min_length=1, max_length=1)]


def build(
    camera: str,
    now: float,
    *,
    software: str,
    models: Mapping[str, str],
    grants: Iterable[Grant],
    audit: tuple[int, bytes],
    counters: Counters | None = None,
) -> Card:
    """The card of ``camera`` at ``now`` (seconds since the epoch).

    ``models``: SHA-256 in hex by name. ``grants``: those in force. ``audit``: number and hash of the log's
    last entry.
    """
    allowed = tuple(_allowed(grant) for grant in grants)[:_MOST]
    return Card(
        camera=camera,
        issued=timestamp(now),
        software=software,
        models=tuple(Model(name, digest) for name, digest in sorted(models.items())),
        functions=tuple(sorted({grant.function for grant in allowed})),
        grants=allowed,
        counters=counters,
        audit=AuditState(audit[0], audit[1].hex()),
    )


def sign(card: Card, signer: Signer) -> bytes:
    """``card`` as signed JSON."""
    header = _Header("ES256", TYPE, [base64.b64encode(signer.certificate).decode()])
    protected, payload = _to_base64url(msgspec.json.encode(header)), _to_base64url(msgspec.json.encode(card))
    signature = _to_base64url(signer.sign(f"{protected}.{payload}".encode()))
    return msgspec.json.encode(_Jws(payload, protected, signature))


def read(signed: bytes) -> tuple[Card, bytes]:
    """The card in ``signed`` and the DER certificate of its signer.

    The signature is checked against that certificate, but not who issued the certificate. Raises
    ``CardError``.
    """
    if len(signed) > LARGEST:
        raise CardError(f"A card of {len(signed)} bytes is refused: the limit is {LARGEST}.")
    try:
        jws = msgspec.json.decode(signed, type=_Jws)
        header = msgspec.json.decode(_from_base64url(jws.protected), type=_Header)
        certificate = base64.b64decode(header.x5c[0], validate=True)
        signature, payload = _from_base64url(jws.signature), _from_base64url(jws.payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CardError(f"Not a signed card ({error}). Fetch it again.") from error
    if (header.alg, header.typ) != ("ES256", TYPE):
        raise CardError("Not a signed card, but another kind of signed statement. Fetch it again.")
    if not holds(signature, f"{jws.protected}.{jws.payload}".encode(), certificate):
        raise CardError("The signature of the card does not hold: it was changed or forged.")
    try:
        return msgspec.json.decode(payload, type=Card), certificate
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CardError(f"The card is signed but breaks its schema: {error}. Update this program.") from error


def timestamp(seconds: float) -> str:
    """``seconds`` since the epoch as it stands in a card: UTC, whole seconds."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> datetime:
    """A time of a card. Raises ``CardError`` for a date that does not exist."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise CardError(f"The card names a time that does not exist: {text}. It cannot be genuine.") from error


def _allowed(grant: Grant) -> Allowed:
    fields: dict[str, Any] = {name: getattr(grant, name) for name in _SAME}
    fields |= {name: timestamp(getattr(grant, name)) for name in ("not_before", "not_after")}
    return Allowed(**fields, recipients=len(grant.recipients))


def _to_base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _from_base64url(text: str) -> bytes:
    """Strictly: no padding, no other characters, one spelling only. Raises ``ValueError``."""
    content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    if _to_base64url(content) != text:
        raise binascii.Error("base64url of another spelling")
    return content
