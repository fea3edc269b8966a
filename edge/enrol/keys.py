"""The camera's private keys: made on the camera, kept in files of mode 0600, never sent anywhere."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from edge import durable
from edge.enrol.errors import EnrolError


def at(path: Path) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in ``path``; if there is none, a new one, by then on the medium. Raises ``EnrolError``."""
    try:
        if not path.exists():
            made = ec.generate_private_key(ec.SECP256R1())
            durable.write(path, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise EnrolError(f"The key {path} cannot be kept or read: {error}. Check the data partition.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise EnrolError(f"The key {path} is not a P-256 key. Reset the camera and enrol it with a new claim.")
    return key


def request(key: ec.EllipticCurvePrivateKey, camera: str) -> bytes:
    """A certificate request for ``camera`` (PKCS #10, DER), which proves that its sender holds ``key``."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, camera)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return made.public_bytes(Encoding.DER)
