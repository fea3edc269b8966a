"""The development CA: made once for this checkout, trusted by development images only, and worth nothing elsewhere.

Keys of releases are made and kept by ``vidik provision update-key``; this needs no more than openssl.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tools import run, say

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


def signer(folder: Path, channel: str = "development") -> Signer:
    """The signer in ``folder``, made now with its CA if there is none. Keys are not encrypted."""
    made = Signer(folder / "ca.pem", folder / "signer.pem", folder / "signer.key")
    if not made.certificate.exists():
        say(f"keys: making a {channel} CA")
        folder.mkdir(parents=True, exist_ok=True)
        before = os.umask(0o077)
        try:
            _make(folder, made, channel)
        finally:
            os.umask(before)
    return made


def _make(folder: Path, made: Signer, channel: str) -> None:
    # edge/update/signer.py tells the CAs apart by this
    unit = f"Vidik {channel} updates"
    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc")
    extensions = folder / "extensions"
    extensions.write_text(f"[signer]\n{_SIGNER}")
    run(
        "openssl", "req", "-x509", *new_key, "-days", "3650", "-subj", f"/O=Vidik/OU={unit}/CN={channel} CA",
        "-config", "/dev/null", "-keyout", folder / "ca.key", "-out", made.ca,
        "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign",
    )  # fmt: skip
    request = folder / "signer.csr"
    run(
        "openssl", "req", *new_key, "-subj", f"/O=Vidik/OU=update signing/CN={channel} signer",
        "-config", "/dev/null", "-keyout", made.key, "-out", request,
    )  # fmt: skip
    run(
        "openssl", "x509", "-req", "-in", request, "-CA", made.ca, "-CAkey", folder / "ca.key", "-CAcreateserial",
        "-days", "3650", "-extfile", extensions, "-extensions", "signer", "-out", made.certificate,
    )  # fmt: skip
