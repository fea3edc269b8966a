"""Statements as cameras make them, for tests of those who read them."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from edge import card
from edge.grant.document import Grant
from edge.signing import KeySigner
from provisioning import pki


def status(issued: pki.Issued, **changes: object) -> bytes:
    """A status that carries the signing certificate ``issued``."""
    der = issued.certificate.public_bytes(Encoding.DER)
    content = {
        "camera": "x", "state": "online", "since": "2026-11-27T20:00:00Z", "version": "0.1.0", "spool": 0, "sent": [],
        "dropped": {}, "rejected": 0, "trouble": None, "signing_certificate": base64.b64encode(der).decode(),
    }  # fmt: skip
    return json.dumps(content | changes).encode()


def health(now: float, **changes: object) -> bytes:
    """The health of a camera that is well."""
    content = {"camera": "x", "time": now, "state": "ok", "causes": [], "fps": 14.9, "temperature": 48.5}
    return json.dumps(content | changes).encode()


def signed_card(issued: pki.Issued, camera: str, now: float, grants: Sequence[Grant] = ()) -> bytes:
    """A public card, signed by the camera."""
    made = card.build(camera, now, software="0.1.0", models={}, grants=grants, audit=(1, bytes(32)))
    return card.sign(made, KeySigner(issued.key, issued.certificate))
