"""The revocation list (RFC 5280 section 5) of an office: which certificates hold no longer, though they look it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning import pki
from provisioning.office.folder import Office
from provisioning.office.inventory import Certificate, Inventory

LIFE = timedelta(days=30)  # a broker refuses everybody once its list is older than this
RENEW = timedelta(days=1)
REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key-compromise": x509.ReasonFlags.key_compromise,
    "superseded": x509.ReasonFlags.superseded,
    "ceased": x509.ReasonFlags.cessation_of_operation,
}


def make(ca: pki.Issued, revoked: Sequence[Certificate], now: datetime) -> bytes:
    """The list in PEM, signed by ``ca`` at ``now``. Its number is the time, so a newer list has a larger one."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.certificate.subject)
    builder = builder.last_update(now - timedelta(hours=1)).next_update(now + LIFE)
    for certificate in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(int(certificate.serial, 16))
        entry = entry.revocation_date(datetime.fromtimestamp(certificate.revoked or 0, UTC))
        reason = REASONS[certificate.reason or "unspecified"]
        if reason is not x509.ReasonFlags.unspecified:  # RFC 5280: then the extension should be absent
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        builder = builder.add_revoked_certificate(entry.build())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = builder.add_extension(authority, critical=False)
    builder = builder.add_extension(x509.CRLNumber(round(now.timestamp())), critical=False)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def refresh(office: Office, inventory: Inventory, ca: pki.Issued, now: datetime) -> bool:
    """Writes the office's list anew when it says something else by now or is a day old; returns whether it did."""
    revoked = inventory.revoked(round(now.timestamp()))
    try:
        present = x509.load_pem_x509_crl(office.crl.read_bytes())
        stated = {entry.serial_number for entry in present}
        fresh = present.last_update_utc <= now < present.last_update_utc + RENEW
    except (OSError, ValueError):
        stated, fresh = set(), False
    if fresh and stated == {int(certificate.serial, 16) for certificate in revoked}:
        return False
    content = make(ca, revoked, now)
    pki.write(office.crl, content, mode=0o644)
    if office.broker.is_dir():
        pki.write(office.broker / "crl.pem", content, mode=0o644)
    return True
