"""The forms in which EST (RFC 7030) carries requests and certificates: base64 of PKCS #10, base64 of PKCS #7."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

PREFIX = "/.well-known/est"
REQUEST, ANSWER = "application/pkcs10", "application/pkcs7-mime"
CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
LARGEST = 16 << 10  # bytes of a request


def request(body: bytes) -> bytes:
    """The PKCS #10 request in ``body``, in DER. Raises ``ValueError``."""
    if body.startswith(b"-----BEGIN"):  # many clients send PEM
        body = b"".join(line for line in body.splitlines() if not line.startswith(b"-----"))
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"not base64: {error}") from error


def answer(certificates: Sequence[x509.Certificate]) -> bytes:
    """``certificates`` as the body of an answer."""
    return base64.encodebytes(pkcs7.serialize_certificates(list(certificates), Encoding.DER))
