"""What passes between a camera and its broker besides reports and status: public statements up, documents of the
law down. Neither is understood here: statements are signed by vision, documents are verified by vision.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path
from typing import Any

from edge import durable
from edge.mqtt import Message
from edge.uplink.notices import Notices
from edge.uplink.publisher import Publisher

MOST_WAITING = 64  # documents that vision has not taken yet; more are left at the broker
ASK_AGAIN = 15.0  # seconds until the broker is asked again for what could not be kept
LARGEST = 1 << 20  # bytes of a document
_LABEL = 64  # bytes at the start of a document among which its type is named
_KINDS = {
    b"application/vidik-grant+cbor": ".grant",
    b"application/vidik-revocation+cbor": ".revocation",
    b"application/vidik-trust+cbor": ".trust",
}
_log = logging.getLogger("vidik.uplink")


class Exchange(Publisher):
    """A publisher that also publishes, retained, what vision states in the folder ``notices``, and puts what comes
    on the topic ``vidik/v1/{camera}/grant`` into the folder ``incoming``. Without a folder it leaves that alone.

    A document that cannot be kept now is not lost: it is retained, so to subscribe again brings it back.
    """

    def __init__(
        self, camera: str, *given: Any, incoming: Path | None = None, notices: Path | None = None, **named: Any
    ) -> None:
        super().__init__(camera, *given, **named)
        self._topic = f"vidik/v1/{camera}"
        self._notices = Notices(notices) if notices is not None else None
        self._incoming = incoming
        self._fresh = False  # a connection has come up since the last call of ``attend``
        self._open = False
        self._ask_at: float | None = None  # monotonic seconds

    def attend(self) -> None:
        """Publishes what vision has stated anew, and everything after a new connection. Call often, it is cheap."""
        if not self._open:
            return
        if self._ask_at is not None and time.monotonic() >= self._ask_at:
            self._ask_at = None
            self._link.subscribe(f"{self._topic}/grant")
        if self._notices is None:
            return
        if self._fresh:
            self._fresh = False
            self._notices.forget()
        for notice in self._notices.news():
            topic = f"{self._topic}/{notice.channel}"
            self._link.publish(Message(topic, notice.content, retain=True, content_type=notice.content_type))

    def opened(self, version: int, window: int) -> None:
        self._fresh = self._open = True
        if self._incoming is not None:
            self._link.subscribe(f"{self._topic}/grant")
        super().opened(version, window)

    def closed(self, reason: str) -> None:
        self._open = False
        super().closed(reason)

    def received(self, topic: str, payload: bytes, number: int, _: bool) -> None:
        if topic == f"{self._topic}/grant" and self._incoming is not None and payload:  # empty: it was cleared
            self._keep(payload, self._incoming)
        self._link.acknowledge(number)

    def _keep(self, payload: bytes, folder: Path) -> None:
        suffix = next((suffix for label, suffix in _KINDS.items() if label in payload[:_LABEL]), "")
        if not suffix or len(payload) > LARGEST:
            _log.warning("document-refused bytes=%d", len(payload))
            return
        name = hashlib.sha256(payload).hexdigest()[:32] + suffix
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if sum(1 for _ in folder.iterdir()) >= MOST_WAITING:
                raise OSError(f"vision has not taken the last {MOST_WAITING} yet")
            durable.write(folder / name, payload, mode=0o640)
        except OSError as error:
            _log.error("document-not-kept error=%s", error)
            self._ask_at = time.monotonic() + ASK_AGAIN
            return
        _log.info("document-arrived name=%s bytes=%d", name, len(payload))
