"""The audit log in bytes: entries in segments, each entry bound to all before it by a hash.

A segment is a file ``NNNNNNNNNNNN.audit`` named after its first entry's number: magic ``VKA1``, that number
(u64), the hash the chain had reached (32 bytes), then entries. An entry is a length (u16), that many bytes of
CBOR ``[number, milliseconds since the epoch, event, facts]``, and the SHA-256 of the previous hash followed by
those bytes. All numbers are in network byte order; the chain starts from 32 zero bytes.

Nothing here trusts what it reads: sizes are bounded and every error is a value, not a crash.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2

from edge import cbor
from edge.audit.events import AuditError, Fact
from edge.errors import VidikError

GENESIS = bytes(32)
SUFFIX = ".audit"
LARGEST_ENTRY = 4096  # bytes of CBOR
LARGEST_SEGMENT = 16 << 20  # what a reader takes at most
OVERHEAD = 2 + 32
_MAGIC = b"VKA1"
_ITEMS = 1000  # of CBOR in an entry
_HEADER = struct.Struct("!4sQ32s")
HEADER_BYTES = _HEADER.size
_LENGTH = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. ``time``: milliseconds since the epoch, UTC. ``hash``: where the chain is after it."""

    number: int
    time: int
    event: str
    facts: Mapping[str, Fact]
    hash: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """An entry as found from ``offset`` to ``end``, and whether it follows from what stands before it."""

    offset: int
    end: int
    entry: Entry
    follows: bool


@dataclass(frozen=True, slots=True)
class Rest:
    """Bytes at ``offset`` that are no entry: a torn end, or damage."""

    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Start:
    """A segment's header: its first entry's number, and the hash the chain had reached before it."""

    first: int
    hash: bytes


def header(start: Start) -> bytes:
    """The first bytes of a segment."""
    return _HEADER.pack(_MAGIC, start.first, start.hash)


def pack(number: int, time: int, event: str, facts: Mapping[str, Fact], before: bytes) -> tuple[bytes, bytes]:
    """An entry's bytes, and the hash of the chain after it."""
    body = bytes(cbor2.dumps([number, time, event, dict(facts)], canonical=True))
    if len(body) > LARGEST_ENTRY:
        raise AuditError(f"An audit entry of {len(body)} bytes is over the limit of {LARGEST_ENTRY}.")
    after = hashlib.sha256(before + body).digest()
    return _LENGTH.pack(len(body)) + body + after, after


def name(first: int) -> str:
    """The file name of the segment that starts with entry ``first``."""
    return f"{first:012d}{SUFFIX}"


def segments(folder: Path) -> list[Path]:
    """The segments in ``folder``, oldest first."""
    return sorted(path for path in folder.glob(f"*{SUFFIX}") if path.stem.isdecimal())


def read(path: Path) -> bytes:
    """The bytes of a segment. Raises ``AuditError`` when it cannot be read or is absurdly large."""
    try:
        if (size := path.stat().st_size) > LARGEST_SEGMENT:
            raise AuditError(f"The segment {path} has {size} bytes, over the limit of {LARGEST_SEGMENT}.")
        return path.read_bytes()
    except OSError as error:
        raise AuditError(f"The segment {path} cannot be read: {error}. Check the medium.") from error


def start(content: bytes) -> Start | None:
    """The header of a segment; None when it has none."""
    if len(content) < _HEADER.size:
        return None
    magic, first, reached = _HEADER.unpack_from(content)
    return Start(first, reached) if magic == _MAGIC and first > 0 else None


def walk(content: bytes, before: bytes, offset: int = HEADER_BYTES) -> Iterator[Link | Rest]:
    """What a segment holds from ``offset`` on (by default: after its header), to the first bytes that are no entry.

    ``before``: the hash the chain should have reached. After an entry that does not follow, the walk takes
    that entry's own hash for granted, so that one change is reported once.
    """
    while offset < len(content):
        found = _entry(content, offset)
        if found is None:
            yield Rest(offset, len(content) - offset)
            return
        entry, body = found
        end = offset + len(body) + OVERHEAD
        yield Link(offset, end, entry, hashlib.sha256(before + body).digest() == entry.hash)
        before, offset = entry.hash, end


def _entry(content: bytes, offset: int) -> tuple[Entry, bytes] | None:
    if offset + _LENGTH.size > len(content):
        return None
    (length,) = _LENGTH.unpack_from(content, offset)
    body_at, hash_at = offset + _LENGTH.size, offset + _LENGTH.size + length
    if not 0 < length <= LARGEST_ENTRY or hash_at + 32 > len(content):
        return None
    body = content[body_at:hash_at]
    parsed = _parse(body)
    if parsed is None:
        return None
    number, time, event, facts = parsed
    return Entry(number, time, event, facts, content[hash_at : hash_at + 32]), body


def _parse(body: bytes) -> tuple[int, int, str, dict[str, Any]] | None:
    try:
        number, time, event, facts = cbor.loads(body, items=_ITEMS)
    except (VidikError, ValueError, TypeError):
        return None
    if type(number) is not int or type(time) is not int or not isinstance(event, str) or not isinstance(facts, dict):
        return None
    return number, time, event, facts
