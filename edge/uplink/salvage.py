"""Reads what can still be read of a damaged spool. Writes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.gaps import REASONS
from edge.handover import Key
from edge.uplink import row
from edge.uplink.database import to_loss
from edge.uplink.losses import Loss
from edge.uplink.row import Stored

_BATCH = 256
_MOST_PROBES = 1_000_000
_ONE = "SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE boot = ? AND seq = ?"
_UP = """SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) > (?, ?)
ORDER BY boot, seq LIMIT ?"""
_DOWN = """SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) < (?, ?)
ORDER BY boot DESC, seq DESC LIMIT ?"""
# no such table: the page that names the tables is damaged
_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_ERROR}


class _Damage(Exception):
    """Here the file cannot be read, and never will be."""


@dataclass
class Salvage:
    """What is to be had of the database at ``path``. Iterate over it first; then the rest is known.

    ``found``: the highest number that was found of each start. ``rotten``: reports that are there and damaged.
    ``unread``: between which two reports something could not be read (None: before the first, after the last), or
    None if every part could be.
    """

    path: Path
    found: dict[int, int] = field(default_factory=dict)
    rotten: list[Key] = field(default_factory=list)
    unread: tuple[Key | None, Key | None] | None = None
    _database: sqlite3.Connection | None = None

    def accepted(self) -> list[tuple[int, int]]:
        """The highest number accepted of each start, as far as it can be read."""
        return [(int(each[0]), int(each[1])) for each in self._rows("SELECT boot, seq FROM accepted") if _number(*each)]

    def losses(self) -> list[Loss]:
        """Losses that nobody was told of yet, as far as they can be read."""
        found = []
        for values in self._rows("SELECT * FROM lost"):
            with suppress(TypeError, ValueError):
                found.append(to_loss(values))
        return [loss for loss in found if loss.reason in REASONS and _number(*loss.last, *(loss.first or ()))]

    def dropped(self) -> list[tuple[str, int]]:
        """Counts by reason, as far as they can be read."""
        rows = self._rows("SELECT reason, count FROM dropped")
        return [(str(reason), count) for reason, count in rows if reason in REASONS and _number(count)]

    def __iter__(self) -> Iterator[Stored]:
        """Every sound report: from the front up to the damage, from the back up to the damage, then one by one."""
        low, high = None, None
        for low, stored in self._walk(_UP, Key(-1, -1)):  # noqa: B007 - the last one is wanted
            yield from stored
        if self.unread is None:
            return
        for high, stored in self._walk(_DOWN, Key(2**63 - 1, 2**63 - 1), low):  # noqa: B007
            yield from stored
        self.unread = (low, high)
        if low is not None and high is not None and low.boot == high.boot:
            for seq in range(low.seq + 1, min(high.seq, low.seq + _MOST_PROBES)):
                for found in self._rows(_ONE, low.boot, seq):
                    yield from self._checked(found)

    def _walk(self, query: str, position: Key, until: Key | None = None) -> Iterator[tuple[Key, list[Stored]]]:
        """Reports one after the other, each with its key, until damage or the key ``until``."""
        # first in batches, then one by one, so as to come as close to the damage as possible
        for size in (_BATCH, 1):
            while True:
                try:
                    found = self._read(query, *position, size)
                except _Damage:
                    break
                if not found:
                    self.unread = None
                    return
                for each in found:
                    if not _number(*each[:2]):
                        self.unread = (None, None)
                        return
                    position = Key(*each[:2])
                    if until is not None and position <= until:
                        return
                    yield position, list(self._checked(each))
        self.unread = (None, None)

    def _checked(self, found: tuple[Any, ...]) -> Iterator[Stored]:
        stored = row.read(found)
        if stored is not None:
            self.found[stored.key.boot] = max(self.found.get(stored.key.boot, 0), stored.key.seq)
            yield stored
        elif _number(*found[:2]):
            self.rotten.append(Key(*found[:2]))

    def _rows(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            return self._read(query, *values)
        except _Damage:
            return []

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        if self._database is None:
            address = f"file:{quote(str(self.path))}?mode=rw"
            self._database = sqlite3.connect(address, uri=True, isolation_level=None)
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.Error as error:
            self.close()  # a connection that has met damage may go on failing
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _CODES:
                raise _Damage from error
            raise

    def close(self) -> None:
        """Lets go of the file."""
        database, self._database = self._database, None
        if database is not None:
            with suppress(sqlite3.Error):
                database.close()


def _number(*values: object) -> bool:
    return all(isinstance(value, int) and 0 <= value < 2**63 for value in values)
