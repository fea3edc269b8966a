"""Whose signature on a report is believed: that of a key which the deployment's CA certified for signing."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from edge.errors import VidikError

CAMERA_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
REPORT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # id-kp-documentSigning, RFC 9336
_LARGEST = 4096  # bytes of a certificate


class TrustError(VidikError):
    """A certificate does not make its key a signer of reports."""


def check_signer(
    der: bytes, ca: x509.Certificate, now: datetime | None = None
) -> tuple[str, ec.EllipticCurvePublicKey]:
    """The camera id and the key of the signing certificate ``der``.

    Raises ``TrustError`` unless ``ca`` issued it, it is within its validity at ``now`` (by default: now), and
    it is for signing reports, which a camera's connection certificate is not.
    """
    if len(der) > _LARGEST:
        raise TrustError(f"A certificate of {len(der)} bytes is refused: the limit is {_LARGEST}.")
    try:
        certificate = x509.load_der_x509_certificate(der)
        certificate.verify_directly_issued_by(ca)
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        names = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        key = certificate.public_key()
    except Exception as error:  # hostile certificates make the library raise errors of many types
        raise TrustError(
            f"A signing certificate is not of this deployment ({type(error).__name__}). Provision the camera for it."
        ) from error
    if list(purposes) != [REPORT_SIGNING] or not usage.digital_signature or constraints.ca:
        raise TrustError(f"The certificate of {names} is not for signing reports. Publish the camera's signing one.")
    moment = now or datetime.now(UTC)
    if not begins <= moment <= ends:
        raise TrustError(f"The signing certificate of {names} is expired or not valid yet. Renew it; check the clock.")
    if len(names) != 1 or not CAMERA_ID.fullmatch(names[0]):
        raise TrustError(f"The signing certificate names {names}, which is not one camera id. Issue it again.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(f"The signing key of {names[0]} is not on the curve P-256. Issue the certificate again.")
    return names[0], key
