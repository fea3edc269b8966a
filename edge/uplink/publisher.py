"""Brings reports and the camera's status to the broker, and says what became of them.

Topics are ``vidik/v1/{camera}/plate``, ``/face`` and ``/status``. Holds no report back and retries none by
itself: when a connection ends, everything it had under way is forgotten, and ``deliver`` takes it from the
spool again.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import SimpleQueue
from typing import Any

import msgspec

from edge.address import Address
from edge.handover import Key, Kind
from edge.mqtt import Handler, Link, Message
from edge.uplink.spool import Stored

CONTENT_TYPE = "application/cose"
_TOPICS = {Kind.PLATE: "plate", Kind.FACE: "face"}
_LARGEST_WINDOW = 128  # reports under way at a time, if the broker allows as many
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
    """The broker has the report."""

    key: Key


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker answered, but nobody has the report: not authorised, over quota, or no subscriber."""

    key: Key
    code: int

    @property
    def reason(self) -> str:
        return "nobody subscribes" if self.code == _NO_SUBSCRIBERS else f"MQTT reason 0x{self.code:02x}"


Event = Opened | Closed | Taken | Refused


class Publisher(Handler):
    """Publishes for one camera. ``changed`` is called, from another thread, when ``events`` has something.

    A broker that reports "no matching subscribers" (MQTT 5) has thrown the report away, so it counts as
    refused: the report stays in the spool until somebody listens or its retention ends.
    ``signing_certificate`` (DER) travels in the status, so that subscribers can verify reports.
    """

    def __init__(
        self, camera: str, version: str, address: Address, signing_certificate: bytes, changed: Callable[[], None]
    ) -> None:
        self._camera = camera
        self._version = version
        self._certificate = base64.b64encode(signing_certificate).decode()
        self._changed = changed
        self._queue: SimpleQueue[Opened | Closed | tuple[int, int]] = SimpleQueue()
        self._under_way: dict[int, Key] = {}
        self._link = Link(address, camera, self, will=self._status("offline", {}))

    def start(self) -> None:
        """Connects in the background. Raises ``AddressError`` at once when keys or certificates are unusable."""
        self._link.start()

    def publish(self, report: Stored, now: float) -> None:
        """Sends ``report``; an event tells later what became of it. ``now``: seconds since the epoch."""
        topic = f"vidik/v1/{self._camera}/{_TOPICS[report.kind]}"
        expires = max(1, int(report.expires - now))
        number = self._link.publish(Message(topic, report.sealed, expires=expires, content_type=CONTENT_TYPE))
        if number is not None:  # otherwise the connection has just gone, and its end is the next event
            self._under_way[number] = report.key

    def announce(self, details: dict[str, Any]) -> None:
        """Publishes the retained status: online, with ``details``."""
        self._link.publish(self._status("online", details))

    def events(self) -> list[Event]:
        """What has happened since the last call. Use from the thread that publishes."""
        events: list[Event] = []
        while not self._queue.empty():
            match self._queue.get():
                case (number, code):
                    key = self._under_way.pop(number, None)
                    if key is not None:  # None: the status
                        refused = code == _NO_SUBSCRIBERS or code >= 0x80
                        events.append(Refused(key, code) if refused else Taken(key))
                case event:
                    self._under_way.clear()
                    events.append(event)
        return events

    def close(self, timeout: float) -> None:
        """Says goodbye and disconnects, within ``timeout`` seconds."""
        self._link.close(timeout, farewell=self._status("offline", {}))

    def opened(self, version: int, window: int) -> None:
        self._queue.put(Opened(version, min(window, _LARGEST_WINDOW)))
        self._changed()

    def closed(self, reason: str) -> None:
        self._queue.put(Closed(reason))
        self._changed()

    def acknowledged(self, number: int, code: int) -> None:
        self._queue.put((number, code))
        self._changed()

    def _status(self, state: str, details: dict[str, Any]) -> Message:
        content = {
            "camera": self._camera,
            "state": state,
            "since": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "version": self._version,
            "signing_certificate": self._certificate,
        }
        return Message(
            f"vidik/v1/{self._camera}/status",
            msgspec.json.encode(content | details),
            retain=True,
            content_type="application/json",
        )
