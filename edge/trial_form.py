"""The form of test reports and of their confirmations: shared by camera and subscriber (``docs/trial.cddl``).

A test report is sealed as any report is, and holds nothing but random bytes. Its confirmation is an HMAC under those
bytes, so only who could open it can have made one; broker and uplink see neither. It names the camera, the test report
and the recipient's key, and is good for nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Annotated, Any

import cbor2
import msgspec
from msgspec import Meta

from edge import cbor
from edge.errors import VidikError

CHANNEL, ANSWER = "trial", "confirm"  # the last parts of the topics
LARGEST = 512  # bytes of the content
_VERSION, _KIND = 1, 3  # kinds 1 and 2 are reports: one never passes for the other
_CONTEXT = b"vidik trial confirmed\0"
_NAMES = {2: "camera", 5: "time", 30: "id", 31: "nonce"}


class TrialError(VidikError):
    """Bytes that are no test report of this version, or something that one needs is missing."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a test report says: ``camera`` asks at ``time`` (whole seconds since the epoch) who can open it."""

    camera: Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,31}\Z")]
    time: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    id: Annotated[bytes, Meta(min_length=8, max_length=8)]
    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]

    def __repr__(self) -> str:
        return f"Asked(camera={self.camera!r}, time={self.time}, id={self.id.hex()})"  # the nonce is the secret


def new(camera: str, now: float) -> Asked:
    """A fresh one."""
    return Asked(camera=camera, time=int(now), id=secrets.token_bytes(8), nonce=secrets.token_bytes(32))


def encode(asked: Asked) -> bytes:
    """The test report as CBOR."""
    fields = {number: getattr(asked, name) for number, name in _NAMES.items()}
    return cbor2.dumps({0: _VERSION, 1: _KIND, **fields}, canonical=True)


def decode(content: bytes) -> Asked:
    """The test report in ``content``. Raises ``TrialError`` for anything else, a report of a plate or a face too."""
    try:
        body: Any = cbor.loads(content) if len(content) <= LARGEST else None
        if not isinstance(body, dict) or (body.pop(0, None), body.pop(1, None)) != (_VERSION, _KIND):
            raise TrialError("Not a test report of this version. Check what the camera runs.")
        fields = {_NAMES[key]: value for key, value in body.items()}
        return msgspec.convert(fields, Asked, builtin_types=(bytes,))
    except (KeyError, cbor.CborError, msgspec.ValidationError) as error:
        raise TrialError(f"The test report breaks its schema: {error}. Check what the camera runs.") from error


def confirm(asked: Asked, kid: bytes) -> bytes:
    """The confirmation by the holder of the recipient's key ``kid``, as CBOR: only who knows the nonce can make it."""
    return cbor2.dumps({0: _VERSION, 1: asked.id, 2: kid, 3: _proof(asked, kid)}, canonical=True)


def confirms(untrusted: bytes, asked: Asked, kid: bytes) -> bool:
    """Whether ``untrusted`` is the confirmation of ``asked`` by the holder of the key ``kid``."""
    try:
        body = cbor.loads(untrusted)
    except cbor.CborError:
        return False
    proof = body.get(3) if isinstance(body, dict) and body.keys() == {0, 1, 2, 3} else None
    if not isinstance(proof, bytes) or (body[0], body[1], body[2]) != (_VERSION, asked.id, kid):
        return False
    return hmac.compare_digest(proof, _proof(asked, kid))


def _proof(asked: Asked, kid: bytes) -> bytes:
    said = _CONTEXT + asked.camera.encode() + b"\0" + asked.id + kid  # both of fixed length
    return hmac.new(asked.nonce, said, hashlib.sha256).digest()
