"""Reads what can still be read of a damaged spool. Writes nothing."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.gaps import Account
from edge.handover import Key
from edge.uplink import row
from edge.uplink.row import Stored

_BATCH = 256
_MOST_PROBES = 1_000_000
_ONE = "SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE boot = ? AND seq = ?"
_UP = """SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) > (?, ?)
ORDER BY boot, seq LIMIT ?"""
_DOWN = """SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) < (?, ?)
ORDER BY boot DESC, seq DESC LIMIT ?"""
_BEFORE_ALL, _AFTER_ALL = Key(-1, -1), Key(2**63 - 1, 2**63 - 1)
# an error, such as "no such table": the page that names the tables is damaged
_CODES = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_ERROR}


class _Damage(Exception):
    """Here the file cannot be read, and never will be."""


@dataclass
class Salvage:
    """What is to be had of the database at ``path``. Iterate over it first; then the rest is known.

    ``account``: the reports that were found, ``highest``: the last of each start. ``rotten``: the rows that are there
    and damaged, by what they give as their numbers. ``unread``: between which two reports something could not be read
    (None: before the first, after the last), or None if every part could be.
    """

    path: Path
    account: Account = field(default_factory=Account)
    highest: dict[int, int] = field(default_factory=dict)
    rotten: set[tuple[Any, Any]] = field(default_factory=set)
    unread: tuple[Key | None, Key | None] | None = None
    _database: sqlite3.Connection | None = None

    def books(self) -> tuple[bytes | None, bytes | None]:
        """What was kept under the names ``accounts`` and ``accepted``, as far as it can be read."""
        rows: list[tuple[Any, ...]] = []
        with suppress(_Damage):
            rows = self._read("SELECT name, content, checksum FROM books")
        found = {
            name: content
            for name, content, check in rows
            if isinstance(content, bytes) and zlib.crc32(content) == check
        }
        return found.get("accounts"), found.get("accepted")

    def __iter__(self) -> Iterator[Stored]:
        """Every sound report: from the front up to the damage, from the back up to the damage, then one by one."""
        low = high = None
        for stored in self._walk(_UP, _BEFORE_ALL):
            low = stored.key
            yield stored
        if self.unread is None:
            return
        for stored in self._walk(_DOWN, _AFTER_ALL, low):
            high = stored.key
            yield stored
        self.unread = low, high
        if low is not None and high is not None and low.boot == high.boot:
            for seq in range(low.seq + 1, min(high.seq, low.seq + _MOST_PROBES)):
                with suppress(_Damage):
                    yield from self._sound(self._read(_ONE, low.boot, seq))

    def _walk(self, query: str, position: Key, until: Key | None = None) -> Iterator[Stored]:
        """Sound reports one after the other, until damage, the end, or the key ``until``."""
        self.unread = (None, None)
        for size in (_BATCH, 1):  # one by one in the end, to come as close to the damage as possible
            while True:
                try:
                    rows = self._read(query, *position, size)
                except _Damage:
                    break
                if not rows:
                    self.unread = None
                    return
                before = position
                for stored in self._sound(rows):
                    if until is not None and stored.key <= until:
                        return
                    if (stored.key > position) != (query is _UP):
                        return  # they do not come in order
                    position = stored.key
                    yield stored
                if position == before:
                    break  # nothing but damage: no place to go on from

    def _sound(self, rows: list[tuple[Any, ...]]) -> Iterator[Stored]:
        for each in rows:
            stored = row.read(each)
            if stored is None:
                self.rotten.add((each[0], each[1]))
            else:
                if stored.key.counts:
                    boot, seq = stored.key
                    self.account.came(stored.key)
                    self.highest[boot] = max(self.highest.get(boot, 0), seq)
                yield stored

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            if self._database is None:
                address = f"file:{quote(str(self.path))}?mode=rw"
                self._database = sqlite3.connect(address, uri=True, isolation_level=None)
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
