"""What crosses the socket, byte by byte, and the checks it must pass.

Frame, network byte order: magic ``VK`` · version u8 · kind u8 · retention u32 (seconds) · boot u32 · seq u64 ·
length u16 · sealed bytes. Acknowledgement: magic ``VA`` · version u8 · zero u8 · boot u32 · seq u64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from edge.errors import VidikError

LARGEST = 2048  # bytes of a sealed report: some 500, or 1,600 to a post-quantum key
LONGEST_RETENTION = 366 * 86_400  # seconds
LARGEST_SEQ = 2**63 - 1  # what SQLite can hold
TRIALS = 0  # the boot of test reports, which are in nobody's account; the starts of a camera count from 1
_VERSION = 1
_HEADER = struct.Struct("!2sBBIIQH")
_ACKNOWLEDGEMENT = struct.Struct("!2sBBIQ")


class HandoverError(VidikError):
    """A frame is out of bounds, or the socket cannot be set up."""


class Kind(IntEnum):
    """What a sealed report is about, which decides its topic. The numbers are those of the frame."""

    PLATE = 1
    FACE = 2
    TRIAL = 3


class Key(NamedTuple):
    """Identifies a report of one camera; keys sort in the order in which reports were made."""

    boot: int
    seq: int

    @property
    def counts(self) -> bool:
        """Whether it is a report, of which none may go missing without a word; not so a test report."""
        return self.boot != TRIALS


@dataclass(frozen=True, slots=True)
class Item:
    """A sealed report and all that the uplink may know about it. ``retention``: seconds it may exist."""

    kind: Kind
    key: Key
    retention: int
    sealed: bytes


def pack(item: Item) -> bytes:
    """The frame of ``item``. Raises ``HandoverError`` when a field is out of bounds."""
    boot, seq = item.key
    _check(item.retention, item.key, item.kind, len(item.sealed))
    try:
        return _HEADER.pack(b"VK", _VERSION, item.kind, item.retention, boot, seq, len(item.sealed)) + item.sealed
    except struct.error as error:
        raise HandoverError(f"The report {item.key} does not fit its frame: {error}.") from error


def unpack(untrusted: bytearray) -> Iterator[Item]:
    """Takes the complete frames off the front of ``untrusted``. Raises ``HandoverError`` at the first bad one."""
    while len(untrusted) >= _HEADER.size:
        magic, version, kind, retention, boot, seq, length = _HEADER.unpack_from(untrusted)
        if magic != b"VK" or version != _VERSION:
            raise HandoverError("A frame of unknown form arrived at the inbox. Are both processes of one version?")
        try:
            checked_kind = Kind(kind)
        except ValueError:
            raise HandoverError(f"A report of the unknown kind {kind} arrived at the inbox.") from None
        _check(retention, Key(boot, seq), checked_kind, length)
        end = _HEADER.size + length
        if len(untrusted) < end:
            return
        sealed = bytes(untrusted[_HEADER.size : end])
        del untrusted[:end]
        yield Item(checked_kind, Key(boot, seq), retention, sealed)


def pack_acknowledgements(keys: Iterable[Key]) -> bytes:
    """The acknowledgements of ``keys``, one after the other."""
    return b"".join(_ACKNOWLEDGEMENT.pack(b"VA", _VERSION, 0, *key) for key in keys)


def unpack_acknowledgements(untrusted: bytearray) -> list[Key]:
    """Takes the complete acknowledgements off the front. Raises ``HandoverError`` for anything else."""
    whole = len(untrusted) - len(untrusted) % _ACKNOWLEDGEMENT.size
    keys = []
    for magic, version, _, boot, seq in _ACKNOWLEDGEMENT.iter_unpack(bytes(untrusted[:whole])):
        if magic != b"VA" or version != _VERSION:
            raise HandoverError("The inbox answered with something that is no acknowledgement.")
        keys.append(Key(boot, seq))
    del untrusted[:whole]
    return keys


def _check(retention: int, key: Key, kind: Kind, length: int) -> None:
    if not 0 < length <= LARGEST:
        raise HandoverError(f"A sealed report has 1 to {LARGEST} bytes, not {length}.")
    if not 0 < retention <= LONGEST_RETENTION:
        raise HandoverError(f"A report's retention is 1 to {LONGEST_RETENTION} seconds, not {retention}.")
    if not 0 <= key.seq <= LARGEST_SEQ:
        raise HandoverError(f"The report number {key.seq} is out of bounds.")
    if key.counts == (kind is Kind.TRIAL):
        raise HandoverError(f"Start {TRIALS} of a camera is for test reports, and for nothing else.")
