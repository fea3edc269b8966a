"""Documents with several signers: COSE_Sign (RFC 9052 section 4.1) in the one form that is accepted here.

Tag 98; protected header ``{3: content type}``, empty unprotected header, the content, and per signer a protected
header ``{1: -7, 4: key id}``, an empty unprotected header and an ES256 signature. A signature covers content and
content type but no other signature, so people may sign at different places, in any order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import cbor2
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey, Signer

from edge import cbor
from edge.errors import VidikError
from edge.seal import key_id

LARGEST = 4 << 20  # bytes: a list of some ten thousand templates
_ALG, _CONTENT_TYPE, _KID, _ES256 = 1, 3, 4, -7
_SIGN = 98  # CBOR tag of COSE_Sign
_MOST_SIGNERS = 16


class GrantError(VidikError):
    """A grant, revocation or trust file that does not count, and why."""


class Kind(StrEnum):
    """What is signed. The content type is under every signature, so none passes for another."""

    GRANT = "application/vidik-grant+cbor"
    REVOCATION = "application/vidik-revocation+cbor"
    TRUST = "application/vidik-trust+cbor"


class Signature(msgspec.Struct, frozen=True):
    """One signature: the key id it claims, and the message reduced to it alone. Not yet checked."""

    kid: bytes
    message: bytes


def draft(content: bytes, kind: Kind) -> bytes:
    """``content`` as a document that nobody has signed yet."""
    return _pack(content, kind, [])


def add(signed: bytes, kind: Kind, key: ec.EllipticCurvePrivateKey) -> bytes:
    """``signed`` with one more signature, by ``key``; one that this key made before is replaced.

    Raises ``GrantError`` when ``signed`` is no document of this kind, or has no room for another signature.
    """
    content, signers = _open(signed, kind)
    kid = key_id(key.public_key())
    signer = Signer.new(_cose_key(key.public_key(), key), protected={_ALG: _ES256, _KID: kid})
    alone = COSE.new().encode_and_sign(content, signers=[signer], protected={_CONTENT_TYPE: str(kind)})
    mine = cbor.loads(alone, tag=_SIGN)[3]
    others = [other for other in signers if _claimed(other) != kid]
    if len(others) >= _MOST_SIGNERS:
        raise GrantError(f"The document has {len(others)} signatures already, which is the most there may be.")
    return _pack(content, kind, [*others, *mine])


def content(signed: bytes, kind: Kind) -> bytes:
    """What the document says, whoever signed it: to show it to people before they sign. Raises ``GrantError``."""
    return _open(signed, kind)[0]


def signatures(signed: bytes, kind: Kind) -> list[Signature]:
    """The signatures in ``signed``, at most one of each key. Raises ``GrantError``."""
    content, signers = _open(signed, kind)
    found = [Signature(_claimed(signer), _pack(content, kind, [signer])) for signer in signers]
    if len({signature.kid for signature in found}) < len(found):
        raise GrantError("The document carries two signatures of one key. Fetch the file again.")
    return found


def check(signature: Signature, key: ec.EllipticCurvePublicKey) -> bytes:
    """The signed content, when ``signature`` was made with ``key``. Raises when it was not."""
    return bytes(COSE.new().decode(signature.message, _cose_key(key)))


def _open(signed: bytes, kind: Kind) -> tuple[bytes, list[Any]]:
    if len(signed) > LARGEST:
        raise GrantError(f"A document of {len(signed)} bytes is over the limit of {LARGEST}. Shorten its list.")
    try:
        body, unprotected, content, signers = cbor.loads(signed, tag=_SIGN)
        if body != _protected(kind) or unprotected != {} or not isinstance(content, bytes):
            raise ValueError("another type of content")
        if len(signers) > _MOST_SIGNERS:
            raise ValueError("too many signatures")
        for protected, empty, signature in signers:
            if protected != _signer_header(_claimed([protected])) or empty != {} or not _is_es256(signature):
                raise ValueError("a signature of an unknown form")
    except (VidikError, ValueError, TypeError, KeyError) as error:
        raise GrantError(f"Not a signed document of the type {kind}: {error}. Fetch the file again.") from error
    return content, signers


def _is_es256(signature: object) -> bool:
    return isinstance(signature, bytes) and len(signature) == 64


def _claimed(signer: list[Any]) -> bytes:
    header = cbor.loads(signer[0])
    if not isinstance(header, dict) or not isinstance(header.get(_KID), bytes):
        raise TypeError("a signer without a key id")
    return bytes(header[_KID])


def _pack(content: bytes, kind: Kind, signers: list[Any]) -> bytes:
    return bytes(cbor2.dumps(cbor2.CBORTag(_SIGN, [_protected(kind), {}, content, signers])))


def _protected(kind: Kind) -> bytes:
    return bytes(cbor2.dumps({_CONTENT_TYPE: str(kind)}))


def _signer_header(kid: bytes) -> bytes:
    return bytes(cbor2.dumps({_ALG: _ES256, _KID: kid}))


def _cose_key(public: ec.EllipticCurvePublicKey, private: ec.EllipticCurvePrivateKey | None = None) -> Any:
    numbers = public.public_numbers()
    fields: dict[int, Any] = {
        1: 2, 2: key_id(public), 3: _ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big"),
    }  # fmt: skip
    if private is not None:
        fields[-4] = private.private_numbers().private_value.to_bytes(32, "big")
    return COSEKey.new(fields)
