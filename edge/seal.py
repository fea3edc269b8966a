"""Sealing: report -> encrypted to the grant's recipients (COSE, HPKE) -> COSE_Sign1 by the camera.

Encrypt, then sign: anyone can check where a report comes from, only a recipient can read it. Every layer names its
algorithm and its key in the clear, so that others can follow, and protects both names:

- one recipient: COSE_Encrypt0 with HPKE-3 (DHKEM X25519, HKDF-SHA256, AES-128-GCM; draft-ietf-cose-hpke);
- several: COSE_Encrypt with AES-128-GCM, its key encrypted to each of them with HPKE-3-KE;
- one with a hybrid key: COSE_Encrypt0 with HPKE over MLKEM768-X25519 (``edge.hybrid``), under an algorithm
  identifier for private use until one is registered; the Enc_structure is HPKE's ``info``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cwt import COSE, COSEKey, Recipient
from cwt.cose_key_interface import COSEKeyInterface

from edge import cbor, hybrid, records
from edge.errors import VidikError
from edge.handover import LARGEST
from edge.hybrid import HybridPrivateKey, HybridPublicKey

SignerKey = ec.EllipticCurvePublicKey
RecipientKey = x25519.X25519PublicKey | HybridPublicKey
PrivateKey = x25519.X25519PrivateKey | HybridPrivateKey
HYBRID_BYTES = hybrid.PUBLIC_BYTES
MOST_RECIPIENTS = 4  # each costs some 90 bytes of every report

_SIGN1, _ENCRYPT0, _ENCRYPT = 18, 16, 96  # CBOR tags
_ALG, _KID, _IV, _EK = 1, 4, 5, -4
_ES256, _A128GCM, _HPKE_3, _HPKE_3_KE, _HYBRID = -7, 1, 41, 49, -65537


class SealError(VidikError):
    """A sealed report cannot be accepted or opened."""


class UnknownSigner(SealError):
    """Signed by a key that is not known (yet) for this camera."""


class BadSignature(SealError):
    """The signature does not hold: changed on the way, or forged."""


class NotForUs(SealError):
    """Genuine, but encrypted to someone else."""


def key_id(public_key: SignerKey | RecipientKey) -> bytes:
    """The 8 bytes that name a key: the start of the SHA-256 of its DER SubjectPublicKeyInfo, or of a raw hybrid key."""
    if isinstance(public_key, HybridPublicKey):
        return public_key.kid
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()[:8]


@lru_cache(maxsize=64)  # few recipients, many reports
def public_key(raw: bytes) -> RecipientKey:
    """A recipient's key from its raw bytes. Raises ``ValueError`` for one that no report can be sealed to."""
    if len(raw) == HYBRID_BYTES:
        try:
            HybridPublicKey(raw).encrypt(b"", b"")
        except VidikError as error:
            raise ValueError(str(error)) from error
        return HybridPublicKey(raw)
    key = x25519.X25519PublicKey.from_public_bytes(raw)
    x25519.X25519PrivateKey.generate().exchange(key)  # refuses points of low order
    return key


class Sealer:
    """Seals reports with one camera's signing key (P-256)."""

    def __init__(self, signing_key: ec.EllipticCurvePrivateKey) -> None:
        self._kid = key_id(signing_key.public_key())
        self._key = _signing_key(signing_key, self._kid)
        self._cose = COSE.new()

    def seal(self, report: records.Report, *recipients: RecipientKey) -> bytes:
        """``report`` for the holders of the ``recipients``' private keys: at most ``LARGEST`` bytes.

        Several recipients must all have X25519 keys. Raises ``SealError``.
        """
        return self.seal_content(records.encode(report), *recipients)

    def seal_content(self, content: bytes, *recipients: RecipientKey) -> bytes:
        """The same with ``content`` that is encoded already, and says by itself what it is."""
        curve = [key for key in recipients if isinstance(key, x25519.X25519PublicKey)]
        if len(recipients) == 1:
            inner = self._for_one(content, recipients[0])
        elif len(curve) == len(recipients) <= MOST_RECIPIENTS and curve:
            inner = self._for_several(content, curve)
        else:
            raise SealError(f"A report goes to 1 to {MOST_RECIPIENTS} recipients, or to one with a hybrid key.")
        header = {_ALG: _ES256, _KID: self._kid}
        sealed = self._cose.encode_and_sign(inner, self._key, protected=header, unprotected={})
        if len(sealed) > LARGEST:
            raise SealError(f"A report of {len(sealed)} bytes is over the {LARGEST} that may cross.")
        return bytes(sealed)

    def _for_one(self, content: bytes, recipient: RecipientKey) -> bytes:
        kid = key_id(recipient)
        if isinstance(recipient, HybridPublicKey):
            protected = cbor2.dumps({_ALG: _HYBRID, _KID: kid})
            encapsulated, ciphertext = recipient.encrypt(content, _structure(protected))
            return cbor2.dumps(cbor2.CBORTag(_ENCRYPT0, [protected, {_EK: encapsulated}, ciphertext]))
        key = _recipient_key(recipient.public_bytes_raw(), kid, _HPKE_3)
        header = {_ALG: _HPKE_3, _KID: kid}
        return bytes(self._cose.encode_and_encrypt(content, key, protected=header, unprotected={}))

    def _for_several(self, content: bytes, recipients: Sequence[x25519.X25519PublicKey]) -> bytes:
        content_key = COSEKey.from_symmetric_key(os.urandom(16), alg="A128GCM")
        entries = []
        for recipient in recipients:
            kid = key_id(recipient)
            key = _recipient_key(recipient.public_bytes_raw(), kid, _HPKE_3_KE)
            header = {_ALG: _HPKE_3_KE, _KID: kid}
            # a dictionary for each: the library writes into the one it is given, and has but one by default
            entries.append(Recipient.new(protected=header, unprotected={}, recipient_key=key))
        body = {"protected": {_ALG: _A128GCM}, "unprotected": {_IV: os.urandom(12)}}
        return bytes(self._cose.encode_and_encrypt(content, content_key, **body, recipients=entries))


def verify(sealed: bytes, signers: Mapping[bytes, SignerKey]) -> bytes:
    """The encrypted message inside ``sealed``, after its signature was checked against ``signers``.

    Raises ``UnknownSigner``, ``BadSignature`` or ``SealError`` (not a sealed report at all).
    """
    protected, unprotected, *_ = _parts(sealed, _SIGN1, 4)
    if unprotected != {}:
        raise SealError("Not a sealed report (it carries something that nobody signed).")
    kid = _header(protected)[_KID]
    signer = signers.get(kid)
    if signer is None:
        raise UnknownSigner(f"Signed by the unknown key {kid.hex()}. Has the camera's certificate arrived?")
    try:
        return bytes(COSE.new().decode(sealed, _verifying_key(signer, kid)))
    except Exception as error:  # the COSE library raises many types; each means the same here
        raise BadSignature("The signature of a report does not hold: it was changed on the way, or forged.") from error


def open_sealed(
    sealed: bytes, camera: str, signers: Mapping[bytes, SignerKey], keys: Mapping[bytes, PrivateKey]
) -> records.Report:
    """The report in ``sealed``, verified against ``signers`` and opened with one of ``keys`` (both by key id).

    ``camera`` is the id the report came under; a report that names another one is refused. Raises as
    ``open_content`` does, or ``records.RecordError``.
    """
    report = records.decode(open_content(sealed, signers, keys)[0])
    check_name(report.camera, camera)
    return report


def check_name(named: str, camera: str) -> None:
    """Raises ``BadSignature`` unless a report names the ``camera`` that it came under."""
    if named != camera:
        raise BadSignature(f"A report from {named} came under the name of {camera}: it was re-labelled.")


def open_content(
    sealed: bytes, signers: Mapping[bytes, SignerKey], keys: Mapping[bytes, PrivateKey]
) -> tuple[bytes, bytes]:
    """What is in ``sealed``, verified and opened, and the id of the key that opened it.

    Raises ``UnknownSigner``, ``BadSignature``, ``NotForUs`` or ``SealError``.
    """
    inner = verify(sealed, signers)
    kids = addressees(inner)
    mine = next((kid for kid in kids if kid in keys), None)
    if mine is None:
        named = ", ".join(kid.hex() for kid in kids)
        raise NotForUs(f"Encrypted to {named}, whose keys are not held here.")
    try:
        content = _decrypt(inner, mine, keys[mine])
    except Exception as error:  # the COSE library raises many types; each means the same here
        raise SealError("A report cannot be decrypted with the key it names. Check the recipient key.") from error
    return content, mine


def addressees(inner: bytes) -> list[bytes]:
    """The key ids that the encrypted message ``inner`` is addressed to. Raises ``SealError``."""
    if inner[:1] == bytes([0xC0 | _ENCRYPT0]):
        protected, *_ = _parts(inner, _ENCRYPT0, 3)
        return [_header(protected)[_KID]]
    _, _, _, recipients = _parts(inner, _ENCRYPT, 4)
    if not isinstance(recipients, list) or not 0 < len(recipients) <= MOST_RECIPIENTS:
        raise SealError("Not a sealed report (its recipients are not 1 to 4).")
    return [_header(entry[0] if isinstance(entry, list) and entry else None)[_KID] for entry in recipients]


def _decrypt(inner: bytes, kid: bytes, key: PrivateKey) -> bytes:
    if isinstance(key, HybridPrivateKey):
        protected, unprotected, ciphertext = _parts(inner, _ENCRYPT0, 3)
        if _header(protected)[_ALG] != _HYBRID:
            raise SealError("Not encrypted to a hybrid key.")
        return key.decrypt(unprotected[_EK], ciphertext, _structure(protected))
    alg = _HPKE_3 if inner[:1] == bytes([0xC0 | _ENCRYPT0]) else _HPKE_3_KE
    return bytes(COSE.new().decode(inner, _recipient_private_key(key, kid, alg)))


def _parts(message: bytes, tag: int, count: int) -> list[Any]:
    try:
        if len(message) > LARGEST:
            raise SealError("Not a sealed report (too long).")
        parts = cbor.loads(message, tag=tag)
    except cbor.CborError as error:
        raise SealError(f"Not a sealed report ({error}).") from error
    if not isinstance(parts, list) or len(parts) != count:
        raise SealError("Not a sealed report (its parts are not those of its kind).")
    return parts


def _header(protected: object) -> dict[Any, Any]:
    """A protected header that names algorithm and key."""
    try:
        header = cbor.loads(protected) if isinstance(protected, bytes) else None
    except cbor.CborError as error:
        raise SealError(f"Not a sealed report ({error}).") from error
    if not isinstance(header, dict) or not isinstance(header.get(_KID), bytes) or _ALG not in header:
        raise SealError("Not a sealed report (it names no key).")
    return header


def _structure(protected: bytes) -> bytes:
    """The Enc_structure of RFC 9052 section 5.3."""
    return cbor2.dumps(["Encrypt0", protected, b""])


def _signing_key(key: ec.EllipticCurvePrivateKey, kid: bytes) -> COSEKeyInterface:
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    return COSEKey.new(_ec2(key.public_key(), kid) | {-4: scalar})


def _verifying_key(key: SignerKey, kid: bytes) -> COSEKeyInterface:
    return COSEKey.new(_ec2(key, kid))


def _ec2(key: SignerKey, kid: bytes) -> dict[int, object]:
    # COSE_Key of RFC 9053: kty EC2, alg ES256, crv P-256, coordinates
    numbers = key.public_numbers()
    return {1: 2, 2: kid, 3: _ES256, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}


@lru_cache(maxsize=64)
def _recipient_key(raw: bytes, kid: bytes, alg: int) -> COSEKeyInterface:
    return COSEKey.new({1: 1, 2: kid, 3: alg, -1: 4, -2: raw})


def _recipient_private_key(key: x25519.X25519PrivateKey, kid: bytes, alg: int) -> COSEKeyInterface:
    public = key.public_key().public_bytes_raw()
    return COSEKey.new({1: 1, 2: kid, 3: alg, -1: 4, -2: public, -4: key.private_bytes_raw()})
