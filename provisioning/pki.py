"""The deployment's certificates: an offline root, an issuing CA, and under it a broker, cameras and subscribers.

What is thrown away after use (tests) may make do with a single CA. A camera holds two key pairs. Its *connection*
certificate (extended key usage clientAuth) opens the TLS connection and belongs to the uplink; its *signing*
certificate (documentSigning, RFC 9336) signs reports and belongs to vision. Neither can do the other's work, so a
subverted uplink cannot forge a report. All keys are P-256; subjects are a common name and, for orientation, an
organisational unit.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from edge.errors import VidikError
from edge.listen.trust import CAMERA_ID, REPORT_SIGNING

CA_LIFE = timedelta(days=3650)
ROOT_LIFE = timedelta(days=7300)
LIFE = timedelta(days=397)
UPDATE_SIGNER_LIFE = timedelta(days=1096)
_CLOCK_SKEW = timedelta(hours=1)  # devices whose clock is a little late must accept a fresh certificate


class PkiError(VidikError):
    """A certificate cannot be issued, read or written."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def save(self, folder: Path, name: str) -> None:
        """Writes ``name.pem`` and ``name.key`` (mode 0600) into ``folder``, each whole or not at all."""
        write(folder / f"{name}.key", private_pem(self.key), mode=0o600)
        write(folder / f"{name}.pem", self.certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def load(folder: Path, name: str) -> Issued:
    """What ``Issued.save`` has written. Raises ``PkiError``."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise PkiError(f"The certificate {name} in {folder} cannot be read: {error}. Issue it again.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError(f"The key {name}.key in {folder} is not on an elliptic curve. Issue it again.")
    return Issued(certificate, key)


def make_ca(name: str) -> Issued:
    """A new, self-signed CA that signs certificates and revocation lists, but no further CAs."""
    return _self_signed(name, CA_LIFE, path_length=0)


def make_root(name: str) -> Issued:
    """A new, self-signed CA that signs issuing CAs, and is kept offline."""
    return _self_signed(name, ROOT_LIFE, path_length=1)


def make_issuing(root: Issued, name: str) -> Issued:
    """A new CA under ``root`` that signs certificates and revocation lists, but no further CAs."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _ca_builder(_subject(name, "CA"), key.public_key(), CA_LIFE, 0, root.certificate)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    return Issued(builder.add_extension(authority, critical=False).sign(root.key, hashes.SHA256()), key)


def make_update_ca(name: str, unit: str) -> Issued:
    """A new, self-signed CA for the signers of updates. By ``unit``, an image tells development from release."""
    return _self_signed(name, ROOT_LIFE, path_length=0, unit=unit)


def issue_update_signer(ca: Issued, name: str) -> Issued:
    """For whoever signs updates. OpenSSL wants e-mail protection of who signs a CMS message, RAUC can want both."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(_subject(name, "update signing"), key.public_key(), UPDATE_SIGNER_LIFE, ca.certificate)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    purposes = [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Issued(builder.add_extension(authority, critical=False).sign(ca.key, hashes.SHA256()), key)


def bundle(issuing: x509.Certificate, root: x509.Certificate) -> bytes:
    """The ``ca.pem`` of a deployment: the issuing CA first, which alone makes signers of reports, then its root."""
    return b"".join(ca.public_bytes(serialization.Encoding.PEM) for ca in (issuing, root))


def issue_server(ca: Issued, names: Sequence[str], key: ec.EllipticCurvePrivateKey | None = None) -> Issued:
    """For a server reached under ``names``, each a DNS name or an IP address; over ``key`` where one is given."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    alternatives = x509.SubjectAlternativeName(_hosts(names))
    subject = _subject(names[0], "broker")
    return Issued(certify(ca, key.public_key(), subject, ExtendedKeyUsageOID.SERVER_AUTH, alternatives), key)


def issue_connection(ca: Issued, camera: str) -> Issued:
    """For a camera's uplink: the common name is the camera id, by which brokers isolate devices."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Issued(certify_connection(ca, camera, key.public_key()), key)


def issue_signing(ca: Issued, camera: str) -> Issued:
    """For a camera's vision process: signs the reports of ``camera``."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Issued(certify_signing(ca, camera, key.public_key()), key)


def issue_subscriber(ca: Issued, name: str) -> Issued:
    """For a program that receives reports, known to the broker as ``name``."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, "subscriber")
    return Issued(certify(ca, key.public_key(), subject, ExtendedKeyUsageOID.CLIENT_AUTH), key)


def certify_connection(ca: Issued, camera: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    """The connection certificate over a ``key`` that the camera made itself."""
    return certify(ca, key, _subject(_camera_id(camera), "connection"), ExtendedKeyUsageOID.CLIENT_AUTH)


def certify_signing(ca: Issued, camera: str, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    """The signing certificate over a ``key`` that the camera made itself."""
    return certify(ca, key, _subject(_camera_id(camera), "report signing"), REPORT_SIGNING)


def certify(
    ca: Issued,
    public_key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    purpose: ObjectIdentifier,
    *names: x509.SubjectAlternativeName,
) -> x509.Certificate:
    """A certificate over a key made elsewhere, good for exactly one ``purpose`` (an extended key usage)."""
    builder = _builder(subject, public_key, LIFE, ca.certificate)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(digital_signature=True), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=purpose == REPORT_SIGNING)
    builder = builder.add_extension(authority, critical=False)
    for extension in names:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(ca.key, hashes.SHA256())


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """``key`` as unencrypted PKCS #8."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write(path: Path, content: bytes, mode: int) -> None:
    """Replaces ``path`` in one step, so that no reader ever sees half of it. Raises ``PkiError``."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise PkiError(f"{path} cannot be written: {error}. Check the folder.") from error


def _self_signed(name: str, life: timedelta, path_length: int, unit: str = "CA") -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _ca_builder(_subject(name, unit), key.public_key(), life, path_length, None)
    return Issued(builder.sign(key, hashes.SHA256()), key)


def _ca_builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, life: timedelta, path_length: int,
    issuer: x509.Certificate | None,
) -> x509.CertificateBuilder:  # fmt: skip
    builder = _builder(subject, key, life, issuer)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    return builder.add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)


def _builder(
    subject: x509.Name, public_key: ec.EllipticCurvePublicKey, life: timedelta, issuer: x509.Certificate | None
) -> x509.CertificateBuilder:
    """A certificate under ``issuer``, or under itself; it never outlives its issuer."""
    now = datetime.now(UTC)
    until = now + life if issuer is None else min(now + life, issuer.not_valid_after_utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _subject(name: str, unit: str) -> x509.Name:
    if not name or len(name) > 64 or any(character in name for character in "+#/"):
        raise PkiError(f"{name!r} cannot be a common name: use 1 to 64 characters without + # and /.")
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, f"Vidik {unit}"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _camera_id(camera: str) -> str:
    if not CAMERA_ID.fullmatch(camera):
        raise PkiError(f"{camera!r} cannot be a camera id: use up to 32 lower-case letters, digits and hyphens.")
    return camera


def _hosts(names: Sequence[str]) -> list[x509.GeneralName]:
    hosts: list[x509.GeneralName] = []
    for name in names:
        try:
            hosts.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            hosts.append(x509.DNSName(name))
    return hosts


def _usage(digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
