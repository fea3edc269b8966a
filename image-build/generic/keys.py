"""The development CA: made once for this checkout, trusted by development images only, and worth nothing elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tools import run, say

_CA = """basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
"""
_SIGNER = """basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning,emailProtection
"""


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs bundles. ``ca``: what images trust."""

    ca: Path
    certificate: Path
    key: Path


def development(folder: Path) -> Signer:
    """The development signer in ``folder``, made now if there is none."""
    signer = Signer(folder / "ca.pem", folder / "signer.pem", folder / "signer.key")
    if not signer.certificate.exists():
        say("keys: making a development CA")
        folder.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)
        try:
            _make(folder, signer)
        finally:
            os.umask(before)
    return signer


def _make(folder: Path, signer: Signer) -> None:
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    extensions = folder / "extensions"
    extensions.write_text(f"[ca]\n{_CA}[signer]\n{_SIGNER}")
    run(
        "openssl", "req", "-x509", *new_key, "-days", "3650", "-subj", "/O=Vidik development/CN=Vidik development CA",
        "-config", "/dev/null", "-keyout", folder / "ca.key", "-out", signer.ca,
        "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    request = folder / "signer.csr"
    run(
        "openssl", "req", *new_key, "-subj", "/O=Vidik development/CN=Vidik development signer",
        "-config", "/dev/null", "-keyout", signer.key, "-out", request,
    )  # fmt: skip
    run(
        "openssl", "x509", "-req", "-in", request, "-CA", signer.ca, "-CAkey", folder / "ca.key", "-CAcreateserial",
        "-days", "3650", "-extfile", extensions, "-extensions", "signer", "-out", signer.certificate,
    )  # fmt: skip
