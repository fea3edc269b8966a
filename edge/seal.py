"""Sealing: report -> COSE_Encrypt0 (HPKE, to the grant's recipient) -> COSE_Sign1 (by the camera).

Encrypt, then sign: anyone can check where a report comes from, only the recipient can read it.
Algorithms: HPKE-3 of draft-ietf-cose-hpke (DHKEM X25519, HKDF-SHA256, AES-128-GCM) and ES256 (RFC 9053);
both identifiers travel in the clear, so that others can follow.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cwt import COSE, COSEKey
from cwt.cose_key_interface import COSEKeyInterface
from cwt.exceptions import CWTError

from edge import records
from edge.errors import VidikError
from edge.handover import LARGEST

SignerKey = ec.EllipticCurvePublicKey
_ALG, _KID = 1, 4
_ES256, _HPKE_3 = -7, 41


class SealError(VidikError):
    """A sealed report cannot be accepted or opened."""


class UnknownSigner(SealError):
    """Signed by a key that is not known (yet) for this camera."""


class BadSignature(SealError):
    """The signature does not hold: changed on the way, or forged."""


class NotForUs(SealError):
    """Genuine, but encrypted to someone else."""


def key_id(public_key: SignerKey | x25519.X25519PublicKey) -> bytes:
    """The 8 bytes that name a key: the start of the SHA-256 of its DER SubjectPublicKeyInfo."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:8]


class Sealer:
    """Seals reports with one camera's signing key (P-256)."""

    def __init__(self, signing_key: ec.EllipticCurvePrivateKey) -> None:
        self._kid = key_id(signing_key.public_key())
        self._key = _signing_key(signing_key, self._kid)
        self._cose = COSE.new()

    def seal(self, report: records.Report, recipient: x25519.X25519PublicKey) -> bytes:
        """``report`` for the holder of ``recipient``'s private key: at most ``LARGEST`` bytes."""
        kid = key_id(recipient)
        inner = self._cose.encode_and_encrypt(
            records.encode(report), _recipient_key(recipient, kid), protected={_ALG: _HPKE_3, _KID: kid}, unprotected={}
        )
        header = {_ALG: _ES256, _KID: self._kid}
        sealed = self._cose.encode_and_sign(inner, self._key, protected=header, unprotected={})
        if len(sealed) > LARGEST:
            raise SealError(f"A report of {len(sealed)} bytes is over the {LARGEST} that may cross.")
        return bytes(sealed)


def verify(sealed: bytes, signers: Mapping[bytes, SignerKey]) -> bytes:
    """The encrypted message inside ``sealed``, after its signature was checked against ``signers``.

    Raises ``UnknownSigner``, ``BadSignature`` or ``SealError`` (not a sealed report at all).
    """
    kid = _kid_of(sealed, tag=18)
    signer = signers.get(kid)
    if signer is None:
        raise UnknownSigner(f"Signed by the unknown key {kid.hex()}. Has the camera's certificate arrived?")
    try:
        return bytes(COSE.new().decode(sealed, _verifying_key(signer, kid)))
    except (CWTError, ValueError, TypeError) as error:
        raise BadSignature("The signature of a report does not hold: it was changed on the way, or forged.") from error


def open_sealed(
    sealed: bytes, camera: str, signers: Mapping[bytes, SignerKey], keys: Mapping[bytes, x25519.X25519PrivateKey]
) -> records.Report:
    """The report in ``sealed``, verified against ``signers`` and opened with one of ``keys`` (both by key id).

    ``camera`` is the id the report came under; a report that names another one is refused. Raises
    ``UnknownSigner``, ``BadSignature``, ``NotForUs``, ``SealError`` or ``records.RecordError``.
    """
    inner = verify(sealed, signers)
    kid = _kid_of(inner, tag=16)
    key = keys.get(kid)
    if key is None:
        raise NotForUs(f"Encrypted to the key {kid.hex()}, which is not held here.")
    try:
        content = bytes(COSE.new().decode(inner, _recipient_private_key(key, kid)))
    except (CWTError, ValueError, TypeError) as error:
        raise SealError("A report cannot be decrypted with the key it names. Check the recipient key.") from error
    report = records.decode(content)
    if report.camera != camera:
        raise BadSignature(f"A report from {report.camera} came under the name of {camera}: it was re-labelled.")
    return report


def _kid_of(message: bytes, tag: int) -> bytes:
    """The key id in the protected header of a COSE message, which is checked only for shape."""
    try:
        if len(message) > LARGEST:
            raise ValueError("too long")
        outer = cbor2.loads(message)
        if outer.tag != tag:
            raise ValueError("another kind of message")
        kid = cbor2.loads(outer.value[0])[_KID]
        if not isinstance(kid, bytes):
            raise TypeError("key id is not bytes")
        return kid
    except Exception as error:  # cbor2 lets errors of many types through on hostile input
        raise SealError(f"Not a sealed report ({type(error).__name__}).") from error


def _signing_key(key: ec.EllipticCurvePrivateKey, kid: bytes) -> COSEKeyInterface:
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return COSEKey.new(_ec2(key.public_key(), kid) | {-4: scalar})


def _verifying_key(key: SignerKey, kid: bytes) -> COSEKeyInterface:
    return COSEKey.new(_ec2(key, kid))


def _ec2(key: SignerKey, kid: bytes) -> dict[int, object]:
    # COSE_Key of RFC 9053: kty EC2, alg ES256, crv P-256, coordinates
    numbers = key.public_numbers()
    return {1: 2, 2: kid, 3: _ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


def _recipient_key(key: x25519.X25519PublicKey, kid: bytes) -> COSEKeyInterface:
    return COSEKey.new({1: 1, 2: kid, 3: _HPKE_3, -1: 4, -2: key.public_bytes_raw()})


def _recipient_private_key(key: x25519.X25519PrivateKey, kid: bytes) -> COSEKeyInterface:
    public = key.public_key().public_bytes_raw()
    return COSEKey.new({1: 1, 2: kid, 3: _HPKE_3, -1: 4, -2: public, -4: key.private_bytes_raw()})
