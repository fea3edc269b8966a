"""Whether a public statement of a camera (card, audit head) comes from a camera of this deployment."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from edge import card
from edge.audit import head
from edge.audit.head import Head, HeadError
from edge.card import Card, CardError
from edge.errors import VidikError
from edge.listen.trust import TrustError, check_signer

LARGEST = 1 << 20  # bytes of any file read here


def read_file(path: Path) -> bytes:
    """The content of ``path``. Raises ``VidikError``."""
    try:
        if path.stat().st_size > LARGEST:
            raise VidikError(f"{path} is over the limit of {LARGEST} bytes. It is no statement of a camera.")
        return path.read_bytes()
    except OSError as error:
        raise VidikError(f"The file {path} cannot be read: {error.strerror}. Check the path.") from error


def read_ca(path: Path) -> x509.Certificate:
    """The deployment's CA certificate in PEM. Raises ``VidikError``."""
    try:
        return x509.load_pem_x509_certificate(read_file(path))
    except ValueError as error:
        raise VidikError(f"{path} is not a CA certificate in PEM ({error}). Fetch the deployment's ca.pem.") from error


def check_card(signed: bytes, ca: x509.Certificate) -> Card:
    """The card in ``signed``, when a camera of the deployment signed it for itself. Raises ``CardError``."""
    stated, certificate = card.read(signed)
    try:
        _check(certificate, ca, card.moment(stated.issued), stated.camera)
    except TrustError as error:
        raise CardError(f"The card is signed, but not by this camera of this deployment. {error}") from error
    return stated


def check_head(signed: bytes, ca: x509.Certificate) -> Head:
    """The audit head in ``signed``, when a camera of the deployment signed it for itself. Raises ``HeadError``."""
    stated, certificate = head.read(signed)
    try:
        signed_at = datetime.fromtimestamp(stated.time / 1000, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise HeadError("The audit head names a time that does not exist. It cannot be genuine.") from error
    try:
        _check(certificate, ca, signed_at, stated.camera)
    except TrustError as error:
        raise HeadError(f"The audit head is signed, but not by this camera of this deployment. {error}") from error
    return stated


def _check(certificate: bytes, ca: x509.Certificate, signed_at: datetime, camera: str) -> None:
    """Raises ``TrustError`` unless ``certificate`` is that of ``camera`` in the deployment of ``ca``."""
    # valid when it was signed: evidence does not lose its worth when a certificate is renewed
    named, _ = check_signer(certificate, ca, signed_at)
    if named != camera:
        raise TrustError(f"It speaks for the camera {camera} but is signed by {named}: forged, or in the wrong place.")
