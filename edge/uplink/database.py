"""The spool's tables. With ``salvage``, the only user of SQLite.

Write-ahead log, every commit flushed to the medium, deleted content overwritten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge.handover import Key
from edge.uplink.losses import Loss
from edge.uplink.row import Row

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
CREATE TABLE IF NOT EXISTS accepted (boot INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS dropped (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lost (
    reason TEXT PRIMARY KEY, id TEXT NOT NULL, count INTEGER, first_boot INTEGER, first_seq INTEGER,
    last_boot INTEGER NOT NULL, last_seq INTEGER NOT NULL, time INTEGER NOT NULL
) WITHOUT ROWID;
"""
Deleted = list[tuple[Key, int]]  # what was deleted and the bytes of each


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
        return dict(self._link.execute("SELECT length(sealed), count(*) FROM item GROUP BY 1").fetchall())

    def read(self, beyond: Key, limit: int) -> list[Row]:
        """The next ``limit`` rows, as they are on the medium."""
        query = (
            "SELECT boot, seq, kind, expires, checksum, sealed FROM item WHERE (boot, seq) > (?, ?) "
            "ORDER BY boot, seq LIMIT ?"
        )
        return self._link.execute(query, (*beyond, limit)).fetchall()

    def sealed(self, key: Key) -> bytes | None:
        """The content of one report."""
        found = self._link.execute("SELECT sealed FROM item WHERE boot = ? AND seq = ?", key).fetchone()
        return None if found is None else found[0]

    def insert(self, row: Row) -> bool:
        """Adds a row; False when there is one under its key already."""
        return bool(
            self._link.execute("INSERT INTO item VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
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

    def accepted(self) -> dict[int, int]:
        """The highest number of each start."""
        return dict(self._link.execute("SELECT boot, seq FROM accepted").fetchall())

    def dropped(self) -> dict[str, int]:
        """How many were dropped, by reason."""
        return dict(self._link.execute("SELECT reason, count FROM dropped").fetchall())

    def losses(self) -> list[Loss]:
        """What nobody has been told of."""
        return [to_loss(values) for values in self._link.execute("SELECT * FROM lost")]

    def write_accepted(self, accepted: Mapping[int, int]) -> None:
        """Replaces what ``accepted`` returns."""
        self._link.execute("DELETE FROM accepted WHERE boot < ?", (min(accepted, default=0),))
        self._link.executemany("INSERT OR REPLACE INTO accepted VALUES (?, ?)", accepted.items())

    def write_losses(self, losses: Sequence[Loss], dropped: Mapping[str, int]) -> None:
        """Replaces what ``losses`` and ``dropped`` return."""
        self._link.executemany("INSERT OR REPLACE INTO dropped VALUES (?, ?)", dropped.items())
        self._link.execute("DELETE FROM lost")
        for loss in losses:
            values = (loss.reason, loss.id, loss.count, *(loss.first or (None, None)), *loss.last, loss.time)
            self._link.execute("INSERT INTO lost VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)

    def _delete(self, which: str, *values: float) -> Deleted:
        statement = f"DELETE FROM item WHERE {which} RETURNING boot, seq, length(sealed)"  # noqa: S608 - our own words
        return [(Key(boot, seq), size) for boot, seq, size in self._link.execute(statement, values).fetchall()]


def to_loss(values: Sequence[Any]) -> Loss:
    """The loss in a row of ``lost``. Raises ``ValueError`` or ``TypeError`` for a damaged one."""
    reason, name, count, first_boot, first_seq, last_boot, last_seq, moment = values
    first = None if first_boot is None else Key(int(first_boot), int(first_seq))
    return Loss(str(name), reason, count, first, Key(int(last_boot), int(last_seq)), int(moment))


def damaged(error: BaseException) -> bool:
    """Whether ``error`` says that the file's content is damaged."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _DAMAGE or code in _UNREADABLE


def passing(error: BaseException) -> bool:
    """Whether the file may stay open after ``error``: the disk is full, or somebody else is at it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _PASSING
