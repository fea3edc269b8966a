"""A report as a row of the spool, with the checksum by which damage on the medium is found. No database here."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

from edge.handover import Item, Key, Kind
from edge.handover.frame import LARGEST

_FIELDS = struct.Struct("!QQBd")
Row = tuple[int, int, int, float, int, bytes]  # boot, seq, kind, expires, checksum, sealed


class Stored(NamedTuple):
    """A report in the spool. ``expires`` is when it must be gone, seconds since the epoch."""

    kind: Kind
    key: Key
    expires: float
    sealed: bytes


def make(item: Item, expires: float) -> Row:
    """The row of ``item``."""
    boot, seq = item.key
    return boot, seq, int(item.kind), expires, checksum(boot, seq, item.kind, expires, item.sealed), item.sealed


def checksum(boot: int, seq: int, kind: int, expires: float, sealed: bytes) -> int:
    """CRC-32 over all fields."""
    return zlib.crc32(sealed, zlib.crc32(_FIELDS.pack(boot, seq, kind, expires)))


def read(untrusted: tuple[object, ...]) -> Stored | None:
    """The report in a row, or None if the medium has changed anything about it."""
    match untrusted:
        case (int(boot), int(seq), int(kind), float(expires), int(check), bytes(sealed)):
            sound = 0 <= kind < 256 and boot >= 0 <= seq and 0 < len(sealed) <= LARGEST
            if sound and check == checksum(boot, seq, kind, expires, sealed):
                return Stored(Kind(kind), Key(boot, seq), expires, sealed)
    return None
