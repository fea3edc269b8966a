"""The uplink's policy: what goes from the inbox to the spool, from there to the broker, and when.

One thread, one loop. A report is acknowledged to vision once the spool has committed it. It leaves the spool once a
broker has taken it and has then stayed alive for a while on the same connection (``Pace.settle``): a broker writes
what it holds to its disk only every few seconds, and what a crash of it may have swallowed is sent again. Whatever
happens in between, a report is rather sent twice than not at all.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from edge.handover import Arrival, Key
from edge.uplink.figures import Ages, Figures
from edge.uplink.notices import Notice, Notices
from edge.uplink.pace import Bucket, Pace
from edge.uplink.publisher import Closed, Event, Opened, Refused, Taken
from edge.uplink.spool import Loss, Spool, SpoolError, Stored

_log = logging.getLogger("vidik.uplink")

_IDLE_SECONDS = 0.5  # the longest wait for something to arrive
_HOUSEKEEPING_SECONDS = 1.0  # expiry is looked after this often
_STATUS_SECONDS = 30.0  # the status is renewed this often, if it changed
_FIRST_HOLD, _LONGEST_HOLD = 0.5, 15.0  # seconds of rest after the broker refused a report
_TELL_SECONDS = 2.0  # losses are announced this often at most
_SPOOL_HOLD = 5.0  # and after the spool failed
_MOST_GATHERED = 256  # reports that wait to share one commit
_MOST_REMEMBERED = 1 << 16  # reports taken and not removed yet; sending waits beyond that
What = Key | Loss  # what can be under way


class Inbox(Protocol):
    """What ``Deliver`` needs of the hand-over's receiver."""

    @property
    def rejected(self) -> int: ...
    def receive(self, timeout: float) -> list[Arrival]: ...
    def acknowledge(self, arrivals: Sequence[Arrival]) -> None: ...
    def refuse(self, arrivals: Sequence[Arrival]) -> None: ...


class Outlet(Protocol):
    """What ``Deliver`` needs of a publisher. ``answered``: when the latest thing was sent that got an answer."""

    @property
    def answered(self) -> float: ...
    def publish(self, report: Stored, now: float) -> None: ...
    def tell(self, loss: Loss) -> None: ...
    def announce(self, details: dict[str, Any]) -> None: ...
    def state(self, notice: Notice) -> None: ...
    def events(self) -> list[Event]: ...
    def abandon(self, reason: str, *, useless: bool) -> None: ...


class Deliver:
    """Joins inbox, spool and outlet. ``now``: seconds since the epoch; ``clock``: monotonic seconds; ``days``: how many
    the camera's certificates still hold, None where that is unknown."""

    def __init__(
        self,
        inbox: Inbox,
        spool: Spool,
        outlet: Outlet,
        pace: Pace,
        *,
        notices: Notices | None = None,
        days: Callable[[], int | None] = lambda: None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inbox, self._spool, self._outlet, self._pace = inbox, spool, outlet, pace
        self._notices, self._days = notices, days
        self._ages = Ages(clock, spool.latest)
        self._counts: Counter[str] = Counter()  # for the figures
        self._now, self._clock = now, clock
        self._gathered: list[Arrival] = []
        self._commit_at = 0.0
        self._window = 0  # reports that may be under way: none while disconnected
        self._under_way: dict[What, float] = {}  # and when they were sent
        self._settling: dict[What, float] = {}  # taken by the broker, and when
        self._last: Key | None = None  # the furthest report sent on this connection
        self._bucket = Bucket(pace.drain, clock())
        self._hold = 0.0  # seconds of rest after the latest refusal, 0 while the broker takes reports
        self._hold_until = 0.0
        self._next_telling = 0.0
        self._next_housekeeping = 0.0
        self._next_status = 0.0
        self._asked = 0.0  # when the status was last published
        self._answered = 0.0  # when the latest thing was sent that got an answer
        self._heard = 0.0  # and when that answer came
        self._announced: dict[str, Any] = {}

    def step(self, longest_wait: float = _IDLE_SECONDS) -> None:
        """Waits until something happens, at most ``longest_wait`` seconds, and deals with it."""
        self._take_in(longest_wait)
        for event in self._outlet.events():
            self._react(event)
        self._settle()
        try:
            self._send()
            self._keep_house()
        except SpoolError as error:
            _log.error("spool-fails error=%s", error)
            self._hold_until = self._next_housekeeping = self._clock() + _SPOOL_HOLD
        if self._window:
            self._speak()

    def figures(self) -> Figures:
        """How things stand. From the thread that steps."""
        return Figures(
            connected=bool(self._window), spool=self._waiting, spool_bytes=self._spool.size,
            oldest=self._ages.of(self._spool.oldest(self._settling)) if self._waiting else 0.0,
            rejected=self._inbox.rejected, dropped=self._spool.dropped, trouble=self._spool.trouble, **self._counts,
        )  # fmt: skip

    def finish(self) -> None:
        """Stores what waits to be stored. Call when the outlet is closed; close the spool after it."""
        self._store()

    def _take_in(self, longest_wait: float) -> None:
        if self._gathered:
            longest_wait = min(longest_wait, max(0.0, self._commit_at - self._clock()))
        elif self._pace.drain and self._window and len(self._spool) > len(self._settling) + len(self._under_way):
            longest_wait = min(longest_wait, 1 / self._pace.drain)
        arrivals = self._inbox.receive(longest_wait)
        if arrivals and not self._gathered:
            self._commit_at = self._clock() + self._pace.commit
        self._gathered += arrivals
        if self._gathered and (len(self._gathered) >= _MOST_GATHERED or self._clock() >= self._commit_at):
            self._store()

    def _store(self) -> None:
        arrivals, self._gathered = self._gathered, []
        if not arrivals:
            return
        try:
            self._spool.add([arrival.item for arrival in arrivals])
        except SpoolError as error:
            _log.error("spool-fails items=%d error=%s", len(arrivals), error)
            self._inbox.refuse(arrivals)
            return
        self._inbox.acknowledge(arrivals)
        self._counts["accepted"] += len(arrivals)
        self._ages.came(max(arrival.item.key for arrival in arrivals))
        if self._last is not None and min(arrival.item.key for arrival in arrivals) < self._last:
            self._last = None

    def _react(self, event: Event) -> None:
        match event:
            case Opened(version, window):
                _log.info("connected mqtt=%d window=%d spool=%d", version, window, len(self._spool))
                self._counts["connections"] += 1
                self._start_over(window)
                self._announce()
                if self._notices is not None:
                    self._notices.forget()
            case Closed(reason):
                _log.warning("disconnected reason=%r spool=%d", reason, len(self._spool))
                self._start_over(0)
            case Taken(what):
                self._taken(what)
            case Refused(what):
                self._refused(what, event)

    def _taken(self, what: What) -> None:
        if self._under_way.pop(what, None) is None:
            return
        self._counts["gaps" if isinstance(what, Loss) else "published"] += 1
        if self._pace.settle:
            self._settling[what] = self._clock()
        else:
            self._release(what)
        if not isinstance(what, Loss):
            self._hold = 0.0

    def _refused(self, what: What, event: Refused) -> None:
        self._under_way.pop(what, None)
        self._counts["refused"] += 1
        if isinstance(what, Loss):
            self._next_telling = self._clock() + _LONGEST_HOLD
        elif not what.counts or (event.unheard and not self._pace.keep_unheard):
            self._spool.give_up(what)  # a test report that nobody takes now must not hold up what comes after it
        else:
            self._last = None
            self._rest(event.reason)

    def _start_over(self, window: int) -> None:
        self._window = window
        self._under_way.clear()
        self._settling.clear()
        self._last = None
        self._next_telling = 0.0

    def _settle(self) -> None:
        """Lets go of what the broker has had for long enough."""
        due = self._outlet.answered - self._pace.settle
        while self._settling and next(iter(self._settling.values())) <= due:
            what = next(iter(self._settling))
            del self._settling[what]
            self._release(what)

    def _release(self, what: What) -> None:
        if isinstance(what, Loss):
            self._spool.told(what)
        else:
            self._spool.remove([what])

    def _rest(self, reason: str) -> None:
        if self._clock() < self._hold_until:
            return  # more refusals of the same round
        self._hold = min(2 * self._hold or _FIRST_HOLD, _LONGEST_HOLD)
        self._hold_until = self._clock() + self._hold * random.uniform(0.5, 1.0)
        _log.warning("refused reason=%r spool=%d", reason, len(self._spool))

    def _send(self) -> None:
        clock = self._clock()
        if clock < self._hold_until or not self._window:
            return
        if clock >= self._next_telling:
            self._tell(clock)
        window = 1 if self._hold else self._window  # after a refusal, one report is the probe
        room = min(window - len(self._under_way), self._bucket.room(clock))
        if room <= 0 or len(self._settling) + self._spool.removals > _MOST_REMEMBERED:
            return
        besides = self._under_way.keys() | self._settling.keys() if self._last is None else self._under_way.keys()
        now, found = self._now(), self._spool.after(self._last, room, besides=besides)
        self._bucket.take(len(found))
        for report in found:
            self._under_way[report.key] = clock
            self._last = report.key
            self._outlet.publish(report, now)

    def _tell(self, clock: float) -> None:
        for loss in self._spool.losses:
            if loss not in self._under_way and loss not in self._settling:
                self._next_telling = clock + _TELL_SECONDS
                self._under_way[loss] = clock
                self._outlet.tell(loss)

    def _keep_house(self) -> None:
        now = self._clock()
        if now >= self._next_housekeeping:
            self._next_housekeeping = now + _HOUSEKEEPING_SECONDS
            if self._notices is not None and self._window:
                for notice in self._notices.news():
                    self._outlet.state(notice)
            self._spool.tidy()

    def _speak(self) -> None:
        """The status, when it is due or as a question to a broker that has been quiet; one without answers is left."""
        now, answered = self._clock(), self._outlet.answered
        if answered > self._answered:
            self._answered, self._heard = answered, now
        waiting = next(iter(self._under_way.values()), now)
        if answered < self._asked:
            waiting = min(waiting, self._asked)
        if max(waiting, self._heard) + self._pace.answer < now:
            self._outlet.abandon("the broker answers nothing", useless=True)
            self._start_over(0)
        elif answered >= self._asked and self._has_news(now):
            self._announce()

    def _has_news(self, now: float) -> bool:
        if self._settling:
            due = next(iter(self._settling.values())) + self._pace.settle
            if self._outlet.answered < due <= now and not self._under_way:
                return True
        return now >= self._next_status and self._details() != self._announced

    def _announce(self) -> None:
        self._announced = self._details()
        self._asked = self._clock()
        self._next_status = self._asked + _STATUS_SECONDS
        self._outlet.announce(self._announced)

    def _details(self) -> dict[str, Any]:
        try:
            sent = self._spool.sent()
        except SpoolError:
            sent = []
        return {
            "spool": self._waiting,
            "certificate_days": self._days(),
            "sent": sent,
            "dropped": self._spool.dropped,
            "rejected": self._inbox.rejected,
            "trouble": self._spool.trouble,
        }

    @property
    def _waiting(self) -> int:
        """Reports that no broker has taken."""
        return max(0, len(self._spool) - sum(not isinstance(what, Loss) for what in self._settling))
