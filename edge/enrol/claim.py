"""The claim: what a technician brings to a camera, as a QR code or as a file on the boot partition.

One line of text::

    vidik://enrol.example:8443/cam-0042?claim=SECRET&pin=PIN&until=1767225600

It names the enrolment service and, by the SHA-256 of its public key (as RFC 7469 does), the only one to believe: a
camera fresh from the box knows no CA and often not even the time. The secret is good for one identity of one camera.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import VidikError

FILE = "vidik-claim.txt"  # its name on the boot partition
_LARGEST = 1024  # characters
_FORM = re.compile(
    r"vidik://(?P<host>\[[0-9a-f:.]+\]|[A-Za-z0-9.-]{1,253}):(?P<port>[1-9][0-9]{0,4})/"
    r"(?P<camera>[a-z0-9][a-z0-9-]{0,31})\?claim=(?P<secret>[A-Za-z0-9_-]{32})&pin=(?P<pin>[A-Za-z0-9_-]{43})"
    r"&until=(?P<until>[0-9]{1,12})"
)


class ClaimError(VidikError):
    """What was given is not a claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``until``: seconds since the epoch, UTC. ``pin``: see ``pin_of``. ``host`` carries no brackets."""

    host: str
    port: int
    camera: str
    secret: str
    pin: str
    until: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"vidik://{host}:{self.port}/{self.camera}?claim={self.secret}&pin={self.pin}&until={self.until}"

    def __repr__(self) -> str:
        return f"Claim(host={self.host!r}, port={self.port}, camera={self.camera!r}, until={self.until})"  # no secret


def parse(text: str) -> Claim:
    """The claim in ``text``. Raises ``ClaimError``; the message never repeats the secret."""
    found = _FORM.fullmatch(text.strip()) if len(text) <= _LARGEST else None
    if found is None or int(found["port"]) > 65535:
        raise ClaimError(
            "That is not a claim, or only a part of one: it is one line that begins with vidik:// and ends with a "
            "number. Scan or copy it again."
        )
    return Claim(
        found["host"].strip("[]"), int(found["port"]), found["camera"], found["secret"], found["pin"],
        int(found["until"]),
    )  # fmt: skip


def read(path: Path) -> Claim:
    """The claim in the file ``path``. Raises ``ClaimError``."""
    try:
        with path.open(encoding="utf-8") as file:
            return parse(file.read(_LARGEST + 1))
    except (OSError, UnicodeDecodeError) as error:
        raise ClaimError(f"The claim {path} cannot be read: {error}. Put it there again.") from error


def pin_of(public_key: bytes) -> str:
    """The pin of a server whose public key is ``public_key`` (DER SubjectPublicKeyInfo)."""
    return base64.urlsafe_b64encode(hashlib.sha256(public_key).digest()).rstrip(b"=").decode()
