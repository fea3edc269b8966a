"""What a technician brought on the boot partition or a USB stick: taken in without a person, and safe to repeat.

A medium may hold

- ``vidik-claim.txt``: the camera enrols with it, and is sealed at once; nobody needs to come by with a telephone;
- ``vidik-camera.toml`` beside it: what is special about this camera (``configuration``);
- ``*.grant``, ``*.revocation``, ``*.trust``: put among the grants. Whether they hold is for vision to say.

Nothing on a medium is believed: files are plain, of bounded size and number, and what they may change is bounded too. A
sealed camera takes a new claim of its own deployment only, and no configuration.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from edge import durable
from edge.enrol import claim as claims
from edge.enrol import configuration, identity, procedure
from edge.enrol.claim import Claim
from edge.enrol.identity import CONFIG, IDENTITY
from edge.enrol.service import Service
from edge.errors import VidikError

REPLACED = "replaced"  # written when an identity took the place of another: who runs needs its keys
USED = "claims-used"  # in the camera's folder: digests of claims, for media that cannot be written to
NOTE = "vidik-claim.used"  # takes the claim's place on the medium
GRANTS = "grants"
_SUFFIXES = (".grant", ".revocation", ".trust")
_LARGEST = 1 << 20  # bytes of a document
_MOST = 64  # documents of a medium
_MOST_KEPT = 256  # documents among the grants
_SCANNED = 4096  # names on it that are looked at
_MEDIA = 16
_log = logging.getLogger("vidik.enrol")


def take_in(
    folder: Path, media: Path, connect: Callable[[Claim], Service], say: Callable[[str, str], None]
) -> list[str]:
    """Takes in what lies on the media mounted in the folder ``media``; returns what was news, in words.

    ``say`` hears, for the audit log, of what happened and why, at least once even if the power is cut. Raises
    ``VidikError`` after everything that could be taken in was.
    """
    mounted = sorted(each for each in islice(media.iterdir(), _MEDIA) if each.is_dir()) if media.is_dir() else []
    news = [each for medium in mounted for each in _documents(folder / GRANTS, medium)]
    failed: list[VidikError] = []
    for medium in mounted:
        try:
            news += _claim(folder, medium, connect, say)
        except VidikError as error:
            failed.append(error)
    for each in news:
        _log.info("%s", each)
    if failed:
        raise failed[0]
    return news


def _claim(
    folder: Path, medium: Path, connect: Callable[[Claim], Service], say: Callable[[str, str], None]
) -> Iterator[str]:
    path = medium / claims.FILE
    if not path.is_file():
        return
    if _is_half_erased(path):
        durable.erase(path)
        return
    claim = claims.read(path)
    digest = hashlib.sha256(claim.secret.encode()).hexdigest()
    used = folder / USED
    known = used.read_text(encoding="ascii").split() if used.exists() else []
    if digest in known:
        _mark(path, claim.camera)
        return
    said = None if (folder / CONFIG).exists() else configuration.overlay(medium / configuration.FILE)
    held = identity.in_force(folder / IDENTITY)
    if procedure.enrol(folder, claim, connect, overlay=said, seal=True):
        if held is not None:
            identity.fill(folder, {REPLACED: f"{digest}\n".encode()})
        yield f"enrolled as {claim.camera}"
    identity.seal(folder)
    say("sealed", "by a claim on a medium")
    identity.fill(folder, {USED: "".join(f"{each}\n" for each in (*known, digest)).encode()})
    _mark(path, claim.camera)


def _is_half_erased(path: Path) -> bool:
    """Whether a power cut stopped the erasing of a claim that was used."""
    with path.open("rb") as file:
        return b"\0" in file.read(1024) and path.with_name(NOTE).exists()


def _mark(path: Path, camera: str) -> None:
    """Erases a claim that was used: it is worthless, and the technician shall see that it worked."""
    try:
        path.with_name(NOTE).write_text(f"This claim was used: the camera is {camera}.\n", encoding="ascii")
        durable.erase(path)
    except OSError as error:
        _log.info("claim-left medium=%s error=%s: it was used and is worth nothing", path.parent.name, error.strerror)


def _documents(grants: Path, medium: Path) -> Iterator[str]:
    found = sorted(each for each in islice(medium.iterdir(), _SCANNED) if each.suffix in _SUFFIXES)
    for path in found[:_MOST]:
        try:
            if grants.is_dir() and sum(1 for _ in grants.iterdir()) >= _MOST_KEPT:
                raise OSError(f"{_MOST_KEPT} documents lie there already")
            content = _read(path)
            name = hashlib.sha256(content).hexdigest()[:32] + path.suffix
            if not (grants / name).exists():
                durable.write(grants / name, content, mode=0o660)  # vision erases it when its time is over
                yield f"took in {path.name!a} as {name}"
        except OSError as error:
            _log.error("document-not-taken name=%s error=%s", ascii(path.name), error)


def _read(path: Path) -> bytes:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_size > _LARGEST:
            raise OSError(f"it is no plain file of at most {_LARGEST} bytes")
        return file.read(_LARGEST)
