"""Brings a bundle onto the data partition: from the office, in as many attempts as it takes, or from a stick.

What was fetched of a bundle lies in ``DIGEST.part``; once whole, synchronised and found to have that digest, it is
renamed to ``DIGEST.raucb``. Everything else in the folder but the state is left over from before, and removed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from edge import durable
from edge.errors import VidikError
from edge.update.bundle import BundleError
from edge.update.office import Source
from edge.update.policy import LARGEST, Offer

SUFFIX, PART = ".raucb", ".part"
_SPARE = 64 << 20  # bytes of the data partition that an update leaves to the rest of the camera
_SYNC = 4 << 20  # bytes after which what came is put on the medium
_PIECE = 1 << 20


class FetchError(VidikError):
    """A bundle that cannot be brought onto the data partition."""


def download(office: Source, offer: Offer, folder: Path) -> Path:
    """The bundle of ``offer`` in ``folder``; what an earlier attempt fetched is not asked for again.

    Raises ``BundleError`` for a bundle that is not what was offered, ``FetchError``, ``EnrolError``, ``TryLater``.
    """
    whole, part = folder / f"{offer.digest}{SUFFIX}", folder / f"{offer.digest}{PART}"
    try:
        tidy(folder, whole.name, part.name)
        if not whole.exists():
            there = min(part.stat().st_size, offer.size) if part.exists() else 0
            _make_room(folder, offer.size - there)
            if there < offer.size:
                _append(part, there, offer.size, office.download(offer.digest, there))
            _finish(part, whole, offer)
    except OSError as error:
        raise _unusable(folder, error) from error
    return whole


def copy(given: Path, folder: Path) -> Path:
    """A copy of the bundle ``given`` in ``folder``: what was examined cannot be exchanged afterwards.

    Raises ``FetchError``.
    """
    fresh = folder / f"stick{PART}"
    try:
        tidy(folder)
        size = given.stat().st_size
        if size > LARGEST:
            raise FetchError(
                f"{given.name} has {size} bytes, and at most {LARGEST} are taken. It is no bundle for this."
            )
        _make_room(folder, size)
        with given.open("rb") as source:
            _append(fresh, 0, size, iter(lambda: source.read(_PIECE), b""))
        whole = folder / f"{digest_of(fresh)}{SUFFIX}"
        fresh.replace(whole)
        durable.settle(folder)
    except OSError as error:
        raise FetchError(
            f"{given.name} cannot be copied to {folder}: {error}. Try again, or use another stick."
        ) from error
    return whole


def tidy(folder: Path, *kept: str) -> None:
    """Removes what is left of other updates. Raises ``FetchError``."""
    try:
        durable.make_folder(folder)
        for path in folder.iterdir():
            if path.suffix in (SUFFIX, PART) and path.name not in kept:
                path.unlink()
    except OSError as error:
        raise _unusable(folder, error) from error


def digest_of(path: Path) -> str:
    """SHA-256 of the file, hex. Raises ``OSError``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _append(part: Path, there: int, size: int, pieces: Iterable[bytes]) -> None:
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT, 0o600), "r+b") as file:
        file.truncate(there)
        file.seek(there)
        synchronised = there
        try:
            for piece in pieces:
                there += len(piece)
                if there > size:
                    raise BundleError("the office sent more than it had announced")
                file.write(piece)
                if there - synchronised >= _SYNC:
                    file.flush()
                    os.fsync(file.fileno())
                    synchronised = there
        finally:
            file.flush()
            os.fsync(file.fileno())


def _finish(part: Path, whole: Path, offer: Offer) -> None:
    size = part.stat().st_size
    if size == offer.size and digest_of(part) == offer.digest:
        part.replace(whole)
        durable.settle(whole.parent)
        return
    if size == offer.size:
        part.unlink()
    raise BundleError(
        f"it is truncated: {size} bytes came of {offer.size}" if size < offer.size
        else "it is not what the office offered: it was changed or damaged on the way"
    )  # fmt: skip


def _make_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed + _SPARE:
        raise FetchError(f"The update needs {needed >> 20} MiB on the data partition, and {free >> 20} MiB are free.")


def _unusable(folder: Path, error: OSError) -> FetchError:
    return FetchError(f"The update cannot be kept in {folder}: {error}. Check the data partition.")
