"""Where a camera keeps its identity: all of it in one folder, exchanged for another in one step.

::

    identity/current -> 3f2a…        the identity in force
    identity/3f2a…/                  connection.key/.pem, signing.key/.csr/.pem, ca.pem, trust.toml, deployment.json

A folder is named after the claim it was made for, so that an enrolment which a power cut interrupts goes on with the
same keys: the office has perhaps certified them already. Keys stay for the life of an identity; certificates are
renewed over the same keys, each by replacing one file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from edge import durable
from edge.enrol.claim import Claim
from edge.enrol.errors import EnrolError

IDENTITY, CONFIG, SEALED = "identity", "camera.toml", "sealed"  # in a camera's folder
CURRENT = "current"
CONNECTION, SIGNING = "connection", "signing"
_OPEN = 0o755  # certificates are public; the keys beside them are their owner's alone
CA, TRUST, DEPLOYMENT, SIGNING_REQUEST = "ca.pem", "trust.toml", "deployment.json", "signing.csr"


def begin(folder: Path, claim: Claim) -> Path:
    """The folder for the identity that ``claim`` stands for, as far as it got before. Raises ``EnrolError``."""
    made = folder / hashlib.sha256(claim.secret.encode()).hexdigest()[:16]
    try:
        durable.make_folder(folder, _OPEN)
        _erase_others(folder, made.name)
        durable.make_folder(made, _OPEN)
    except OSError as error:
        raise _unusable(folder, error) from error
    return made


def in_force(folder: Path) -> Path | None:
    """The folder of the identity in force, if there is one."""
    current = folder / CURRENT
    return folder / current.readlink() if current.is_symlink() and current.is_dir() else None


def fill(made: Path, files: Mapping[str, bytes], mode: int = 0o644) -> None:
    """Writes ``files`` into an identity's folder, one after the other. Raises ``EnrolError``."""
    try:
        for name, content in files.items():
            durable.write(made / name, content, mode=mode)
    except OSError as error:
        raise _unusable(made, error) from error


def seal(folder: Path) -> None:
    """Seals the camera in ``folder``, if it is not sealed: that seal may be another user's. Raises ``EnrolError``."""
    if not (folder / SEALED).exists():
        fill(folder, {SEALED: b""})


def make_folders(folder: Path, *names: str) -> None:
    """Makes the folders ``names`` in ``folder``, for the camera alone. Raises ``EnrolError``."""
    try:
        for name in names:
            durable.make_folder(folder / name)
    except OSError as error:
        raise _unusable(folder, error) from error


def commit(folder: Path, made: Path) -> None:
    """Puts the identity ``made`` in force, in one step, and erases what was there before. Raises ``EnrolError``."""
    try:
        durable.point(folder / CURRENT, made.name)
        _erase_others(folder, made.name)
    except OSError as error:
        raise _unusable(folder, error) from error


def erase(folder: Path) -> None:
    """Erases every identity in ``folder``, keys first overwritten. Raises ``EnrolError``."""
    try:
        (folder / CURRENT).unlink(missing_ok=True)
        _erase_others(folder, "")
    except OSError as error:
        raise _unusable(folder, error) from error


def _erase_others(folder: Path, kept: str) -> None:
    """Erases all identities but ``kept`` and the one in force."""
    if not folder.is_dir():
        return
    current = in_force(folder)
    for other in folder.iterdir():
        if other.is_dir() and not other.is_symlink() and other.name != kept and other != current:
            for file in other.iterdir():
                durable.erase(file)
            other.rmdir()


def _unusable(folder: Path, error: OSError) -> EnrolError:
    return EnrolError(f"The identity in {folder} cannot be kept: {error}. Check the data partition.")
