"""Builds and checks bundles of updates with RAUC's command (package rauc, and mksquashfs of squashfs-tools).

The signing key is decrypted in memory and handed to RAUC as a file that exists in memory alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from edge.update import bundle, fetch, image, signer
from edge.update.bundle import BundleError
from edge.update.image import Channel, Image
from edge.update.version import parse
from provisioning import keyfile, pki
from provisioning.office.folder import OfficeError, certificate_in
from provisioning.office.update_keys import CA, SIGNING

_ROOTS = (".ext4", ".img", ".squashfs")  # as RAUC tells kinds of images apart
_MANIFEST = "manifest.raucm"
_SQUASHFS = "-comp zstd -Xcompression-level 15"


@dataclass(frozen=True, slots=True)
class Checked:
    """A bundle that is whole, and whose signature holds. ``digest``: SHA-256 of the file, hex."""

    path: Path
    digest: str
    size: int
    board: str
    version: str
    channel: Channel


def build(root: Path, what: Path, keys: Path, passphrase_file: Path | None, out: Path) -> Checked:
    """Packs ``root`` and signs it: a root file system, or the folder of a bundle's content with its manifest.

    ``what``: the image.toml of the image; ``keys``: the folder of the signer, with the CA's certificate; ``out``: the
    new bundle. Raises ``VidikError``.
    """
    if out.exists():
        raise OfficeError(f"{out} exists already. Name another file, or remove it.")
    stated = image.load(what)
    certificate, ca = certificate_in(keys / f"{SIGNING}.pem"), certificate_in(keys / f"{CA}.pem")
    if signer.channel_of(ca.subject) != stated.channel:
        raise OfficeError(
            f"{what} is of a {stated.channel} image, and the keys in {keys} are for others. "
            "Whoever gets a development image installed can install anything: sign each with its own keys."
        )
    key = keyfile.load(keys / f"{SIGNING}.key", passphrase_file)
    if key.public_key() != certificate.public_key():
        raise OfficeError(f"Key and certificate in {keys} do not fit. Restore them together.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as workshop:
        content, made = Path(workshop) / "content", Path(workshop) / "bundle.raucb"
        content.mkdir()
        _fill(content, root, stated)
        with _in_memory(pki.private_pem(key)) as secret:
            options = [f"--mksquashfs-args={_SQUASHFS}", f"--cert={keys / f'{SIGNING}.pem'}", f"--key={secret}"]
            _rauc(["bundle", *options, str(content), str(made)], secret)
        checked = check(made, [keys / f"{CA}.pem"])
        if (checked.board, checked.version) != (stated.board, stated.version):
            raise OfficeError(
                f"The manifest in {root} says {checked.version} for {checked.board}, and {what} says {stated.version} "
                f"for {stated.board}. Build both anew."
            )
        made.replace(out)
    return Checked(out, checked.digest, checked.size, checked.board, checked.version, checked.channel)


def check(path: Path, authorities: Sequence[Path]) -> Checked:
    """The bundle ``path``, once every byte of it was checked, as on a camera. ``authorities``: files of the CAs.

    Raises ``OfficeError`` with the cause.
    """
    known = [certificate_in(ca) for ca in authorities if ca.exists()]
    try:
        found = bundle.read(path)
        parse(found.version)
        above = [ca for ca in known if signer.is_issued_by(found.signer, ca)]
        channel = signer.channel_of(above[0].subject) if above else None
        if channel is None:
            raise BundleError("it is not signed by a CA for updates that this office knows")
        with tempfile.NamedTemporaryFile(suffix=".pem") as keyring:
            Path(keyring.name).write_bytes(above[0].public_bytes(Encoding.PEM))
            _rauc([f"--keyring={keyring.name}", "info", str(path)])
        bundle.check_content(found)
        return Checked(path, fetch.digest_of(path), path.stat().st_size, found.board, found.version, channel)
    except (BundleError, OSError) as error:
        raise OfficeError(
            f"The bundle {path} cannot be used: {error}. Build it again: vidik provision bundle."
        ) from error


def _fill(content: Path, root: Path, stated: Image) -> None:
    """Puts into the folder ``content`` what RAUC makes a bundle of."""
    if (root / _MANIFEST).is_file():
        for path in root.iterdir():
            if path.name == _MANIFEST:  # which RAUC writes to
                shutil.copyfile(path, content / _MANIFEST)
            else:
                _link(path, content / path.name)
        return
    if root.suffix not in _ROOTS or not root.is_file():
        raise OfficeError(
            f"{root} is neither a root file system ({', '.join(_ROOTS)}) nor a folder with a {_MANIFEST}. Give one."
        )
    _link(root, content / f"rootfs{root.suffix}")
    (content / _MANIFEST).write_text(
        f"[update]\ncompatible={stated.board}\nversion={stated.version}\n\n[bundle]\nformat=verity\n\n"
        f"[image.rootfs]\nfilename=rootfs{root.suffix}\n"
    )


def _link(root: Path, to: Path) -> None:
    try:
        os.link(root, to)
    except OSError:  # on another file system
        shutil.copyfile(root, to)


@contextmanager
def _in_memory(content: bytes) -> Iterator[str]:
    """A path under which child processes that inherit it read ``content``, which is on no medium."""
    handle = os.memfd_create("key", os.MFD_CLOEXEC)
    try:
        os.write(handle, content)
        os.lseek(handle, 0, os.SEEK_SET)
        yield f"/proc/self/fd/{handle}"
    finally:
        os.close(handle)


def _rauc(arguments: list[str], secret: str = "") -> None:
    handles = [int(secret.rpartition("/")[2])] if secret else []
    try:
        done = subprocess.run(
            ["rauc", *arguments], capture_output=True, text=True, errors="replace", pass_fds=handles, check=False
        )
    except OSError as error:
        raise OfficeError(f"RAUC cannot be run: {error}. Install the packages rauc and squashfs-tools.") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise OfficeError(
            f"rauc failed: {said[-1] if said else done.returncode}. Are rauc and squashfs-tools installed?"
        )
