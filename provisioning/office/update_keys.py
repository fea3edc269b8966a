"""Keys that sign updates: a CA and a signer under it, for releases and, apart from them, for development.

::

    FOLDER/ca.pem, ca.key           the CA; images carry ca.pem. Its key is needed for the next signer only
    FOLDER/signing.pem, signing.key signs bundles (vidik provision bundle)

Both keys are encrypted. Those of development may lie in the office; those of releases never do: an office is online,
and whoever has them can put any software on every camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from edge.update import signer
from edge.update.image import Channel
from provisioning import keyfile, pki
from provisioning.office.folder import Office, OfficeError, certificate_in

UNITS: dict[Channel, str] = {"release": signer.RELEASE, "development": signer.DEVELOPMENT}
CA, SIGNING = "ca", "signing"


@dataclass(frozen=True, slots=True)
class Secrets:
    """The passphrases of the CA's and of the signer's key."""

    ca: str
    signing: str


def folder_for(office: Office, channel: Channel, given: Path | None) -> Path:
    """Where the keys of ``channel`` go. Raises ``OfficeError`` for release keys in the office's own folder."""
    if channel == "development":
        return given or office.updates / "development-keys"
    if given is None:
        raise OfficeError("Release keys do not belong in the office, which is online. Name another place with --out.")
    if given.resolve().is_relative_to(office.folder.resolve()):
        raise OfficeError(
            f"{given} lies in the office, which is online. Release keys belong elsewhere: a stick, a safe."
        )
    return given


def make(office: Office, channel: Channel, folder: Path, secrets: Secrets) -> None:
    """New keys in ``folder``; the office keeps the CA's certificate, to check bundles by. Raises ``VidikError``."""
    known = ca_file(office, channel)
    if known.exists():
        raise OfficeError(
            f"{known} exists already: cameras know that CA by their image. A new signer is made under it with "
            "update-key signer; a new CA takes new images, and the file out of the way."
        )
    name = office.settings().name
    ca = pki.make_update_ca(f"{name} {channel} updates", UNITS[channel].removeprefix("Vidik "))
    _save(ca, folder, CA, secrets.ca)
    _save(pki.issue_update_signer(ca, "update signer"), folder, SIGNING, secrets.signing)
    pki.write(known, ca.certificate.public_bytes(Encoding.PEM), mode=0o644)


def make_signer(ca: Path, passphrase_file: Path | None, folder: Path, secret: str) -> None:
    """A new signer in ``folder`` under the CA in the folder ``ca``. Raises ``VidikError``."""
    certificate, key = certificate_in(ca / f"{CA}.pem"), keyfile.load(ca / f"{CA}.key", passphrase_file)
    if certificate.public_key() != key.public_key():
        raise OfficeError(f"Key and certificate in {ca} do not fit. Restore them together.")
    signer_ = pki.issue_update_signer(pki.Issued(certificate, key), "update signer")
    _save(signer_, folder, SIGNING, secret)
    pki.write(folder / f"{CA}.pem", certificate.public_bytes(Encoding.PEM), mode=0o644)


def ca_file(office: Office, channel: Channel) -> Path:
    """Where the office keeps the certificate of the CA of ``channel``."""
    return office.updates / f"{channel}.pem"


def _save(issued: pki.Issued, folder: Path, name: str, secret: str) -> None:
    keyfile.save(issued.key, folder / f"{name}.key", secret)
    pki.write(folder / f"{name}.pem", issued.certificate.public_bytes(Encoding.PEM), mode=0o644)
