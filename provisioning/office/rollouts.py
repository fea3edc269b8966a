"""Rollouts of updates, step by step: who gets an offer, what became of it, and when it stops by itself.

Whether a camera belongs to the first 5 % follows from a hash of the bundle and its id: the same at every request, other
cameras for every bundle, and whoever belongs to 5 % belongs to 20 % too. Failures are what cameras report as failed or
refused, and those that went to start the new image and were not heard of again. A rollout stops when these are more
than its threshold allows of the cameras that got an offer.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from edge.errors import VidikError
from edge.update import version as versions
from edge.update.image import Channel, Image
from edge.update.policy import Offer
from edge.update.state import Outcome
from provisioning.office.bundles import Checked
from provisioning.office.inventory import Inventory

MISSING = 6 * 3600  # seconds after which a camera that started a new image should have been heard of
_FINAL = ("good", "failed", "refused")
_TABLES = """
CREATE TABLE IF NOT EXISTS bundle (
    digest TEXT PRIMARY KEY, version TEXT NOT NULL, board TEXT NOT NULL, channel TEXT NOT NULL, size INTEGER NOT NULL,
    added INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollout (
    number INTEGER PRIMARY KEY AUTOINCREMENT, bundle TEXT NOT NULL REFERENCES bundle, percent REAL NOT NULL,
    threshold REAL NOT NULL, began INTEGER NOT NULL, ended INTEGER, cause TEXT
);
CREATE TABLE IF NOT EXISTS outcome (
    rollout INTEGER NOT NULL REFERENCES rollout, camera TEXT NOT NULL REFERENCES camera, state TEXT NOT NULL,
    cause TEXT NOT NULL, time INTEGER NOT NULL, PRIMARY KEY (rollout, camera)
) WITHOUT ROWID
"""
_JOINED = (
    "SELECT number, digest, version, board, channel, size, percent, threshold, ended, cause "
    "FROM rollout JOIN bundle ON rollout.bundle = bundle.digest"
)


class RolloutError(VidikError):
    """A rollout that cannot be started, changed or found."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """``percent`` of the cameras get it; it stops when more than ``threshold`` percent of these fail. ``ended``: when
    it was stopped, seconds since the epoch, None while it runs."""

    number: int
    digest: str
    version: str
    board: str
    channel: Channel
    size: int
    percent: float
    threshold: float
    ended: int | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many cameras got an offer, and what became of it."""

    offered: int
    installed: int
    good: int
    failed: int
    missing: int


def place(digest: str, camera: str) -> float:
    """Where ``camera`` stands in the order in which the bundle ``digest`` is rolled out: 0 (first) to 100."""
    return 100 * int.from_bytes(hashlib.sha256(f"{digest} {camera}".encode()).digest()[:8], "big") / 2**64


def too_many(counts: Counts, threshold: float) -> bool:
    """Whether more than ``threshold`` percent of the offers went wrong."""
    return 100 * (counts.failed + counts.missing) > threshold * counts.offered


class Rollouts:
    """The rollouts of the office whose inventory is given. Threads may share it. Raises ``VidikError``."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        with inventory.change():
            for statement in _TABLES.split(";"):
                inventory.query(statement)

    def add(self, bundle: Checked, now: int) -> bool:
        """Enters a bundle; returns whether it is new."""
        with self._inventory.change():
            if self._inventory.query("SELECT 1 FROM bundle WHERE digest = ?", bundle.digest):
                return False
            row = (bundle.digest, bundle.version, bundle.board, bundle.channel, bundle.size, now)
            self._inventory.query("INSERT INTO bundle VALUES (?, ?, ?, ?, ?, ?)", *row)
            said = f"{bundle.version} {bundle.channel} {bundle.digest[:16]}"
            self._inventory.note("bundle added", bundle.board, said)
        return True

    def find(self, named: str, board: str = "") -> str:
        """The digest of the bundle with the version ``named``, or whose digest begins so. Raises ``RolloutError``."""
        rows = self._inventory.query("SELECT digest, version, board FROM bundle")
        found = [
            digest for digest, stated, for_board in rows
            if board in ("", for_board) and (named == stated or (len(named) >= 8 and digest.startswith(named)))
        ]  # fmt: skip
        if len(found) != 1:
            raise RolloutError(
                f"{len(found)} bundles of this office are called {named!r}. vidik provision release status lists them; "
                "give the beginning of a digest, or --board."
            )
        return str(found[0])

    def start(self, digest: str, percent: float, threshold: float, now: int) -> Rollout:
        """Begins the rollout of a bundle, or brings the one that runs to more cameras. Another one for the same board
        and channel ends. Raises ``RolloutError``."""
        with self._inventory.change():
            (board, channel) = self._inventory.query("SELECT board, channel FROM bundle WHERE digest = ?", digest)[0]
            running = self._running(board, channel)
            if running is not None and running.digest == digest:
                if percent < running.percent:
                    raise RolloutError(f"It is at {running.percent:g} % already. Offers cannot be taken back: stop it.")
                self._inventory.query(
                    "UPDATE rollout SET percent = ?, threshold = ? WHERE number = ?", percent, threshold, running.number
                )
                number = running.number
            else:
                if running is not None:
                    self._end(running, "another one was started", now)
                self._inventory.query(
                    "INSERT INTO rollout (bundle, percent, threshold, began) VALUES (?, ?, ?, ?)",
                    digest, percent, threshold, now,
                )  # fmt: skip
                number = self._inventory.query("SELECT max(number) FROM rollout")[0][0]
            self._inventory.note("rollout", f"{number}", f"{percent:g} % of {board}, threshold {threshold:g} %")
            return self.rollout(number)

    def stop(self, number: int, cause: str, now: int) -> None:
        """Ends a rollout: from now on nobody gets an offer, nor another byte of the bundle. Raises ``RolloutError``."""
        with self._inventory.change():
            self._end(self.rollout(number), cause, now)

    def rollout(self, number: int) -> Rollout:
        """The rollout with the given number. Raises ``RolloutError``."""
        found = self._inventory.query(f"{_JOINED} WHERE number = ?", number)
        if not found:
            raise RolloutError(f"There is no rollout {number}. vidik provision release status lists them.")
        return Rollout(*found[0])

    def rollouts(self) -> list[Rollout]:
        """All of them, oldest first."""
        return [Rollout(*row) for row in self._inventory.query(f"{_JOINED} ORDER BY number")]

    def bundles(self) -> list[tuple[str, str, str, str]]:
        """Version, board, channel and digest of every bundle, in the order they were added."""
        return self._inventory.query("SELECT version, board, channel, digest FROM bundle ORDER BY added, version")

    def counts(self, number: int, now: int) -> Counts:
        """How a rollout stands at ``now``."""
        rows = self._inventory.query("SELECT state, time FROM outcome WHERE rollout = ?", number)
        states = [state for state, _ in rows]
        missing = sum(1 for state, when in rows if state == "installed" and now - when > MISSING)
        failed = states.count("failed") + states.count("refused")
        return Counts(len(rows), states.count("installed") - missing, states.count("good"), failed, missing)

    def failures(self, number: int, now: int) -> list[tuple[str, str]]:
        """Camera and cause of everything that went wrong."""
        rows = self._inventory.query("SELECT camera, state, cause, time FROM outcome WHERE rollout = ?", number)
        lost = "it started the new image and was not heard of again"
        return [
            (camera, cause if state != "installed" else lost) for camera, state, cause, when in rows
            if state in ("failed", "refused") or (state == "installed" and now - when > MISSING)
        ]  # fmt: skip

    def offer(self, camera: str, image: Image, now: int) -> Offer | None:
        """What ``camera``, on which ``image`` runs, should install, if anything."""
        with self._inventory.change():
            for channel in dict.fromkeys((image.channel, "release")):
                running = self._running(image.board, channel)
                if running is not None and self._gets(running, camera, image, now):
                    return Offer(
                        offer=running.number, version=running.version, board=running.board, size=running.size,
                        digest=running.digest,
                    )  # fmt: skip
        return None

    def may_fetch(self, camera: str, digest: str) -> bool:
        """Whether ``camera`` has an offer of the bundle that holds, and has not come to an end with it."""
        rows = self._inventory.query(
            "SELECT state FROM outcome JOIN rollout ON outcome.rollout = rollout.number "
            "WHERE camera = ? AND bundle = ? AND ended IS NULL", camera, digest,
        )  # fmt: skip
        return any(state not in _FINAL for (state,) in rows)

    def report(self, camera: str, outcome: Outcome, now: int) -> None:
        """Takes what ``camera`` says of an offer it got. The first final word counts; of other offers nothing does."""
        with self._inventory.change():
            rows = self._inventory.query(
                "SELECT state FROM outcome WHERE rollout = ? AND camera = ?", outcome.offer, camera
            )
            if not rows or rows[0][0] in (*_FINAL, outcome.state):
                return
            self._inventory.query(
                "UPDATE outcome SET state = ?, cause = ?, time = ? WHERE rollout = ? AND camera = ?",
                outcome.state, outcome.cause, now, outcome.offer, camera,
            )  # fmt: skip
            if outcome.state in ("failed", "refused"):
                self._inventory.note(f"update {outcome.state}", camera, f"rollout {outcome.offer}: {outcome.cause}")
            self._judge(self.rollout(outcome.offer), now)

    def _gets(self, running: Rollout, camera: str, image: Image, now: int) -> bool:
        known = self._inventory.query(
            "SELECT state FROM outcome WHERE rollout = ? AND camera = ?", running.number, camera
        )
        if (known and known[0][0] in _FINAL) or not self._judge(running, now):
            return False
        if known:
            return True
        if versions.parse(running.version) == image.is_version or place(running.digest, camera) >= running.percent:
            return False
        self._inventory.query("INSERT INTO outcome VALUES (?, ?, 'offered', '', ?)", running.number, camera, now)
        return True

    def _judge(self, running: Rollout, now: int) -> bool:
        """Stops a rollout with too many failures; returns whether it goes on."""
        counts = self.counts(running.number, now)
        if running.ended is None and too_many(counts, running.threshold):
            wrong = f"{counts.failed} failed and {counts.missing} missing of {counts.offered}"
            self._end(running, f"stopped by itself: {wrong}, threshold {running.threshold:g} %", now)
            return False
        return running.ended is None

    def _running(self, board: str, channel: str) -> Rollout | None:
        found = self._inventory.query(f"{_JOINED} WHERE board = ? AND channel = ? AND ended IS NULL", board, channel)
        return Rollout(*found[0]) if found else None

    def _end(self, rollout: Rollout, cause: str, now: int) -> None:
        if rollout.ended is not None:
            return
        self._inventory.query("UPDATE rollout SET ended = ?, cause = ? WHERE number = ?", now, cause, rollout.number)
        self._inventory.note("rollout stopped", f"{rollout.number}", cause)
