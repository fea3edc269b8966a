"""What the camera states in public, kept up to date as files that the uplink publishes: card and audit head.

The vision process makes and signs them, since only it knows the grants and has the key; the uplink sees signed
bytes in a folder and passes them on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from edge import card, durable
from edge.audit import Audit
from edge.audit.tally import DAY, Sums, last_day
from edge.clock import Clock
from edge.errors import VidikError
from edge.grant.document import Grant
from edge.signing import Signer

CARD, HEAD = "card.json", "audit.cose"
RETRY = 1.0  # seconds until a write that failed is tried again
HEAD_EVERY = 60.0  # seconds between two heads at least
_SEGMENTS = 3  # of the audit log, which hold more than a day's entries
_log = logging.getLogger(__name__)


class Notices:
    """Writes the card and the head of one camera into ``folder``. Not for use by several threads.

    ``models``: SHA-256 in hex by name. ``kept``: the public can see what holds now; false while the files cannot be
    written, which is tried again.
    """

    def __init__(
        self, folder: Path, audit: Audit, clock: Clock, signer: Signer, *, camera: str, software: str,
        models: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._folder, self._audit, self._clock, self._signer = folder, audit, clock, signer
        self._camera, self._software, self._models = camera, software, models
        self._stated: tuple[object, ...] = ()
        self._day = -1
        self._sums: Sums | None = None
        self._head_number = -1
        self._head_after = self._retry_at = float("-inf")
        self.kept = True

    def tick(self, in_force: Iterable[Grant]) -> None:
        """Renews what is out of date: the card when grants or day have changed, the head when the log has grown.

        ``in_force``: the grants that hold now. Call often: it costs next to nothing when there is no news.
        """
        if self._clock.monotonic() < self._retry_at:
            return
        try:
            self._renew(tuple(in_force), self._clock.wall())
        except VidikError as error:
            self._retry_at = self._clock.monotonic() + RETRY
            if self.kept:
                _log.error("notices-fail: nothing is reported until they are written. %s", error)
            self.kept = False
        else:
            self.kept = True

    def _renew(self, grants: tuple[Grant, ...], now: float) -> None:
        stating = (int(now) // DAY, *((grant.id, grant.serial) for grant in grants))
        if stating != self._stated:
            self._write(CARD, self._card(grants, now))
            self._stated = stating
        if self._clock.monotonic() >= self._head_after and self._audit.state()[0] != self._head_number:
            number = self._audit.state()[0]
            self._write(HEAD, self._audit.head())
            self._head_number = number
            self._head_after = self._clock.monotonic() + HEAD_EVERY

    def _card(self, grants: tuple[Grant, ...], now: float) -> bytes:
        day = int(now) // DAY
        if self._sums is None or day != self._day:
            self._sums, self._day = last_day(self._audit.entries(_SEGMENTS), now), day
        counters = card.Counters(
            begin=card.timestamp(self._sums.begin), end=card.timestamp(self._sums.end),
            seen=self._sums.seen, reported=self._sums.reported, discarded=self._sums.discarded,
        )  # fmt: skip
        stated = card.build(
            self._camera, now, software=self._software, models=self._models, grants=grants, counters=counters,
            audit=self._audit.state(),
        )  # fmt: skip
        return card.sign(stated, self._signer)

    def _write(self, name: str, content: bytes) -> None:
        try:
            durable.write(self._folder / name, content, mode=0o644)
        except OSError as error:
            raise VidikError(f"{self._folder / name} cannot be written: {error}. Check the data partition.") from error
