"""The inventory: every camera, claim and certificate of a deployment, and who did what. The only user of SQLite here.

Several programs may use one inventory at a time (the enrolment service, people at the command line); whatever
changes it does so in one transaction, which is on the medium when it ends.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.errors import VidikError

_VERSION = 1
_BUSY_SECONDS = 30.0
_TABLES = """
CREATE TABLE camera (
    id TEXT PRIMARY KEY, label TEXT NOT NULL, place TEXT NOT NULL, added INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'enrolled', 'revoked', 'retired'))
) WITHOUT ROWID;
CREATE TABLE claim (
    digest TEXT PRIMARY KEY, camera TEXT NOT NULL REFERENCES camera, made INTEGER NOT NULL, until INTEGER NOT NULL,
    void INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX claim_camera ON claim (camera);
CREATE TABLE certificate (
    number INTEGER PRIMARY KEY, serial TEXT NOT NULL UNIQUE, holder TEXT NOT NULL, purpose TEXT NOT NULL,
    key TEXT NOT NULL,
    claim TEXT REFERENCES claim,
    issued INTEGER NOT NULL, until INTEGER NOT NULL, revoked INTEGER, reason TEXT, der BLOB NOT NULL,
    UNIQUE (claim, purpose)
);
CREATE INDEX certificate_holder ON certificate (holder);
CREATE TABLE journal (
    number INTEGER PRIMARY KEY, time INTEGER NOT NULL, event TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL
);
"""
_CERTIFICATE = (
    "SELECT number, serial, holder, purpose, key, claim, issued, until, revoked, reason, der FROM certificate"
)


class InventoryError(VidikError):
    """The inventory cannot be used, or does not allow what was asked."""


@dataclass(frozen=True, slots=True)
class Camera:
    """``state``: new, enrolled, revoked or retired. Times here and below: seconds since the epoch, UTC."""

    id: str
    label: str
    place: str
    added: int
    state: str


@dataclass(frozen=True, slots=True)
class StoredClaim:
    """A claim as the office remembers it: by the digest of its secret. ``void``: a newer one took its place."""

    digest: str
    camera: str
    made: int
    until: int
    void: bool


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that was issued. ``number``: counts them, 0 until it is stored; ``serial`` in hex; ``key``: SHA-256
    of its public key in hex; ``claim``: the digest of the claim it was issued for, if any."""

    number: int
    serial: str
    holder: str
    purpose: str
    key: str
    claim: str | None
    issued: int
    until: int
    revoked: int | None
    reason: str | None
    der: bytes


class Inventory:
    """The inventory in the file ``path``. Threads may share it. Raises ``InventoryError``."""

    def __init__(self, path: Path, make: bool = False) -> None:
        if not make and not path.is_file():
            raise InventoryError(f"There is no inventory at {path}. Name the office folder, or restore its backup.")
        self._path = path
        self._mutex = threading.RLock()
        try:
            self._database = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")
            path.chmod(0o600)
            self._settle(make)
        except (sqlite3.Error, OSError) as error:
            raise InventoryError(f"The inventory {path} cannot be used: {error}. Check it, or restore it.") from error

    def close(self) -> None:
        """Lets go of the file."""
        self._database.close()

    @contextmanager
    def change(self) -> Iterator[None]:
        """One transaction: everything inside happens, on the medium, or nothing does. No other writer meanwhile.

        One within another is a part of it.
        """
        with self._mutex:
            if self._database.in_transaction:
                yield
                return
            self._execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._execute("COMMIT")

    def note(self, event: str, subject: str, detail: str = "") -> None:
        """Writes a line of the journal; inside a change it stands or falls with it."""
        with self._mutex:
            row = (int(time.time()), event, subject[:200], detail[:500])
            self._execute("INSERT INTO journal (time, event, subject, detail) VALUES (?, ?, ?, ?)", *row)

    def journal(self) -> list[tuple[int, str, str, str]]:
        """Time, event, subject and detail of everything that happened, oldest first."""
        return self._rows("SELECT time, event, subject, detail FROM journal ORDER BY number")

    def add(self, camera: Camera) -> None:
        """Adds a camera. Raises ``InventoryError`` when it is there already."""
        if self.camera(camera.id) is not None:
            raise InventoryError(f"The camera {camera.id} is in the inventory already. Leave it out, or rename it.")
        row = (camera.id, camera.label, camera.place, camera.added, camera.state)
        self._execute("INSERT INTO camera (id, label, place, added, state) VALUES (?, ?, ?, ?, ?)", *row)

    def camera(self, name: str) -> Camera | None:
        """The camera with the id ``name``."""
        found = self._rows("SELECT id, label, place, added, state FROM camera WHERE id = ?", name)
        return Camera(*found[0]) if found else None

    def cameras(self) -> list[Camera]:
        """All cameras, by id."""
        return [Camera(*row) for row in self._rows("SELECT id, label, place, added, state FROM camera ORDER BY id")]

    def set_state(self, camera: str, state: str) -> None:
        """Changes the state of ``camera``."""
        self._execute("UPDATE camera SET state = ? WHERE id = ?", state, camera)

    def add_claim(self, claim: StoredClaim) -> None:
        """Adds a claim."""
        row = (claim.digest, claim.camera, claim.made, claim.until)
        self._execute("INSERT INTO claim (digest, camera, made, until) VALUES (?, ?, ?, ?)", *row)

    def claim(self, digest: str) -> StoredClaim | None:
        """The claim whose secret has the given digest."""
        found = self._rows("SELECT digest, camera, made, until, void FROM claim WHERE digest = ?", digest)
        return _claim(found[0]) if found else None

    def claims(self, camera: str) -> list[StoredClaim]:
        """The claims ever made for ``camera``, oldest first."""
        rows = self._rows(
            "SELECT digest, camera, made, until, void FROM claim WHERE camera = ? ORDER BY made, digest", camera
        )
        return [_claim(row) for row in rows]

    def void_claims(self, camera: str) -> None:
        """Makes all claims of ``camera`` worthless."""
        self._execute("UPDATE claim SET void = 1 WHERE camera = ?", camera)

    def add_certificate(self, issued: Certificate) -> None:
        """Adds a certificate. One claim has at most one of each purpose: the database itself refuses a second."""
        row = (issued.serial, issued.holder, issued.purpose, issued.key, issued.claim, issued.issued, issued.until)
        self._execute(
            "INSERT INTO certificate (serial, holder, purpose, key, claim, issued, until, der) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)", *row, issued.der,
        )  # fmt: skip

    def certificate(self, serial: int) -> Certificate | None:
        """The certificate with the given serial number."""
        return next(iter(self._certificates("WHERE serial = ?", f"{serial:x}")), None)

    def certificates(self, holder: str) -> list[Certificate]:
        """All certificates of ``holder``, oldest first."""
        return self._certificates("WHERE holder = ? ORDER BY number", holder)

    def issued_for(self, claim: str, purpose: str) -> Certificate | None:
        """What was issued for a claim."""
        return next(iter(self._certificates("WHERE claim = ? AND purpose = ?", claim, purpose)), None)

    def all_certificates(self) -> list[Certificate]:
        """Every certificate ever issued."""
        return self._certificates("ORDER BY number")

    def revoked(self, now: int) -> list[Certificate]:
        """The revoked certificates that would otherwise still be valid."""
        return self._certificates("WHERE revoked IS NOT NULL AND until >= ? ORDER BY serial", now)

    def revoke(self, serial: str, now: int, reason: str) -> None:
        """Revokes a certificate; one that is revoked keeps its first date and reason."""
        self._execute(
            "UPDATE certificate SET revoked = ?, reason = ? WHERE serial = ? AND revoked IS NULL", now, reason, serial
        )

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a statement about the tables of rollouts, which rollouts.py keeps here; a part of a change."""
        return self._rows(statement, *values)

    def copy_to(self, path: Path) -> None:
        """A consistent copy, also while others write."""
        with self._mutex:
            self._execute("VACUUM INTO ?", str(path))

    def problems(self) -> list[str]:
        """What the database says of its own soundness; empty when it is sound."""
        found = [str(row[0]) for row in self._rows("PRAGMA integrity_check") if row[0] != "ok"]
        return found + [f"a row of {row[0]} refers to nothing" for row in self._rows("PRAGMA foreign_key_check")]

    def _settle(self, make: bool) -> None:
        if make:
            self._database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version={_VERSION}; COMMIT;")
        (version,) = self._rows("PRAGMA user_version")[0]
        if version != _VERSION:
            raise InventoryError(f"The inventory {self._path} has the form {version}, not {_VERSION}. Update Vidik.")

    def _certificates(self, where: str, *values: object) -> list[Certificate]:
        return [Certificate(*row) for row in self._rows(f"{_CERTIFICATE} {where}", *values)]

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._mutex:
            return self._execute(statement, *values).fetchall()

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        with self._mutex:
            try:
                return self._database.execute(statement, values)
            except sqlite3.Error as error:
                raise InventoryError(f"The inventory {self._path} cannot be used: {error}. Try again.") from error


def _claim(row: tuple[Any, ...]) -> StoredClaim:
    digest, camera, made, until, void = row
    return StoredClaim(digest, camera, made, until, bool(void))
