"""The signed head: how far the log had got, so that nobody can shorten or rewrite it later without notice.

A COSE_Sign1 message (RFC 9052) with ES256. The protected header holds the algorithm (1), the content type (3)
and the camera's certificate as x5chain (33, RFC 9360); the content is a CBOR map: 1 camera, 2 number of the
last entry, 3 its hash, 4 time in milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import cbor2

from edge import cbor
from edge.audit.events import AuditError
from edge.errors import VidikError
from edge.signing import Signer, holds

TYPE = "application/vidik-audit-head+cbor"
LARGEST = 8192  # bytes
_SIGN1 = 18  # CBOR tag of COSE_Sign1
_ALG, _CONTENT_TYPE, _X5CHAIN, _ES256 = 1, 3, 33, -7
_CAMERA, _NUMBER, _HASH, _TIME = 1, 2, 3, 4


class HeadError(AuditError):
    """A signed head that proves nothing, and why."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a head states. ``time``: milliseconds since the epoch, UTC, at which it was signed."""

    camera: str
    number: int
    hash: bytes
    time: int


def sign(head: Head, signer: Signer) -> bytes:
    """``head`` signed by the camera."""
    protected = {_ALG: _ES256, _CONTENT_TYPE: TYPE, _X5CHAIN: signer.certificate}
    content = {_CAMERA: head.camera, _NUMBER: head.number, _HASH: head.hash, _TIME: head.time}
    packed, body = cbor2.dumps(protected, canonical=True), cbor2.dumps(content, canonical=True)
    signature = signer.sign(_to_sign(packed, body))
    return bytes(cbor2.dumps(cbor2.CBORTag(_SIGN1, [packed, {}, body, signature])))


def read(signed: bytes) -> tuple[Head, bytes]:
    """The head in ``signed`` and the DER certificate of its signer.

    The signature is checked against that certificate, but not who issued the certificate. Raises
    ``HeadError``.
    """
    try:
        if len(signed) > LARGEST:
            raise ValueError("too long")
        packed, unprotected, body, signature = cbor.loads(signed, tag=_SIGN1)
        protected = cbor.loads(packed)
        if not isinstance(protected, dict):
            raise TypeError("no header")
        certificate = protected.pop(_X5CHAIN)
        if protected != {_ALG: _ES256, _CONTENT_TYPE: TYPE} or unprotected != {}:
            raise ValueError("another type of content")
        head = _head(cbor.loads(body))
    except (VidikError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise HeadError(f"Not a signed audit head ({type(error).__name__}: {error}). Fetch it again.") from error
    if not all(isinstance(part, bytes) for part in (certificate, signature, body)):
        raise HeadError("Not a signed audit head: its parts are of another kind. Fetch it again.")
    if not holds(signature, _to_sign(packed, body), certificate):
        raise HeadError("The signature of the audit head does not hold: it was changed or forged.")
    return head, certificate


def _head(content: object) -> Head:
    if not isinstance(content, dict):
        raise TypeError("no map")
    camera, number, reached, time = (content.pop(key) for key in (_CAMERA, _NUMBER, _HASH, _TIME))
    if content or not isinstance(camera, str) or type(number) is not int or type(time) is not int:
        raise ValueError("fields of another kind")
    if not isinstance(reached, bytes) or len(reached) != 32 or number < 0 or time < 0:
        raise ValueError("fields out of bounds")
    return Head(camera, number, reached, time)


def _to_sign(protected: bytes, content: bytes) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, without external data."""
    return bytes(cbor2.dumps(["Signature1", protected, b"", content]))
