"""The spool's tables. With ``salvage``, the only user of SQLite.

Write-ahead log, every commit flushed to the medium, deleted content overwritten.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.handover import Key
from edge.uplink import row
from edge.uplink.row import Row, Stored

Error = sqlite3.Error
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_UNREADABLE = {sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ}  # a bad sector
_PASSING = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_SCRIPT = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = 1048576;
CREATE TABLE IF NOT EXISTS item (
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
    expires REAL NOT NULL, checksum INTEGER NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (boot, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiry ON item (expires);
CREATE TABLE IF NOT EXISTS books (
    name TEXT PRIMARY KEY, content BLOB NOT NULL, checksum INTEGER NOT NULL
) WITHOUT ROWID;
"""
Deleted = list[tuple[Key, int]]  # what was deleted and the bytes of each


class Damaged(sqlite3.DatabaseError):
    """What is read is not what was written."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


class Database:
    """The open file at ``path``, made if need be. Every method raises ``Error``, the constructor also ``OSError``."""

    def __init__(self, path: Path) -> None:
        self._link = sqlite3.connect(path, isolation_level=None)
        try:
            path.chmod(0o600)
            self._link.executescript(_SCRIPT)
        except (Error, OSError):
            self.close()
            raise

    def close(self) -> None:
        """Lets go of the file, whatever state it is in."""
        with suppress(Error):
            self._link.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what happens inside, on the medium, or nothing."""
        self._link.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._link.execute("COMMIT")
        finally:
            if self._link.in_transaction:
                with suppress(Error):
                    self._link.execute("ROLLBACK")

    def checkpoint(self) -> None:
        """Empties the write-ahead log."""
        self._link.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def sizes(self) -> dict[int, int]:
        """How many reports there are of each size of their content."""
        sizes = dict(self._link.execute("SELECT length(sealed), count(*) FROM item GROUP BY 1").fetchall())
        if not all(isinstance(size, int) for size in sizes):
            raise Damaged("a report has no content")
        return sizes

    def highest(self) -> dict[int, int]:
        """The highest number that is there of each start."""
        found = self._link.execute("SELECT boot, max(seq) FROM item GROUP BY boot").fetchall()
        if not all(isinstance(value, int) for each in found for value in each):
            raise Damaged("a report has no number")
        return dict(found)

    def read(self, beyond: Key, limit: int) -> list[Stored]:
        """The next ``limit`` reports."""
        query = (
            "SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) > (?, ?) "
            "ORDER BY boot, seq LIMIT ?"
        )
        found = [row.read(each) for each in self._link.execute(query, (*beyond, limit)).fetchall()]
        whole = [stored for stored in found if stored is not None]
        if len(whole) < len(found):
            raise Damaged("the checksum of a report is wrong")
        return whole

    def sealed(self, key: Key) -> bytes | None:
        """The content of one report."""
        found = self._link.execute("SELECT sealed FROM item WHERE boot = ? AND seq = ?", key).fetchone()
        return None if found is None else found[0]

    def insert(self, new: Row) -> bool:
        """Adds a row; False when there is one under its key already."""
        return bool(
            self._link.execute("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", new).rowcount
        )

    def delete(self, key: Key) -> Deleted:
        """Deletes one report, if it is there."""
        return self._delete("boot = ? AND seq = ?", *key)

    def delete_oldest(self) -> Deleted:
        """Deletes the first report."""
        return self._delete("(boot, seq) = (SELECT boot, seq FROM item ORDER BY boot, seq LIMIT 1)")

    def delete_expired(self, now: float) -> Deleted:
        """Deletes what has outlived its retention."""
        return self._delete("expires <= ?", now)

    def has_expired(self, now: float) -> bool:
        """Whether there is anything that has outlived its retention."""
        return bool(self._link.execute("SELECT EXISTS (SELECT 1 FROM item WHERE expires <= ?)", (now,)).fetchone()[0])

    def content(self, name: str) -> bytes | None:
        """What was written under ``name``."""
        found = self._link.execute("SELECT content, checksum FROM books WHERE name = ?", (name,)).fetchone()
        if found is None:
            return None
        if not isinstance(found[0], bytes) or zlib.crc32(found[0]) != found[1]:
            raise Damaged("the checksum of the books is wrong")
        return found[0]

    def write(self, name: str, content: bytes) -> None:
        """Replaces what was written under ``name``."""
        self._link.execute("INSERT OR REPLACE INTO books VALUES (?, ?, ?)", (name, content, zlib.crc32(content)))

    def _delete(self, which: str, *values: float) -> Deleted:
        statement = f"DELETE FROM item WHERE {which} RETURNING boot, seq, length(sealed)"  # noqa: S608 - our own words
        deleted = self._link.execute(statement, values).fetchall()
        if not all(isinstance(value, int) for each in deleted for value in each):
            raise Damaged("a report has no number")
        return [(Key(boot, seq), size) for boot, seq, size in deleted]


def damaged(error: BaseException) -> bool:
    """Whether ``error`` says that the file's content is damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code in _UNREADABLE


def passing(error: BaseException) -> bool:
    """Whether the file may stay open after ``error``: the disk is full, or somebody else is at it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
