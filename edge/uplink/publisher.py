"""Brings reports and the camera's status to the broker, and says what became of them.

Topics are ``vidik/v1/{camera}/plate``, ``/face``, ``/trial``, ``/gap``, ``/status`` and those of the notices. Holds no
report back and retries none by itself: when a connection ends, everything it had under way is forgotten, and
``deliver`` takes it from the spool again.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import msgspec

from edge import gaps
from edge.address import Address
from edge.gaps import Gap, Place
from edge.handover import Key, Kind
from edge.mqtt import KEEPALIVE, Handler, Link, Message
from edge.uplink.losses import Loss
from edge.uplink.notices import Notice
from edge.uplink.row import Stored

CONTENT_TYPE = "application/cose"
_TOPICS = {Kind.PLATE: "plate", Kind.FACE: "face", Kind.TRIAL: "trial"}
_LARGEST_WINDOW = 512  # reports under way at a time, if the broker allows as many
_NO_SUBSCRIBERS = 0x10


@dataclass(frozen=True, slots=True)
class Opened:
    """Connected; the broker takes ``window`` reports at a time."""

    version: int
    window: int


@dataclass(frozen=True, slots=True)
class Closed:
    """The connection, or an attempt at one, has ended; what was under way is unknown."""

    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """The broker has the report, or the announcement of a loss."""

    what: Key | Loss


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered, but nobody has it: not authorised, over quota, or no subscriber."""

    what: Key | Loss
    code: int

    @property
    def unheard(self) -> bool:
        return self.code == _NO_SUBSCRIBERS

    @property
    def reason(self) -> str:
        return "nobody subscribes" if self.unheard else f"MQTT reason 0x{self.code:02x}"


Event = Opened | Closed | Taken | Refused


class Publisher(Handler):
    """Publishes for one camera. ``changed`` is called, from another thread, when ``events`` has something.

    A broker that reports "no matching subscribers" (MQTT 5) has thrown the report away, so it counts as refused.
    ``signing_certificate`` (DER) travels in the status, so that subscribers can verify reports. ``answered`` is when,
    on ``clock``, the latest thing was sent that a broker has answered.
    """

    def __init__(
        self,
        camera: str,
        version: str,
        address: Address | Sequence[Address],
        signing_certificate: bytes,
        changed: Callable[[], None],
        *,
        keepalive: int = KEEPALIVE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.answered = 0.0
        self._camera = camera
        self._version = version
        self._certificate = signing_certificate
        self._changed = changed
        self._clock = clock
        self._queue: SimpleQueue[Opened | Closed | tuple[int, int]] = SimpleQueue()
        self._under_way: dict[int, tuple[Key | Loss | None, float]] = {}  # None: status or notice
        self._link = Link(address, camera, self, will=self._status("offline", {}), keepalive=keepalive)

    def start(self) -> None:
        """Connects in the background. Raises ``AddressError`` at once when keys or certificates are unusable."""
        self._link.start()

    def publish(self, report: Stored, now: float) -> None:
        """Sends ``report``; an event tells later what became of it. ``now``: seconds since the epoch."""
        topic = f"vidik/v1/{self._camera}/{_TOPICS[report.kind]}"
        expires = max(1, int(report.expires - now))
        self._send(Message(topic, report.sealed, expires=expires, content_type=CONTENT_TYPE), report.key)

    def tell(self, loss: Loss) -> None:
        """Announces a loss; an event tells later whether somebody has it."""
        gap = Gap(
            camera=self._camera,
            id=loss.id,
            reason=loss.reason,
            count=loss.count,
            first=None if loss.first is None else Place(*loss.first),
            last=None if loss.last is None else Place(*loss.last),
            time=loss.time,
        )
        topic = f"vidik/v1/{self._camera}/{gaps.CHANNEL}"
        self._send(Message(topic, gaps.encode(gap), content_type="application/json"), loss)

    def announce(self, details: dict[str, Any]) -> None:
        """Publishes the retained status: online, with ``details``."""
        self._send(self._status("online", details), None)

    def state(self, notice: Notice) -> None:
        """Publishes, retained, what the camera states in public."""
        topic = f"vidik/v1/{self._camera}/{notice.channel}"
        self._send(Message(topic, notice.content, retain=True, content_type=notice.content_type), None)

    def events(self) -> list[Event]:
        """What has happened since the last call. Use from the thread that publishes."""
        events: list[Event] = []
        while not self._queue.empty():
            match self._queue.get():
                case (number, code):
                    what, sent = self._under_way.pop(number, (None, 0.0))
                    self.answered = max(self.answered, sent)
                    if what is not None:
                        refused = code == _NO_SUBSCRIBERS or code >= 0x80
                        events.append(Refused(what, code) if refused else Taken(what))
                case event:
                    self._under_way.clear()
                    events.append(event)
        return events

    def abandon(self, reason: str, *, useless: bool) -> None:
        """Ends the present connection for a fresh start; with the next broker if this one was ``useless``."""
        self._link.abandon(reason, useless=useless)

    def certify(self, signing_certificate: bytes) -> None:
        """Takes a renewed signing certificate (DER), from the next status on."""
        self._certificate = signing_certificate
        self._link.will = self._status("offline", {})

    def close(self, timeout: float) -> None:
        """Says goodbye and disconnects, within ``timeout`` seconds."""
        self._link.close(timeout, farewell=self._status("offline", {}))

    def opened(self, version: int, window: int) -> None:
        self._queue.put(Opened(version, max(1, min(window, _LARGEST_WINDOW))))
        self._changed()

    def closed(self, reason: str) -> None:
        self._queue.put(Closed(reason))
        self._changed()

    def acknowledged(self, number: int, code: int) -> None:
        self._queue.put((number, code))
        self._changed()

    def _send(self, message: Message, what: Key | Loss | None) -> None:
        sent = self._clock()
        number = self._link.publish(message)
        if number is not None:  # otherwise the connection has just gone, and its end is the next event
            self._under_way[number] = what, sent

    def _status(self, state: str, details: dict[str, Any]) -> Message:
        content = {
            "camera": self._camera,
            "state": state,
            "since": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "version": self._version,
            "signing_certificate": base64.b64encode(self._certificate).decode(),
        }
        return Message(
            f"vidik/v1/{self._camera}/status",
            msgspec.json.encode(content | details),
            retain=True,
            content_type="application/json",
        )
