"""A claim as a QR code."""

from __future__ import annotations

import io
from pathlib import Path

import segno

from edge.enrol.claim import Claim
from provisioning import pki
from provisioning.office.folder import OfficeError

_SCALE = 8  # pixels a module


def write(claim: Claim, path: Path) -> None:
    """Writes ``claim`` to ``path`` (mode 0600): .png and .svg are pictures, .txt the line itself.

    Raises ``VidikError``.
    """
    kind = path.suffix.lstrip(".")
    if kind not in ("png", "svg", "txt"):
        raise OfficeError(f"{path.name} is neither .png nor .svg nor .txt. Name a file that ends in one of them.")
    if kind == "txt":
        content = f"{claim}\n".encode()
    else:
        picture = io.BytesIO()
        _code(claim).save(picture, kind=kind, scale=_SCALE)
        content = picture.getvalue()
    pki.write(path, content, mode=0o600)


def terminal(claim: Claim) -> str:
    """``claim`` for a terminal, two modules a character in height."""
    text = io.StringIO()
    _code(claim).terminal(out=text, compact=True)
    return text.getvalue()


def _code(claim: Claim) -> segno.QRCode:
    return segno.make_qr(str(claim), error="m")
