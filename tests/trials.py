"""What tests of test reports share: a camera's folder as enrolment leaves it, with recipients that the office named."""

from __future__ import annotations

import base64
import json
from pathlib import Path

from tests.rig import CAMERA, Rig


def make_folder(rig: Rig, **recipients: bytes) -> Path:
    """The folder of the rig's camera, which hands over at the rig's inbox; its recipients' raw public keys by name."""
    held = rig.folder / "identity" / "made"
    held.mkdir(parents=True, exist_ok=True)
    current = rig.folder / "identity" / "current"
    if not current.exists():
        current.symlink_to("made")
    named = {name: base64.b64encode(key).decode() for name, key in recipients.items()}
    (held / "deployment.json").write_text(json.dumps({"broker": {}, "enrol": {}, "recipients": named}))
    vision = f"""
[vision]
camera = "{CAMERA}"
source = "/dev/video0"
inbox = "inbox"
trust = "trust.toml"
grants = "grants"
incoming = "incoming"
state = "state"
signing_key = "{CAMERA}-signing.key"
signing_certificate = "{CAMERA}-signing.pem"
"""
    path = rig.folder / "camera.toml"
    path.write_text((path.read_text() if path.exists() else "") + vision)
    return rig.folder
