"""The durable store of sealed reports on their way to the broker. The only user of SQLite.

Write-ahead log, every commit flushed to the medium: what ``add`` has returned from survives a power cut.
Several reports share one commit. Removals wait in memory for the next commit; losing them costs a
duplicate, which subscribers discard by report id, and saves a flush per report on flash memory.
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from edge.errors import VidikError
from edge.handover import Item, Key, Kind

_ROW_OVERHEAD = 48  # bytes of keys, lengths and page slack that a report costs besides its content
_SETTINGS = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA journal_size_limit = 1048576;
"""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS report (
    boot INTEGER NOT NULL, seq INTEGER NOT NULL, kind INTEGER NOT NULL,
    expires REAL NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (boot, seq)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS expiry ON report (expires);
CREATE TABLE IF NOT EXISTS dropped (reason TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
"""
_DELETE_ONE = "DELETE FROM report WHERE boot = ? AND seq = ? RETURNING length(sealed)"
_DELETE_EXPIRED = "DELETE FROM report WHERE expires <= ? RETURNING length(sealed)"
_BEFORE_ALL = Key(-1, -1)


class SpoolError(VidikError):
    """The spool cannot be opened, read or written."""


class Stored(NamedTuple):
    """A report in the spool. ``expires`` is when it must be gone, seconds since the epoch."""

    kind: Kind
    key: Key
    expires: float
    sealed: bytes


class Spool:
    """Reports ordered by key, at most ``capacity`` bytes of them, none beyond its retention.

    What is dropped on purpose is counted by reason (``full``, ``expired``, ``conflict``) in the same commit,
    so that it can be announced. ``now`` gives seconds since the epoch. Use from one thread.
    """

    def __init__(self, path: Path, capacity: int, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._capacity = capacity
        self._now = now
        self._gone: set[Key] = set()  # taken by the broker, removal not committed yet
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            path.chmod(0o600)
            self._database.executescript(_SETTINGS + _SCHEMA)
            count, size = self._database.execute("SELECT count(*), total(length(sealed)) FROM report").fetchone()
            dropped = self._database.execute("SELECT reason, count FROM dropped").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise SpoolError(f"The spool {path} cannot be opened: {error}. Check disk and permissions.") from error
        self._count: int = count
        self._bytes = int(size) + count * _ROW_OVERHEAD
        self._dropped = Counter[str](dict(dropped))

    def __len__(self) -> int:
        return self._count - len(self._gone)

    @property
    def dropped(self) -> dict[str, int]:
        """How many reports were dropped on purpose since the spool was made, by reason."""
        return {reason: count for reason, count in self._dropped.items() if count}

    def add(self, items: Sequence[Item]) -> None:
        """Commits ``items``; they are safe when this returns. Items that are there already are left alone.

        Raises ``SpoolError``, and then none of them is stored.
        """
        now = self._now()
        self._commit(
            [
                (*item.key, int(item.kind), now + item.retention, item.sealed)
                for item in items
                if item.key not in self._gone  # the broker has it already
            ]
        )

    def after(self, key: Key | None, limit: int, besides: Collection[Key] = ()) -> list[Stored]:
        """The next ``limit`` reports beyond ``key``, or from the first one, leaving out ``besides``."""
        found: list[Stored] = []
        position = key or _BEFORE_ALL
        while len(found) < limit:
            rows = self._read(position, limit)
            found += (row for row in rows if row.key not in self._gone and row.key not in besides)
            if len(rows) < limit:
                break
            position = rows[-1].key
        return found[:limit]

    def remove(self, keys: Iterable[Key]) -> None:
        """Forgets reports that the broker has taken; lasting with the next ``add`` or ``flush``."""
        self._gone.update(keys)

    def flush(self) -> None:
        """Commits removals and deletes what has outlived its retention. Raises ``SpoolError``."""
        self._commit([])

    def close(self) -> None:
        """Commits what is pending and closes the files."""
        self.flush()
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()

    def _commit(self, rows: Sequence[tuple[int, int, int, float, bytes]]) -> None:
        before = self._count, self._bytes, self._dropped.copy()
        try:
            self._database.execute("BEGIN IMMEDIATE")
            for key in self._gone:
                self._delete(_DELETE_ONE, *key)
            for row in rows:
                self._insert(*row)
            self._dropped["expired"] += self._delete(_DELETE_EXPIRED, self._now())
            self._make_room()
            if self._dropped != before[2]:
                self._database.executemany("INSERT OR REPLACE INTO dropped VALUES (?, ?)", self._dropped.items())
            self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._count, self._bytes, self._dropped = before
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise SpoolError(f"The spool {self._path} cannot be written: {error}. Is the disk full?") from error
        self._gone.clear()

    def _insert(self, boot: int, seq: int, kind: int, expires: float, sealed: bytes) -> None:
        added = self._database.execute(
            "INSERT INTO report VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (boot, seq, kind, expires, sealed)
        )
        if added.rowcount:
            self._count += 1
            self._bytes += len(sealed) + _ROW_OVERHEAD
            return
        there = self._database.execute("SELECT sealed FROM report WHERE boot = ? AND seq = ?", (boot, seq)).fetchone()
        if there != (sealed,):  # not the same report sent again: a camera that reuses its numbers
            self._dropped["conflict"] += 1

    def _delete(self, statement: str, *values: float) -> int:
        """Deletes reports; returns how many there were."""
        deleted = self._database.execute(statement, values).fetchall()
        self._count -= len(deleted)
        self._bytes -= sum(size + _ROW_OVERHEAD for (size,) in deleted)
        return len(deleted)

    def _make_room(self) -> None:
        """Drops the oldest reports until the rest fits."""
        while self._bytes > self._capacity:
            oldest = self._database.execute("SELECT boot, seq FROM report ORDER BY boot, seq LIMIT 1").fetchone()
            self._dropped["full"] += self._delete(_DELETE_ONE, *oldest)

    def _read(self, beyond: Key, limit: int) -> list[Stored]:
        try:
            rows = self._database.execute(
                "SELECT kind, boot, seq, expires, sealed FROM report WHERE (boot, seq) > (?, ?) "
                "ORDER BY boot, seq LIMIT ?",
                (*beyond, limit),
            ).fetchall()
        except sqlite3.Error as error:
            raise SpoolError(f"The spool {self._path} cannot be read: {error}. Check the disk.") from error
        return [Stored(Kind(kind), Key(boot, seq), expires, sealed) for kind, boot, seq, expires, sealed in rows]
