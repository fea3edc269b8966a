"""The page's certificate: made on the camera, signed by itself, known by the fingerprint on the label.

No CA could vouch for a camera that belongs to nobody yet. The browser warns once; who compares the fingerprint knows
that nobody sits in between.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge import durable
from edge.errors import VidikError

CERTIFICATE, KEY = "setup/page.pem", "setup/page.key"  # in a camera's folder
_BEGINS = datetime(2020, 1, 1, tzinfo=UTC)  # a camera fresh from the box may not know the time
_ENDS = datetime(2099, 12, 31, tzinfo=UTC)
_SHOWN = 20  # hexadecimal digits of the fingerprint on the label: 80 bits


def make(folder: Path) -> str:
    """A key and a certificate for the page of the camera in ``folder``, and what the label says of it. Raises
    ``VidikError``."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Vidik setup")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_BEGINS)
        .not_valid_after(_ENDS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("vidik.local")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        durable.write(folder / KEY, private)
        durable.write(folder / CERTIFICATE, certificate.public_bytes(Encoding.PEM), mode=0o644)
    except OSError as error:
        raise VidikError(f"The page's key cannot be kept in {folder}: {error}. Check the data partition.") from error
    return fingerprint(certificate)


def shown(folder: Path) -> str:
    """What the label says of the certificate that is there, nothing where there is none that can be read."""
    try:
        return fingerprint(x509.load_pem_x509_certificate((folder / CERTIFICATE).read_bytes()))
    except (OSError, ValueError):
        return ""


def fingerprint(certificate: x509.Certificate) -> str:
    """The beginning of the certificate's SHA-256, in groups of four, as on the label and as browsers show it."""
    digits = certificate.fingerprint(hashes.SHA256()).hex()[:_SHOWN].upper()
    return " ".join(digits[i : i + 4] for i in range(0, len(digits), 4))
