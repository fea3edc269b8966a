"""What a subscriber remembers over a restart: which reports it has dealt with, and whose signatures it knows.

One file, to which every commit appends a line with a checksum and waits for the medium. A line that a crash
has cut short is dropped on the next start, so its reports are taken once more: never a loss. Reports are kept
as ranges of their numbers per camera and start, a few bytes for a camera however long it runs. Where something
must be forgotten to bound the memory it is the oldest, which then would be delivered twice, not lost.
"""

from __future__ import annotations

import base64
import fcntl
import os
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import msgspec

from edge import durable
from edge.errors import VidikError
from edge.listen.ranges import Ranges

_STARTS = 16  # of one camera
_RANGES = 1_000  # of one start of a camera
_DIGESTS = 10_000  # of reports for somebody else, which carry no number that we can read
_KEYS = 4  # signing certificates of one camera
_CAMERAS = 100_000
_LARGEST = 4 << 20  # bytes to which the file grows over its compacted size before it is compacted again


class CheckpointError(VidikError):
    """The checkpoint cannot be read, written or is in use."""


class Id(NamedTuple):
    """What identifies a report: the camera, which of its starts, which report since then."""

    camera: str
    boot: int
    seq: int


class _Line(msgspec.Struct, omit_defaults=True):
    """What one line of the file adds."""

    ids: list[Id] = []
    ranges: dict[str, dict[int, list[tuple[int, int]]]] = {}
    digests: list[str] = []
    signers: dict[str, list[str]] = {}


class Checkpoint:
    """Reports dealt with and signers known. Without ``path`` it is kept in memory only.

    Raises ``CheckpointError`` when the file cannot be used, or another process uses it.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._seen: OrderedDict[str, OrderedDict[int, Ranges]] = OrderedDict()
        self._digests: OrderedDict[str, None] = OrderedDict()
        self._signers: dict[str, list[str]] = {}
        self._fresh = _Line()
        self._file = -1
        self._size = self._compact_at = 0
        if path is not None:
            self._open(path)

    def note(self, identity: Id | bytes) -> bool:
        """Takes note of a report, by its id or by the digest of its bytes. False when it was known already."""
        if isinstance(identity, Id):
            new = self._ranges(identity.camera, identity.boot).add(identity.seq)
            if new and self._path is not None:
                self._fresh.ids.append(identity)
            return new
        text = identity.hex()
        new = text not in self._digests
        self._digests[text] = None
        self._digests.move_to_end(text)
        if len(self._digests) > _DIGESTS:
            self._digests.popitem(last=False)
        if new and self._path is not None:
            self._fresh.digests.append(text)
        return new

    def learn(self, camera: str, certificate: bytes) -> None:
        """Remembers a signing certificate (DER) that was found good."""
        text = base64.b64encode(certificate).decode()
        known = self._signers.setdefault(camera, [])
        if text not in known:
            self._signers[camera] = [*known, text][-_KEYS:]
            if self._path is not None:
                self._fresh.signers.setdefault(camera, []).append(text)

    def certificates(self, camera: str) -> list[bytes]:
        """The signing certificates of ``camera`` (DER), to be checked again: they expire."""
        return [base64.b64decode(text) for text in self._signers.get(camera, ())]

    def commit(self) -> None:
        """Makes everything noted so far last. Raises ``CheckpointError``."""
        if self._path is None or not any((self._fresh.ids, self._fresh.digests, self._fresh.signers)):
            return
        line, self._fresh = _pack(self._fresh), _Line()
        try:
            if self._size + len(line) > self._compact_at:
                self._compact()
                return
            os.write(self._file, line)
            os.fdatasync(self._file)
        except OSError as error:
            raise CheckpointError(
                f"The checkpoint {self._path} cannot be written: {error}. Make room for it, or mend its folder."
            ) from error
        self._size += len(line)

    def close(self) -> None:
        """Lets go of the file."""
        if self._file >= 0:
            os.close(self._file)
            os.close(self._lock)
            self._file = -1

    def _ranges(self, camera: str, boot: int) -> Ranges:
        starts = self._seen.setdefault(camera, OrderedDict())
        self._seen.move_to_end(camera)
        if len(self._seen) > _CAMERAS:
            self._seen.popitem(last=False)
        ranges = starts.setdefault(boot, Ranges())
        if len(starts) > _STARTS:
            del starts[min(starts)]
        ranges.forget_lowest(_RANGES)
        return ranges

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = path.read_bytes() if path.exists() else b""
            for line in content.splitlines(keepends=True):
                self._take_in(line)
            self._compact()
        except BlockingIOError as error:
            raise CheckpointError(
                f"The checkpoint {path} is in use by another subscriber. Give every subscriber a name of its own."
            ) from error
        except OSError as error:
            raise CheckpointError(f"The checkpoint {path} cannot be used: {error}. Check the folder.") from error

    def _take_in(self, raw: bytes) -> None:
        line = _unpack(raw)
        if line is None:  # cut short by a crash: what it said is taken again
            return
        for identity in line.ids:
            self._ranges(identity.camera, identity.boot).add(identity.seq)
        for camera, starts in line.ranges.items():
            for boot, pairs in starts.items():
                self._seen.setdefault(camera, OrderedDict())[boot] = Ranges(pairs)
        self._digests |= dict.fromkeys(line.digests)
        for camera, texts in line.signers.items():
            self._signers[camera] = list(dict.fromkeys([*self._signers.get(camera, ()), *texts]))[-_KEYS:]

    def _compact(self) -> None:
        assert self._path is not None
        ranges = {
            camera: {boot: held.pairs for boot, held in starts.items()} for camera, starts in self._seen.items()
        }  # fmt: skip
        content = _pack(_Line(ranges=ranges, digests=list(self._digests), signers=self._signers))
        durable.write(self._path, content)
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        self._size = len(content)
        self._compact_at = self._size + _LARGEST


def _pack(line: _Line) -> bytes:
    content = msgspec.json.encode(line)
    return b"%08x %b\n" % (zlib.crc32(content), content)


def _unpack(raw: bytes) -> _Line | None:
    checksum, _, content = raw.partition(b" ")
    content = content.removesuffix(b"\n")
    try:
        if int(checksum, 16) != zlib.crc32(content):
            return None
        return msgspec.json.decode(content, type=_Line)
    except (ValueError, msgspec.MsgspecError):
        return None
