"""Makes an office: root and issuing CA, inventory, broker and enrolment service."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from provisioning import keyfile, pki
from provisioning.office import broker_files, registrar, revocation
from provisioning.office.folder import Office, OfficeError, Settings
from provisioning.office.inventory import Inventory

Role = Literal["subscriber", "sender"]


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passphrases of the root's and the issuing CA's keys."""

    root: str
    issuing: str


def create(folder: Path, settings: Settings, secrets: Secrets, root: Path | None = None) -> Office:
    """A new office in ``folder``, which must not exist or be empty; the root goes to ``root`` when it is named.

    All of it or nothing: it is made beside ``folder`` and moved there at the end. Raises ``VidikError``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OfficeError(f"{folder} exists and is not empty. Name another folder: an office is never overwritten.")
    if root is not None and (root / "ca.key").exists():
        raise OfficeError(f"{root} holds a root already. Name another folder: a key that is gone cannot be made again.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop:
        made = Office(Path(workshop) / "office")
        made.folder.mkdir(mode=0o700)
        _fill(made, settings, secrets, root or made.folder / "root")
        made.folder.replace(folder)
    return Office(folder)


def renew_servers(office: Office, inventory: Inventory, ca: pki.Issued) -> None:
    """New certificates for broker and enrolment service. The service keeps its key, to which claims are pinned."""
    settings = office.settings()
    key = pki.load(office.service, "server").key if (office.service / "server.key").exists() else None
    servers = [
        (office.broker, "broker", settings.broker_host, None),
        (office.service, "server", settings.enrol_host, key),
    ]
    for folder, name, host, kept in servers:
        issued = pki.issue_server(ca, names_of(host), kept)
        with inventory.change():
            registrar.record(inventory, issued.certificate, host, name)
        issued.save(folder, name)


def add_client(
    office: Office, inventory: Inventory, ca: pki.Issued, name: str, out: Path, *, role: Role
) -> None:
    """A certificate and key for a client that is no camera, written to ``out``, and its rights at the broker.

    Raises ``VidikError``.
    """
    settings = office.settings()
    if (out / f"{name}.key").exists():
        raise OfficeError(f"{out / name}.key exists already. Name another folder with --out.")
    if inventory.camera(name) is not None:
        raise OfficeError(f"{name} is the id of a camera, which must not do what others may. Choose another name.")
    issued = pki.issue_subscriber(ca, name)
    with inventory.change():
        registrar.record(inventory, issued.certificate, name, role)
    issued.save(out, name)
    pki.write(out / "ca.pem", office.ca.read_bytes(), mode=0o644)
    held = getattr(settings, f"{role}s")
    if name not in held:
        settings = msgspec.structs.replace(settings, **{f"{role}s": (*held, name)})
        office.write_settings(settings)
    broker_files.write(office, settings)


def names_of(host: str) -> list[str]:
    """The names a server's certificate is for. A machine that is only reached from itself has several."""
    here = ("localhost", "127.0.0.1", "::1")
    return list(dict.fromkeys([host, *here])) if host in here else [host]


def _fill(office: Office, settings: Settings, secrets: Secrets, root_folder: Path) -> None:
    root = pki.make_root(f"{settings.name} root")
    issuing = pki.make_issuing(root, f"{settings.name} issuing")
    for folder, issued, secret in (
        (root_folder, root, secrets.root),
        (office.folder / "issuing", issuing, secrets.issuing),
    ):
        keyfile.save(issued.key, folder / "ca.key", secret)
        pki.write(folder / "ca.pem", issued.certificate.public_bytes(Encoding.PEM), mode=0o644)
    pki.write(office.ca, pki.bundle(issuing.certificate, root.certificate), mode=0o644)
    (office.folder / "recipients").mkdir()
    office.write_settings(settings)
    inventory = Inventory(office.folder / "inventory.sqlite", make=True)
    try:
        inventory.note("office made", settings.name)
        office.broker.mkdir(mode=0o700)
        renew_servers(office, inventory, issuing)
        revocation.refresh(office, inventory, issuing, datetime.now(UTC))
        broker_files.write(office, settings)
    finally:
        inventory.close()
