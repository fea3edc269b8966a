"""Backups of an office, and the check whether an office, or what came back of one, is whole.

A backup is one gzipped tar file with a list of SHA-256 sums. The CA's keys in it are encrypted as they are in the
office; the keys of broker and enrolment service are not, since they must start by themselves: lock it away.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from edge.errors import VidikError
from provisioning import keyfile, pki
from provisioning.office.folder import Office, OfficeError, certificate_in
from provisioning.office.inventory import Inventory

_SUMS = "SHA256SUMS.json"
_LARGEST = 4 << 30  # bytes in all
_DATABASE = "inventory.sqlite"
_LEFT_OUT = (f"{_DATABASE}-wal", f"{_DATABASE}-shm", "mosquitto.db", "broker.log")


def write(office: Office, path: Path) -> int:
    """Writes a backup of ``office`` to the new file ``path`` and returns how many files are in it.

    Everything goes on meanwhile: the inventory is copied as of one moment. Raises ``VidikError``.
    """
    if path.exists():
        raise OfficeError(f"{path} exists already. Name another file: a backup is never overwritten.")
    if path.resolve().is_relative_to(office.folder.resolve()):
        raise OfficeError(f"{path} lies in the office itself. A backup belongs elsewhere.")
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".backup.") as workshop:
        copy = Path(workshop) / _DATABASE
        inventory = office.inventory()
        try:
            inventory.copy_to(copy)
        finally:
            inventory.close()
        files = {name: file for name, file in _files(office.folder).items() if not _is_left_out(file)}
        files[_DATABASE] = copy
        packed = Path(workshop) / "backup"
        with packed.open("xb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            os.fchmod(raw.fileno(), 0o600)
            sums = {name: _add(archive, name, file) for name, file in sorted(files.items())}
            listed = json.dumps(sums, indent=1).encode()
            entry = tarfile.TarInfo(_SUMS)
            entry.size = len(listed)
            archive.addfile(entry, io.BytesIO(listed))
        with packed.open("rb") as file:
            os.fsync(file.fileno())
        packed.replace(path)
    return len(files)


def restore(path: Path, folder: Path) -> Office:
    """Puts the backup ``path`` into the new ``folder``, once every file was compared with its sum and the office
    was found to be whole. Raises ``VidikError``; then ``folder`` was not touched."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OfficeError(f"{folder} exists and is not empty. Name another folder: an office is never overwritten.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as workshop:
        made = Office(Path(workshop) / "office")
        made.folder.mkdir(mode=0o700)
        try:
            with tarfile.open(path, mode="r:gz") as archive:
                if sum(entry.size for entry in archive) > _LARGEST:
                    raise OfficeError(f"{path} is larger than any office. It is not a backup of one.")
                archive.extractall(made.folder, filter="data")  # which refuses paths that lead out
            sums: dict[str, str] = json.loads((made.folder / _SUMS).read_bytes())
            (made.folder / _SUMS).unlink()
        except (OSError, EOFError, tarfile.TarError, ValueError) as error:
            raise OfficeError(f"{path} is not a whole backup: {error}. Use another one.") from error
        found = {name: _sum(file) for name, file in _files(made.folder).items()}
        if found != sums:
            broken = sorted(name for name in {*found, *sums} if found.get(name) != sums.get(name))
            raise OfficeError(f"The backup {path} was changed or damaged: {', '.join(broken[:5])}. Use another one.")
        problems = check(made)
        if problems:
            raise OfficeError(f"What is in {path} is no whole office: {'; '.join(problems[:3])}. Use another one.")
        made.folder.replace(folder)
    return Office(folder)


def check(office: Office) -> list[str]:
    """What is wrong with ``office``, in plain sentences; empty when it is whole. Asks for no passphrase."""
    problems: list[str] = []
    try:
        office.settings()
        issuing, root = x509.load_pem_x509_certificates(office.ca.read_bytes())
        issuing.verify_directly_issued_by(root)
        root.verify_directly_issued_by(root)
        problems += _authority(office, issuing)
        problems += _servers(office, issuing)
        problems += _inventory(office, issuing)
        if office.trust.exists():
            office.checked_trust()
    except (VidikError, OSError, ValueError, TypeError, InvalidSignature) as error:
        problems.append(str(error) or f"ca.pem does not hold the issuing CA and its root ({type(error).__name__})")
    return problems


def _authority(office: Office, issuing: x509.Certificate) -> list[str]:
    problems = []
    if certificate_in(office.folder / "issuing" / "ca.pem") != issuing:
        problems.append("issuing/ca.pem is not the issuing CA of ca.pem")
    if not keyfile.is_encrypted((office.folder / "issuing" / "ca.key").read_bytes()):
        problems.append("issuing/ca.key is not encrypted")
    crl = x509.load_pem_x509_crl(office.crl.read_bytes())
    key = issuing.public_key()
    if not crl.is_signature_valid(key):  # type: ignore[arg-type]
        problems.append("crl.pem is not signed by the issuing CA")
    if crl.next_update_utc is not None and crl.next_update_utc < datetime.now(UTC):
        problems.append("crl.pem is out of date, and a broker with it refuses everybody: vidik provision renew")
    return problems


def _servers(office: Office, issuing: x509.Certificate) -> list[str]:
    problems = []
    for folder, name in ((office.broker, "broker"), (office.service, "server")):
        held = pki.load(folder, name)
        held.certificate.verify_directly_issued_by(issuing)
        if held.key.public_key() != held.certificate.public_key():
            problems.append(f"key and certificate of {folder.name} do not fit")
        if held.certificate.not_valid_after_utc < datetime.now(UTC):
            problems.append(f"the certificate of {folder.name} has expired: vidik provision renew")
    return problems


def _inventory(office: Office, issuing: x509.Certificate) -> list[str]:
    inventory = Inventory(office.folder / _DATABASE)
    try:
        problems = [f"the inventory is damaged: {problem}" for problem in inventory.problems()]
        for stored in inventory.all_certificates():
            certificate = x509.load_der_x509_certificate(stored.der)
            try:
                certificate.verify_directly_issued_by(issuing)
                genuine = f"{certificate.serial_number:x}" == stored.serial
            except (ValueError, TypeError, InvalidSignature):
                genuine = False
            if not genuine:
                problems.append(f"the inventory's certificate {stored.serial} of {stored.holder} is not of this CA")
    finally:
        inventory.close()
    return problems


def _is_left_out(file: Path) -> bool:
    return file.name in _LEFT_OUT or file.suffix == ".raucb"  # bundles are large, and signed: they can be added again


def _files(folder: Path) -> dict[str, Path]:
    return {
        file.relative_to(folder).as_posix(): file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and not file.is_symlink()
    }


def _add(archive: tarfile.TarFile, name: str, file: Path) -> str:
    """Adds ``file`` and returns its sum: of the very bytes that went in, whoever changes it meanwhile."""
    content = file.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(content), file.stat().st_mode & 0o777, int(file.stat().st_mtime)
    archive.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(content).hexdigest()


def _sum(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
