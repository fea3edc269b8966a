"""The audit log as the camera keeps it: append-only, every entry on the medium before ``append`` returns.

When the log outgrows its bound the oldest segments go, but only after a signed head of where they ended (the
anchor) is on the medium: what is kept stays verifiable.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edge import durable
from edge.audit import chain, events, head
from edge.audit.chain import Entry, Link
from edge.audit.events import AuditError, Fact
from edge.audit.head import Head
from edge.audit.limit import Limit
from edge.audit.segments import Cut, End, Segments
from edge.clock import Clock
from edge.signing import Signer

ANCHOR = "anchor.cose"
LOCK = "lock"
SEGMENT_BYTES = 256 << 10
TOTAL_BYTES = 16 << 20  # some ten years of hourly entries
_log = logging.getLogger(__name__)


class Audit:
    """The audit log of ``camera`` in ``folder``. One process at a time may hold it; threads may share it.

    A new segment begins at ``segment_bytes``; all together stay under ``total_bytes``. Raises ``AuditError``
    when the folder cannot be used or another process holds it.
    """

    def __init__(
        self,
        folder: Path,
        clock: Clock,
        camera: str,
        signer: Signer,
        *,
        segment_bytes: int = SEGMENT_BYTES,
        total_bytes: int = TOTAL_BYTES,
    ) -> None:
        self._folder, self._clock, self._camera, self._signer = folder, clock, camera, signer
        self._segment_bytes, self._total_bytes = segment_bytes, total_bytes
        self._segments = Segments(folder)
        self._limit = Limit()
        self._mutex = threading.Lock()
        self._end: End | None = None  # None: the medium has to be looked at first
        self._lock = _hold(folder)
        try:
            with self._mutex:
                self._ready()
        except OSError as error:
            self._let_go()
            raise _unusable(folder, error) from error
        except BaseException:
            self._let_go()
            raise

    def append(self, event: str, **facts: Any) -> None:
        """Writes one entry; when this returns, it is on the medium.

        Of an event that outsiders can provoke no more than some an hour are written; the others are counted,
        and the count is written. Raises ``AuditError`` when the event or a fact is not of the closed list, or
        when the entry cannot be written: then nothing that needs a record may go on.
        """
        self.append_at(self._clock.wall(), event, facts)

    def append_at(self, wall: float, event: str, facts: Mapping[str, Any]) -> None:
        """The same for what happened at ``wall``, seconds since the epoch, and could not be written then."""
        checked = events.check(event, facts)
        with self._mutex:
            now = self._clock.monotonic()
            self._say_suppressed(self._limit.due(now))
            if not events.EVENTS[event].provoked or self._limit.passes(event, now):
                self._write(event, checked, wall)

    @property
    def whole(self) -> bool:
        """Always: ``append`` returns only when the entry is on the medium."""
        return True

    def head(self) -> bytes:
        """The signed head of the log as it is now (a COSE_Sign1 message). Raises ``AuditError``."""
        return self._sign(self._where())

    def state(self) -> tuple[int, bytes]:
        """The number of the last entry and the hash the log has reached. Raises ``AuditError``."""
        end = self._where()
        return end.number, end.hash

    def entries(self, newest: int = 0) -> Iterator[Entry]:
        """The entries kept, oldest first; only those of the ``newest`` segments, when a number is given."""
        for path in chain.segments(self._folder)[-newest:]:
            content = chain.read(path)
            begin = chain.start(content)
            if begin is not None:
                yield from (link.entry for link in chain.walk(content, begin.hash) if isinstance(link, Link))

    def close(self) -> None:
        """Writes what the limit still holds back, and lets go of the folder."""
        with self._mutex:
            if self._lock >= 0:
                try:
                    self._say_suppressed(self._limit.rest())
                finally:
                    self._let_go()

    def _say_suppressed(self, held: list[tuple[str, int]]) -> None:
        for event, count in held:
            self._write("suppressed", {"event": event, "count": count})

    def _where(self) -> End:
        try:
            with self._mutex:
                return self._ready()
        except OSError as error:
            raise _unusable(self._folder, error) from error

    def _write(self, event: str, facts: dict[str, Fact], wall: float | None = None) -> None:
        try:
            end = self._ready()
            if self._segments.size > self._segment_bytes:
                end = self._rotate(end)
            self._put(end, event, facts, wall)
        except OSError as error:
            self._end = None
            raise _unusable(self._folder, error) from error

    def _put(self, end: End, event: str, facts: dict[str, Fact], wall: float | None = None) -> End:
        time = max(0, round(1000 * (self._clock.wall() if wall is None else wall)))
        packed, after = chain.pack(end.number + 1, time, event, facts, end.hash)
        self._end = None  # until it is done, what of it is on the medium is unknown
        self._segments.put(packed)
        self._end = End(end.number + 1, after)
        return self._end

    def _ready(self) -> End:
        """Where the log ends; looks at the medium, and mends it, when that is not known."""
        if self._end is not None:
            return self._end
        anchor = self._anchor()
        if anchor is not None:
            self._segments.drop(anchor.number)  # a power cut may have left them
        end, cuts = self._segments.open()
        if end is None:
            end = End(anchor.number, anchor.hash) if anchor is not None else End(0, chain.GENESIS)
            self._segments.begin(end)
            end = self._put(end, "log-started", {"camera": self._camera})
        for cut in cuts:
            end = self._say_cut(end, cut)
        self._end = end
        return end

    def _say_cut(self, end: End, cut: Cut) -> End:
        _log.warning("audit-cut file=%s offset=%d bytes=%d aside=%s", cut.file, cut.offset, cut.size, cut.aside)
        if not cut.aside:
            return self._put(end, "tail-cut", {"bytes": cut.size})
        return self._put(end, "damage-found", {"bytes": cut.size, "file": cut.aside, "offset": cut.offset})

    def _rotate(self, end: End) -> End:
        self._segments.begin(end)
        surplus = self._segments.surplus(self._total_bytes - self._segment_bytes)
        if surplus is None:
            return end
        oldest, last = surplus
        durable.write(self._folder / ANCHOR, self._sign(last))
        self._segments.drop(last.number)
        return self._put(end, "trimmed", {"first": oldest.first, "last": last.number})

    def _sign(self, end: End) -> bytes:
        stated = Head(self._camera, end.number, end.hash, max(0, round(self._clock.wall() * 1000)))
        return head.sign(stated, self._signer)

    def _anchor(self) -> Head | None:
        path = self._folder / ANCHOR
        try:
            stated, _ = head.read(path.read_bytes())
        except FileNotFoundError:
            return None
        except head.HeadError as error:
            _log.error("audit-anchor-unusable file=%s error=%s", path, error)
            return None
        return stated

    def _let_go(self) -> None:
        self._segments.close()
        self._end = None
        os.close(self._lock)
        self._lock = -1


def _hold(folder: Path) -> int:
    """Keeps other processes out of ``folder`` for as long as the returned descriptor is open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise AuditError(f"The audit log {folder} is held by another process. Stop it first.") from error
    return lock


def _unusable(folder: Path, error: OSError) -> AuditError:
    return AuditError(
        f"The audit log {folder} cannot be kept: {error}. Check the data partition; until then nothing is reported."
    )
