"""The uplink's policy: what goes from the inbox to the spool, from there to the broker, and when.

One thread, one loop. A report is acknowledged to vision once the spool has committed it, and removed from the
spool once the broker has acknowledged it; whatever happens in between, it is sent again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge.handover import Arrival, Key
from edge.uplink.publisher import Closed, Event, Opened, Refused, Taken
from edge.uplink.spool import Spool, SpoolError, Stored

_log = logging.getLogger("vidik.uplink")

_IDLE_SECONDS = 0.5  # the longest wait for something to arrive
_HOUSEKEEPING_SECONDS = 1.0  # removals and expiry are committed this often at least
_STATUS_SECONDS = 30.0  # the status is renewed this often, if it changed
_FIRST_HOLD, _LONGEST_HOLD = 0.5, 15.0  # seconds of rest after the broker refused a report


class Inbox(Protocol):
    """What ``Deliver`` needs of the hand-over's receiver."""

    @property
    def rejected(self) -> int: ...
    def receive(self, timeout: float) -> list[Arrival]: ...
    def acknowledge(self, arrivals: Sequence[Arrival]) -> None: ...
    def refuse(self, arrivals: Sequence[Arrival]) -> None: ...


class Outlet(Protocol):
    """What ``Deliver`` needs of a publisher."""

    def publish(self, report: Stored, now: float) -> None: ...
    def announce(self, details: dict[str, Any]) -> None: ...
    def events(self) -> list[Event]: ...


class Deliver:
    """Joins inbox, spool and outlet. ``now``: seconds since the epoch; ``clock``: monotonic seconds."""

    def __init__(
        self,
        inbox: Inbox,
        spool: Spool,
        outlet: Outlet,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox, self._spool, self._outlet = inbox, spool, outlet
        self._now, self._clock = now, clock
        self._window = 0  # reports that may be under way: none while disconnected
        self._under_way: set[Key] = set()
        self._last: Key | None = None  # the furthest report sent on this connection
        self._hold = 0.0  # seconds of rest after the latest refusal, 0 while the broker takes reports
        self._hold_until = 0.0
        self._next_housekeeping = 0.0
        self._next_status = 0.0
        self._announced: dict[str, Any] = {}

    def step(self, longest_wait: float = _IDLE_SECONDS) -> None:
        """Waits until something happens, at most ``longest_wait`` seconds, and deals with it."""
        self._take_in(longest_wait)
        for event in self._outlet.events():
            self._react(event)
        try:
            self._send()
            self._keep_house()
        except SpoolError as error:
            _log.error("spool-fails error=%s", error)
            self._hold_until = self._next_housekeeping = self._clock() + _LONGEST_HOLD

    def finish(self) -> None:
        """Takes note of what the broker has acknowledged up to now. Call when the outlet is closed."""
        self._spool.remove(event.key for event in self._outlet.events() if isinstance(event, Taken))
        self._spool.flush()

    def _take_in(self, longest_wait: float) -> None:
        arrivals = self._inbox.receive(longest_wait)
        if not arrivals:
            return
        try:
            self._spool.add([arrival.item for arrival in arrivals])
        except SpoolError as error:
            _log.error("spool-fails items=%d error=%s", len(arrivals), error)
            self._inbox.refuse(arrivals)
            return
        self._inbox.acknowledge(arrivals)
        if self._last is not None and min(arrival.item.key for arrival in arrivals) < self._last:
            self._last = None

    def _react(self, event: Event) -> None:
        match event:
            case Opened(version, window):
                _log.info("connected mqtt=%d window=%d spool=%d", version, window, len(self._spool))
                self._start_over(window)
                self._announce()
            case Closed(reason):
                _log.warning("disconnected reason=%r spool=%d", reason, len(self._spool))
                self._start_over(0)
            case Taken(key):
                self._under_way.discard(key)
                self._spool.remove([key])
                self._hold = 0.0
            case Refused(key):
                self._under_way.discard(key)
                self._last = None
                self._rest(event.reason)

    def _start_over(self, window: int) -> None:
        self._window = window
        self._under_way.clear()
        self._last = None

    def _rest(self, reason: str) -> None:
        if self._clock() < self._hold_until:
            return  # more refusals of the same round
        self._hold = min(2 * self._hold or _FIRST_HOLD, _LONGEST_HOLD)
        self._hold_until = self._clock() + self._hold * random.uniform(0.5, 1.0)
        _log.warning("refused reason=%r spool=%d", reason, len(self._spool))

    def _send(self) -> None:
        if self._clock() < self._hold_until:
            return
        window = min(self._window, 1) if self._hold else self._window  # after a refusal, one report is the probe
        room = window - len(self._under_way)
        if room <= 0:
            return
        now = self._now()
        for report in self._spool.after(self._last, room, besides=self._under_way):
            self._under_way.add(report.key)
            self._last = report.key
            self._outlet.publish(report, now)

    def _keep_house(self) -> None:
        now = self._clock()
        if now >= self._next_housekeeping:
            self._next_housekeeping = now + _HOUSEKEEPING_SECONDS
            self._spool.flush()
        if self._window and now >= self._next_status and self._details() != self._announced:
            self._announce()

    def _announce(self) -> None:
        self._announced = self._details()
        self._outlet.announce(self._announced)
        self._next_status = self._clock() + _STATUS_SECONDS

    def _details(self) -> dict[str, Any]:
        return {"spool": len(self._spool), "dropped": self._spool.dropped, "rejected": self._inbox.rejected}
