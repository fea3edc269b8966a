"""ES256 with the camera's signing key: what its public statements (audit head, card) are signed with.

A ``Signer`` carries its certificate, so that a statement can be checked with nothing but the deployment's CA.
Signatures are the 64 bytes r || s of RFC 7518 section 3.4 and RFC 9053 section 2.1, not DER.
"""

from __future__ import annotations

from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

_HALF = 32  # bytes of r and of s


class Signer(Protocol):
    """Signs for one camera. ``certificate``: the DER certificate of the signing key."""

    certificate: bytes

    def sign(self, content: bytes) -> bytes:
        """The 64 bytes of the signature over ``content``."""
        ...


class KeySigner:
    """A signer whose P-256 key lies in memory."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self.certify(certificate)

    def certify(self, certificate: x509.Certificate) -> None:
        """Takes another certificate of the same key."""
        self.certificate = certificate.public_bytes(Encoding.DER)

    def sign(self, content: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(content, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")


def holds(signature: bytes, content: bytes, certificate: bytes) -> bool:
    """Whether the key of the DER ``certificate`` made ``signature`` over ``content``.

    False as well when the certificate cannot be read or is not over a P-256 key. Who issued the certificate
    is not checked here.
    """
    try:
        key = x509.load_der_x509_certificate(certificate).public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            return False
        if len(signature) != 2 * _HALF:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
        key.verify(encode_dss_signature(r, s), content, ec.ECDSA(hashes.SHA256()))
    except Exception:  # hostile certificates make the library raise errors of many types
        return False
    return True
