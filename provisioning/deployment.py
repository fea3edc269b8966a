"""A whole deployment in one folder: CA, signers, one camera, one subscriber. For demonstrations and tests.

A real deployment keeps these on different machines; here they lie side by side, in the files each would have.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from edge import clock
from edge.grant.document import Grant, ListedFace
from provisioning import grants, pki

_DAY = 86400


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where everything is. ``camera_folder`` holds all that a camera would."""

    folder: Path
    camera: str

    @property
    def camera_folder(self) -> Path:
        return self.folder / "camera"

    @property
    def config(self) -> Path:
        return self.camera_folder / "camera.toml"

    @property
    def grants(self) -> Path:
        return self.camera_folder / "grants"

    @property
    def office(self) -> Path:
        return self.folder / "office"

    @property
    def subscriber(self) -> Path:
        return self.folder / "subscriber"


def create(folder: Path, camera: str = "cam-demo") -> Deployment:
    """Makes all keys and certificates of a deployment with one ``camera`` in ``folder``, and no grant."""
    made = Deployment(folder, camera)
    identity = made.camera_folder / "identity"
    for place in (made.office, made.subscriber, identity, made.grants):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
    root = pki.make_root("Vidik demonstration root")
    ca = pki.make_issuing(root, "Vidik demonstration")
    pki.write(made.office / "ca.pem", pki.bundle(ca.certificate, root.certificate), mode=0o644)
    pki.issue_server(ca, ["localhost", "127.0.0.1", "::1"]).save(made.office, "broker")
    pki.issue_connection(ca, camera).save(identity, "connection")
    pki.issue_signing(ca, camera).save(identity, "signing")
    pki.issue_subscriber(ca, "subscriber").save(made.subscriber, "subscriber")
    for place in (identity, made.subscriber):
        pki.write(place / "ca.pem", (made.office / "ca.pem").read_bytes(), mode=0o644)
    recipient = x25519.X25519PrivateKey.generate()
    pem = recipient.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    pki.write(made.subscriber / "recipient.key", pem, mode=0o600)
    pki.write(made.office / "recipient.pub", recipient.public_key().public_bytes_raw(), mode=0o644)
    _signers(made)
    return made


def configure(made: Deployment, source: str, port: int, pace: bool = False) -> None:
    """Writes the camera's configuration: its footage, and the port of the broker on this machine."""
    camera = json.dumps(made.camera)  # JSON strings are valid TOML
    text = f"""[vision]
camera = {camera}
source = {json.dumps(source, ensure_ascii=False)}
pace = {str(pace).lower()}
inbox = "run/inbox"
trust = "trust.toml"
grants = "grants"
incoming = "run/incoming"
state = "state"
notices = "run/notices"
events = "events"
signing_key = "identity/signing.key"
signing_certificate = "identity/signing.pem"

[uplink]
camera = {camera}
host = "localhost"
port = {port}
ca = "identity/ca.pem"
certificate = "identity/connection.pem"
key = "identity/connection.key"
signing_certificate = "identity/signing.pem"
inbox = "run/inbox"
spool = "state/spool.sqlite"
notices = "run/notices"
incoming = "run/incoming"
"""
    (made.camera_folder / "run").mkdir(exist_ok=True, mode=0o700)
    clock.record(made.camera_folder / "state" / "newest", time.time())
    pki.write(made.config, text.encode(), mode=0o600)


def grant_plates(made: Deployment, **changes: object) -> Path:
    """Gives the camera a grant for all plates for a day, signed by the authority."""
    return grants.write(_grant(made, "plates", changes), [_key(made, "authority")], made.grants)


def grant_faces(made: Deployment, sought: Sequence[ListedFace], **changes: object) -> Path:
    """Gives the camera a grant for the ``sought`` persons for a day, signed by authority and operator."""
    grant = _grant(made, "faces", {"faces": tuple(sought), "scope": "listed", **changes})
    return grants.write(grant, [_key(made, "authority"), _key(made, "operator")], made.grants)


def _grant(made: Deployment, function: str, changes: dict[str, object]) -> Grant:
    now = int(time.time())
    fields: dict[str, object] = {
        "id": f"demo-{function}", "serial": 1, "authority": "A court in a demonstration",
        "legal_basis": "None: this is a demonstration", "purpose": "Show what leaves a camera",
        "reference": "DEMO 1", "function": function, "cameras": (made.camera,), "not_before": now - 300,
        "not_after": now + _DAY, "recipients": ((made.office / "recipient.pub").read_bytes(),), "retention": 3600,
        "template_key": grants.new_key(), "scope": "open",
    }  # fmt: skip
    return Grant(**{**fields, **changes})  # type: ignore[arg-type]


def _signers(made: Deployment) -> None:
    blocks = [f"expires = {int(time.time()) + 365 * _DAY}\n"]
    for role in ("authority", "operator"):
        key = ec.generate_private_key(ec.SECP256R1())
        pki.write(made.office / f"{role}.key", pki.private_pem(key), mode=0o600)
        der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        encoded = base64.b64encode(der).decode()
        blocks.append(f'[[signer]]\nname = "Demonstration {role}"\nrole = "{role}"\nkey = "{encoded}"\n')
    pki.write(made.camera_folder / "trust.toml", "\n".join(blocks).encode(), mode=0o644)


def _key(made: Deployment, role: str) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key((made.office / f"{role}.key").read_bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)  # _signers made it
    return key
