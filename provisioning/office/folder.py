"""Where an office keeps what, and what was decided when it was made.

::

    office.toml      names and addresses
    root/            ca.pem, ca.key: the root; its key belongs offline (--root names another place, such as a stick)
    issuing/         ca.pem, ca.key: issues certificates and revocation lists; the key is encrypted
    ca.pem, crl.pem  what everybody verifies with: issuing CA and root, and the revocation list
    trust.toml       whose signatures on grants count
    recipients/      public keys that reports are sealed to
    inventory.sqlite cameras, claims, certificates, journal
    broker/          certificate, access rules, configuration and start script of Mosquitto
    service/         certificate of the enrolment service; claims are pinned to its key
    updates/         CAs of updates, keys for development (never those for releases), bundles that can be rolled out
"""

from __future__ import annotations

import base64
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec import Meta

from edge.config import Port
from edge.enrol import claim
from edge.errors import VidikError
from edge.grant import trust
from provisioning import grant_draft, keyfile, pki
from provisioning.office.inventory import Inventory

Host = Annotated[str, Meta(pattern=r"\A([A-Za-z0-9.-]{1,253}|[0-9a-f:.]{2,45})\Z")]
Name = Annotated[str, Meta(pattern=r"\A[^+#/\s][^+#/\n]{0,47}\Z")]


class OfficeError(VidikError):
    """The office's folder is missing something, or something in it does not fit."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``office.toml``. Cameras reach the broker and the enrolment service under these names. ``subscribers`` may
    receive reports, ``senders`` hand documents down to cameras."""

    name: Name
    broker_host: Host
    broker_port: Port = 8883
    enrol_host: Host
    enrol_port: Port = 8443
    subscribers: tuple[Name, ...] = ()
    senders: tuple[Name, ...] = ()

    def toml(self) -> str:
        """As it stands in the file."""
        fields = msgspec.to_builtins(self)
        # JSON strings, numbers and arrays are valid TOML
        return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


@dataclass(frozen=True, slots=True)
class Office:
    """The office in ``folder``."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def crl(self) -> Path:
        return self.folder / "crl.pem"

    @property
    def trust(self) -> Path:
        return self.folder / "trust.toml"

    @property
    def broker(self) -> Path:
        return self.folder / "broker"

    @property
    def service(self) -> Path:
        return self.folder / "service"

    @property
    def updates(self) -> Path:
        return self.folder / "updates"

    @property
    def bundles(self) -> Path:
        return self.updates / "bundles"

    def settings(self) -> Settings:
        """What was decided at ``init``. Raises ``OfficeError``."""
        path = self.folder / "office.toml"
        try:
            return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Settings)
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
            raise OfficeError(
                f"{path} cannot be used: {error}. Name the office with --office, or make one: vidik provision init."
            ) from error

    def write_settings(self, settings: Settings) -> None:
        pki.write(self.folder / "office.toml", settings.toml().encode(), mode=0o644)

    def inventory(self) -> Inventory:
        """The inventory; close it after use. Raises ``InventoryError``."""
        return Inventory(self.folder / "inventory.sqlite")

    def issuing(self, passphrase_file: Path | None) -> pki.Issued:
        """The issuing CA with its key, whose passphrase is asked for. Raises ``VidikError``."""
        certificate = certificate_in(self.folder / "issuing" / "ca.pem")
        key = keyfile.load(self.folder / "issuing" / "ca.key", passphrase_file)
        if key.public_key() != certificate.public_key():
            raise OfficeError(f"Key and certificate in {self.folder / 'issuing'} do not fit. Restore them together.")
        return pki.Issued(certificate, key)

    def checked_trust(self) -> bytes:
        """The trust file, once it was found to be sound. Raises ``VidikError``."""
        if not self.trust.exists():
            raise OfficeError(
                f"There is no trust file {self.trust}. Without one no grant can ever reach a camera: let the signers "
                "make it (vidik grant key new --trust), then: vidik provision trust FILE."
            )
        trust.load(self.trust)
        return self.trust.read_bytes()

    def recipients(self) -> dict[str, bytes]:
        """The raw public keys of those who may open reports, by name. Raises ``DraftError``."""
        return {path.stem: grant_draft.recipient(path) for path in sorted((self.folder / "recipients").glob("*.pub"))}

    def deployment(self, trust: bytes) -> dict[str, Any]:
        """What a camera gets besides certificates, as JSON has it. Raises ``VidikError``."""
        settings = self.settings()
        return {
            "broker": {"host": settings.broker_host, "port": settings.broker_port},
            "enrol": {"host": settings.enrol_host, "port": settings.enrol_port},
            "recipients": {name: base64.b64encode(key).decode() for name, key in self.recipients().items()},
            "trust": trust.decode(),
        }

    def pin(self) -> str:
        """What claims pin the enrolment service by."""
        key = certificate_in(self.service / "server.pem").public_key()
        return claim.pin_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def certificate_in(path: Path) -> x509.Certificate:
    """The first certificate in the PEM file ``path``. Raises ``OfficeError``."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise OfficeError(f"The certificate {path} cannot be read: {error}. Restore the office's backup.") from error
