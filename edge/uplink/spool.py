"""The durable store of sealed reports on their way to the broker.

What ``add`` has returned from survives a power cut. Several reports share one commit, and removals ride along with
the next one; losing them costs a duplicate, which subscribers discard by report id, and saves a flush per report on
flash memory. A damaged file is put aside, what is readable is taken over, and the rest is announced as lost. A full
or read-only disk makes calls fail until that is over.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edge import durable
from edge.errors import VidikError
from edge.gaps import Reason
from edge.handover import TRIALS, Item, Key
from edge.handover.frame import LARGEST_SEQ
from edge.uplink import database, row
from edge.uplink.books import Books
from edge.uplink.database import Database
from edge.uplink.losses import Loss
from edge.uplink.row import Row, Stored
from edge.uplink.salvage import Salvage

__all__ = ["Loss", "Spool", "SpoolError", "Stored"]

_log = logging.getLogger("vidik.uplink")

_MANY = 512  # removals that are worth a commit of their own
_PATIENCE = 60  # calls of tidy until fewer are
_REOPEN_SECONDS = 5.0  # between attempts to open a file that cannot be opened
_HEADER = b"SQLite format 3\0"
_ACCOUNTS, _ACCEPTED = "accounts", "accepted"  # names of what the database keeps for the books
_BEFORE_ALL, _AFTER_TRIALS = Key(-1, -1), Key(TRIALS, LARGEST_SEQ)
Result = TypeVar("Result")


class SpoolError(VidikError):
    """The spool cannot be opened, read or written."""


class Spool:
    """Reports ordered by key, at most ``capacity`` bytes of them, none beyond its retention.

    What is dropped is counted by reason in the same commit, and stays in ``losses`` until ``told``. ``now`` gives
    seconds since the epoch. Use from one thread. Raises ``SpoolError`` when the place for the file is unusable for
    good; a medium that is full, read-only or failing shows in ``trouble`` and in the errors of every call, and the
    next call tries again.
    """

    def __init__(self, path: Path, capacity: int, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._capacity = capacity
        self._now = now
        self._gone: set[Key] = set()  # taken by the broker, removal not committed yet
        self._lost: dict[Key, Reason] = {}  # given up and why, removal not committed yet
        self._told: list[Loss] = []
        self._waited = 0  # calls of tidy since there is something to commit
        self._books = Books()
        self._database: Database | None = None
        self._next_opening = 0.0
        self.trouble: str | None = None
        if path.is_dir() or not path.parent.is_dir():
            raise SpoolError(f"The spool {path} cannot be opened: it is a folder or its folder is missing. Mend that.")
        with suppress(SpoolError):
            self._do(lambda _: None)

    def __len__(self) -> int:
        return max(0, self._books.reports - len(self._gone) - len(self._lost))

    @property
    def size(self) -> int:
        """Bytes on the medium, reckoned."""
        return self._books.size

    @property
    def latest(self) -> Key | None:
        """The highest key that ever was accepted, as far as is known."""
        return max((Key(*each) for each in self._books.accepted.items()), default=None)

    @property
    def removals(self) -> int:
        """How many removals wait for a commit."""
        return len(self._gone)

    @property
    def dropped(self) -> dict[str, int]:
        """How many reports were lost since the spool was made, by reason; one of unknown extent counts as 1."""
        return {reason: count for reason, count in self._books.dropped.items() if count}

    @property
    def losses(self) -> list[Loss]:
        """What the world has not been told of yet: at most one for each reason."""
        return [loss for loss in self._books.losses.pending if loss not in self._told]

    def sent(self) -> list[Key]:
        """The highest number of each of the latest starts up to which nothing waits here any more."""
        waiting = self.after(_AFTER_TRIALS, 1)
        known = [Key(*each) for each in sorted(self._books.accepted.items())]
        if not waiting:
            return known
        boot, seq = waiting[0].key
        return [key for key in known if key.boot < boot] + ([Key(boot, seq - 1)] if seq else [])

    def oldest(self, besides: Container[object] = ()) -> Key | None:
        """The first report, leaving out ``besides``; None when there is none or it cannot be read just now."""
        try:
            waiting = self.after(None, 1, besides)
        except SpoolError:
            return None
        return waiting[0].key if waiting else None

    def add(self, items: Sequence[Item]) -> None:
        """Commits ``items``; they are safe when this returns. Items that are there already are left alone.

        Raises ``SpoolError``, and then none of them is stored.
        """
        now = self._now()
        rows = [row.make(item, now + item.retention) for item in items]
        self._do(lambda opened: self._commit(opened, rows))

    def after(self, key: Key | None, limit: int, besides: Container[object] = ()) -> list[Stored]:
        """The next ``limit`` reports beyond ``key``, or from the first one, leaving out ``besides``."""
        found: list[Stored] = []
        position = key or _BEFORE_ALL
        while len(found) < limit:
            rows = self._do(lambda opened: opened.read(position, limit))  # noqa: B023 - called at once
            for each in rows:
                position = each.key
                if position not in self._gone and position not in besides and position not in self._lost:
                    found.append(each)
            if len(rows) < limit:
                break
        return found[:limit]

    def remove(self, keys: Iterable[Key]) -> None:
        """Forgets reports that the broker has taken; lasting with the next commit."""
        self._gone.update(keys)

    def give_up(self, key: Key) -> None:
        """Forgets a report that nobody wants to hear, as lost; lasting with the next commit."""
        self._lost[key] = "unheard"

    def told(self, loss: Loss) -> None:
        """Forgets a loss that somebody has been told of, unless it has grown; lasting with the next commit."""
        self._told.append(loss)

    def tidy(self) -> None:
        """Call about once a second: commits what has waited long enough, deletes what has outlived its retention."""
        self._waited = self._waited + 1 if self._gone else 0
        expired = self._do(lambda opened: opened.has_expired(self._now()))
        if expired or self._lost or self._told or len(self._gone) >= _MANY or self._waited >= _PATIENCE:
            self.flush()

    def flush(self) -> None:
        """Commits removals and deletes what has outlived its retention. Raises ``SpoolError``."""
        self._do(lambda opened: self._commit(opened, []))

    def close(self) -> None:
        """Commits what is pending and closes the files; whatever fails then is only logged."""
        try:
            self.flush()
            self._do(Database.checkpoint)
        except SpoolError as error:
            _log.error("spool-fails error=%s", error)
        self._let_go()

    def _do(self, work: Callable[[Database], Result]) -> Result:
        """``work`` with the open database; after damage, once more with what could be saved."""
        try:
            try:
                result = work(self._opened())
            except database.Error as error:
                if not database.damaged(error):
                    raise
                _log.error("spool-damaged error=%s", error)
                self._put_aside()
                result = work(self._opened())
        except (database.Error, OSError) as error:
            self._relieve(error)
            self.trouble = str(error)
            raise SpoolError(
                f"The spool {self._path} cannot be used: {error}. Is the disk full, read-only or failing?"
            ) from error
        self.trouble = None
        return result

    def _relieve(self, error: Exception) -> None:
        """Empties the write-ahead log, which may be all that a full disk needs; after other errors, starts afresh."""
        if self._database is not None and database.passing(error):
            with suppress(database.Error):
                self._database.checkpoint()
        else:
            self._let_go()

    def _opened(self) -> Database:
        if self._database is not None:
            return self._database
        if time.monotonic() < self._next_opening:
            raise OSError(self.trouble or "it could not be opened a moment ago")
        self._next_opening = time.monotonic() + _REOPEN_SECONDS
        broken = self._beside(".broken")
        if self._beside(".broken-wal").exists() and not broken.exists():
            self._put_aside()  # what a crash interrupted
        opened = Database(self._path)
        try:
            self._books = Books.read(opened.sizes(), opened.content(_ACCOUNTS), opened.content(_ACCEPTED))
            self._books.accept(opened.highest())
            if broken.exists():
                self._take_over(opened, broken)
        except BaseException:
            opened.close()
            raise
        self._next_opening = 0.0
        self._database = opened
        return opened

    def _put_aside(self) -> None:
        """Renames the damaged files, the log first: a new database must never find the log of an old one."""
        self._let_go()
        self._next_opening = 0.0
        for end in ("-wal", ""):
            with suppress(FileNotFoundError):
                self._beside(end).replace(self._beside(f".broken{end}"))
        self._beside("-shm").unlink(missing_ok=True)

    def _take_over(self, opened: Database, broken: Path) -> None:
        """Moves what can be read of the damaged file into this one, notes the rest as lost, and erases the file."""
        with broken.open("rb") as file:
            ours = file.read(len(_HEADER)) == _HEADER
        salvage = Salvage(broken)
        try:
            with opened.transaction():
                for stored in salvage:
                    self._insert(opened, row.make(Item(stored.kind, stored.key, 1, stored.sealed), stored.expires))
                self._books.salvaged(salvage, self._now())
                self._write_books(opened)
        finally:
            salvage.close()
        _log.error("spool-salvaged reports=%d unread=%s", self._books.reports, salvage.unread)
        if not ours and not self._books.reports:
            broken.replace(self._beside(".unknown"))  # perhaps it never was a spool: somebody may want it back
        for end in ("", "-wal"):
            durable.erase(self._beside(f".broken{end}"))
        self._beside(".broken-shm").unlink(missing_ok=True)

    def _commit(self, opened: Database, rows: Sequence[Row]) -> None:
        before, now = self._books, self._now()
        books = self._books = before.copy()
        try:
            with opened.transaction():
                for key in self._gone:
                    books.deleted(opened.delete(key))
                for key, reason in self._lost.items():
                    books.lose_these(reason, books.deleted(opened.delete(key)), now)
                for each in rows:
                    if Key(each[0], each[1]) not in self._gone:  # otherwise the broker has it already
                        self._take(opened, each, now)
                books.lose_these("expired", books.deleted(opened.delete_expired(now)), now)
                while books.size > self._capacity:
                    books.lose_these("full", books.deleted(opened.delete_oldest()), now)
                for loss in self._told:
                    books.losses.told(loss)
                self._write_books(opened, before)
        except BaseException:
            self._books = before
            raise
        self._gone.clear()
        self._lost.clear()
        self._told.clear()
        self._waited = 0

    def _take(self, opened: Database, new: Row, now: float) -> None:
        """Stores a report that has just arrived."""
        key = Key(new[0], new[1])
        if self._insert(opened, new):
            self._books.arrived(key, now)
        elif opened.sealed(key) != new[-1]:  # not the same report sent again: a camera that reuses its numbers
            self._books.lose_these("conflict", [key], now)

    def _insert(self, opened: Database, new: Row) -> bool:
        added = opened.insert(new)
        if added:
            self._books.added(len(new[-1]))
        return added

    def _write_books(self, opened: Database, before: Books | None = None) -> None:
        if before is None or self._books.removed_last:  # while the latest report is there, its number is known
            opened.write(_ACCEPTED, self._books.write_accepted())
        if before is None or self._books.losses.pending != before.losses.pending:
            opened.write(_ACCOUNTS, self._books.write_accounts())

    def _let_go(self) -> None:
        opened, self._database = self._database, None
        if opened is not None:
            opened.close()

    def _beside(self, end: str) -> Path:
        return self._path.with_name(self._path.name + end)
