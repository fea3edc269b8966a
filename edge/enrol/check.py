"""Whether what came back is the identity that was asked for. Pure functions.

Times are not looked at on first enrolment: a camera fresh from the box may not know the time, and the answer came
from the service that the claim pinned.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from edge.enrol.errors import EnrolError
from edge.enrol.identity import CONNECTION, SIGNING

PURPOSES = {
    CONNECTION: ExtendedKeyUsageOID.CLIENT_AUTH,
    SIGNING: ObjectIdentifier("1.3.6.1.5.5.7.3.36"),  # id-kp-documentSigning, RFC 9336
}
_SPREAD = 0.05  # of a certificate's life, over which the renewals of many cameras spread


def certificate(issued: x509.Certificate, key: ec.EllipticCurvePublicKey, camera: str, purpose: str) -> None:
    """Raises ``EnrolError`` unless ``issued`` is for ``key``, ``camera`` and exactly one ``purpose``."""
    try:
        names = [str(name.value) for name in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        purposes = list(issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
        is_ca = issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, x509.ExtensionNotFound) as error:
        raise _wrong(f"the {purpose} certificate lacks what it must have ({error})") from error
    if issued.public_key() != key:
        raise _wrong(f"the {purpose} certificate is for another key")
    if names != [camera]:
        raise _wrong(f"the {purpose} certificate names {names} instead of {camera}")
    if purposes != [PURPOSES[purpose]] or is_ca:
        raise _wrong(f"the {purpose} certificate is for another purpose")


def chain(issued: x509.Certificate, authorities: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The CAs from the issuer of ``issued`` up to a root, out of ``authorities``. Raises ``EnrolError``."""
    found: list[x509.Certificate] = []
    below = issued
    while len(found) <= len(authorities):
        above = next((one for one in authorities if _issued(below, one)), None)
        if above is None:
            break
        if above == below:  # signed by itself
            return found
        found.append(above)
        below = above
    raise _wrong("a certificate does not lead to one of the deployment's CAs")


def same_root(one: Sequence[x509.Certificate], other: Sequence[x509.Certificate]) -> bool:
    """Whether two chains end at the same root."""
    return one[-1] == other[-1]


def name_of(issued: x509.Certificate) -> str:
    """The camera that ``issued`` names."""
    return str(issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def due(issued: x509.Certificate) -> datetime:
    """When ``issued`` should be renewed: at two thirds of its life, and up to a twentieth later.

    How much later follows from the certificate itself, so that it is the same after every restart and different for
    every camera.
    """
    life = issued.not_valid_after_utc - issued.not_valid_before_utc
    share = int.from_bytes(sha256(issued.public_bytes(Encoding.DER)).digest()[:8], "big") / 2**64
    seconds = life.total_seconds() * (2 / 3 + _SPREAD * share)
    return issued.not_valid_before_utc + timedelta(seconds=seconds)


def _issued(below: x509.Certificate, above: x509.Certificate) -> bool:
    try:
        below.verify_directly_issued_by(above)
        return above.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False


def _wrong(what: str) -> EnrolError:
    return EnrolError(f"The enrolment service answered wrongly: {what}. Tell the office, and make a new claim.")
