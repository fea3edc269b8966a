"""The audit log as a running camera uses it: when the medium fails the camera goes on, silent, until it works again.

What cannot be written waits in memory, in order and with its time, and is written as soon as that is possible. Until
then ``whole`` is false, which shuts the gate: nothing is reported that is not in the account.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from typing import Any, NamedTuple

from edge.audit import events
from edge.audit.events import AuditError, Fact
from edge.audit.log import Audit
from edge.clock import Clock

RETRY = 1.0  # seconds between attempts to write what waits
MOST_WAITING = 1000  # entries; more are counted
_log = logging.getLogger(__name__)


class _Waiting(NamedTuple):
    wall: float
    event: str
    facts: dict[str, Fact]


class Account:
    """Keeps ``audit``. Not for use by several threads at once."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self.audit = audit
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._surplus: Counter[str] = Counter()
        self._since = 0.0  # monotonic seconds: when the first entry had to wait
        self._retry_at = 0.0
        self._why = ""

    @property
    def whole(self) -> bool:
        """Whether everything that was appended is on the medium."""
        return not self._waiting

    def append(self, event: str, **facts: Any) -> None:
        """Writes one entry, or keeps it until it can be written. Raises ``AuditError`` only for what the closed list
        of events does not allow."""
        self.append_at(self._clock.wall(), event, **facts)

    def append_at(self, wall: float, event: str, /, **facts: Any) -> None:
        """The same for what happened at ``wall``, seconds since the epoch."""
        checked = events.check(event, facts)
        if len(self._waiting) >= MOST_WAITING:
            self._surplus[event] += 1
            return
        self._waiting.append(_Waiting(wall, event, checked))
        if len(self._waiting) == 1:
            self._since = self._clock.monotonic()
            self._write()

    def tick(self) -> None:
        """Tries again, when it is time to. Call often: it costs nothing while all is well."""
        if self._waiting and self._clock.monotonic() >= self._retry_at:
            self._write()

    def close(self) -> None:
        """Tries a last time, and lets go of the log."""
        if self._waiting:
            self._write()
        if self._waiting:
            _log.error("audit-lost entries=%d: the log could not be written to the end", len(self._waiting))
        try:
            self.audit.close()
        except AuditError as error:
            _log.error("audit-close error=%s", error)

    def _write(self) -> None:
        try:
            while self._waiting:
                first = self._waiting[0]
                self.audit.append_at(first.wall, first.event, first.facts)
                self._waiting.popleft()
                self._count_late()
        except AuditError as error:
            self._retry_at = self._clock.monotonic() + RETRY
            if not self._why:
                self._why = str(error)
                _log.error("audit-fails: nothing is reported until the log can be kept again. %s", error)

    def _count_late(self) -> None:
        """When the last of what waited is written, says so in the log itself."""
        if self._waiting or not self._why:
            return
        silent = round(self._clock.monotonic() - self._since)
        for event, count in sorted(self._surplus.items()):
            self._waiting.append(_Waiting(self._clock.wall(), "suppressed", {"event": event, "count": count}))
        self._surplus.clear()
        facts = events.check("resumed", {"seconds": silent, "reason": self._why})
        self._waiting.append(_Waiting(self._clock.wall(), "resumed", facts))
        _log.warning("audit-resumed after %d s; reporting goes on", silent)
        self._why = ""
