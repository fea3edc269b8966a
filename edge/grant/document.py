"""The grant as a document: its fields, and its form as a COSE_Sign message with one signature per signer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cwt import COSE, COSEKey, Signer
from msgspec import Meta

from edge.errors import VidikError
from edge.seal import key_id

LARGEST = 4 << 20  # bytes: a list of some ten thousand templates
_TYPE = "application/vidik-grant+cbor"
_ALG, _CONTENT_TYPE, _KID, _ES256 = 1, 3, 4, -7
_SIGN = 98  # CBOR tag of COSE_Sign
_MOST_SIGNERS = 16


class GrantError(VidikError):
    """A grant that does not count, and why."""


Line = Annotated[str, Meta(max_length=500)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,31}$")]


class ListedFace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A sought person: 128 int8 as bytes (real value times ``scale`` has unit norm), and the cosine from
    which a face counts as this person's."""

    entry: Id
    vector: Annotated[bytes, Meta(min_length=128, max_length=128)]
    scale: Annotated[float, Meta(gt=0.0, le=1.0)]
    threshold: Annotated[float, Meta(gt=0.0, le=1.0)]


class Grant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who allows which cameras to report what, when, why, and to whom.

    Times are seconds since the epoch, UTC. ``scope`` is ``listed`` (only what the list names) or
    ``open``. ``plates`` holds keyed hashes of sought plates (see ``gate.plate_digest``). ``recipients``
    are raw X25519 public keys. ``template_key`` is 32 random bytes that die with the grant. ``retention``
    is how many seconds a report may exist.
    """

    id: Id
    serial: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    authority: Line
    legal_basis: Line
    purpose: Line
    reference: Line
    function: Annotated[str, Meta(pattern="^(plates|faces)$")]
    cameras: Annotated[tuple[str, ...], Meta(min_length=1, max_length=100_000)]
    not_before: Annotated[int, Meta(ge=0, le=10**11)]
    not_after: Annotated[int, Meta(ge=0, le=10**11)]
    recipients: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=1)]
    retention: Annotated[int, Meta(ge=60, le=366 * 86400)]
    template_key: Key
    scope: Annotated[str, Meta(pattern="^(listed|open)$")] = "listed"
    faces: tuple[ListedFace, ...] = ()
    plates: tuple[Annotated[bytes, Meta(min_length=16, max_length=16)], ...] = ()


def encode(grant: Grant) -> bytes:
    """The unsigned content of a grant."""
    return bytes(cbor2.dumps(msgspec.to_builtins(grant, builtin_types=(bytes,)), canonical=True))


def decode(content: bytes) -> Grant:
    """The grant in ``content``; an unknown or malformed field refuses it. Raises ``GrantError``."""
    try:
        grant = msgspec.convert(cbor2.loads(content), Grant)
    except Exception as error:  # cbor2 lets errors of many types through on hostile input
        raise GrantError(f"The grant breaks its schema: {error}. Ask its authority for a new one.") from error
    if grant.not_after <= grant.not_before:
        raise GrantError(f"Grant {grant.id} ends before it begins. Ask its authority for a new one.")
    return grant


def sign(grant: Grant, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    """``grant`` as COSE_Sign with one ES256 signature by each of ``keys``, in this order."""
    signers = [
        Signer.new(_cose_key(key.public_key(), key), protected={_ALG: _ES256, _KID: key_id(key.public_key())})
        for key in keys
    ]
    return bytes(COSE.new().encode_and_sign(encode(grant), signers=signers, protected={_CONTENT_TYPE: _TYPE}))


class Signature(msgspec.Struct, frozen=True):
    """One signature of a signed grant: the key id it claims, and the message reduced to it alone."""

    kid: bytes
    message: bytes


def signatures(signed: bytes) -> list[Signature]:
    """The signatures in ``signed``, not yet checked. Raises ``GrantError`` when it is not a signed grant."""
    if len(signed) > LARGEST:
        raise GrantError(f"A grant of {len(signed)} bytes is over the limit of {LARGEST}. Shorten its list.")
    try:
        outer = cbor2.loads(signed)
        if not isinstance(outer, cbor2.CBORTag) or outer.tag != _SIGN:
            raise ValueError("another kind of message")
        body, unprotected, content, signers = outer.value
        if cbor2.loads(body) != {_CONTENT_TYPE: _TYPE} or unprotected != {} or not isinstance(content, bytes):
            raise ValueError("another type of content")
        if len(signers) > _MOST_SIGNERS:
            raise ValueError("too many signatures")
        return [_signature(body, content, signer) for signer in signers]
    except Exception as error:  # cbor2 lets errors of many types through on hostile input
        raise GrantError(f"Not a signed grant ({type(error).__name__}: {error}). Fetch the file again.") from error


def _signature(body: bytes, content: bytes, signer: list[Any]) -> Signature:
    header = cbor2.loads(signer[0])
    if header.get(_ALG) != _ES256 or not isinstance(header.get(_KID), bytes) or signer[1] != {} or len(signer) != 3:
        raise ValueError("a signature of an unknown form")
    alone = [signer[0], {_KID: header[_KID]}, signer[2]]
    return Signature(header[_KID], cbor2.dumps(cbor2.CBORTag(_SIGN, [body, {}, content, [alone]])))


def check(signature: Signature, key: ec.EllipticCurvePublicKey) -> bytes:
    """The signed content, when ``signature`` was made with ``key``. Raises when it was not."""
    return bytes(COSE.new().decode(signature.message, _cose_key(key)))


def recipient(grant: Grant) -> x25519.X25519PublicKey:
    """The public key reports under ``grant`` are sealed to."""
    return x25519.X25519PublicKey.from_public_bytes(grant.recipients[0])


def _cose_key(public: ec.EllipticCurvePublicKey, private: ec.EllipticCurvePrivateKey | None = None) -> Any:
    numbers = public.public_numbers()
    fields: dict[int, Any] = {
        1: 2, 2: key_id(public), 3: _ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big"),
    }  # fmt: skip
    if private is not None:
        fields[-4] = private.private_numbers().private_value.to_bytes(32, "big")
    return COSEKey.new(fields)
