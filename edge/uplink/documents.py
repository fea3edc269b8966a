"""Documents of the law on their way down: grants, revocations and trust files, put where vision looks for them.

Nothing in them is understood here; vision verifies them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

from edge import durable

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


class Documents:
    """Puts what comes on the topic ``vidik/v1/{camera}/grant`` into ``folder``.

    A document that cannot be kept now is not lost: it is retained, so to subscribe again brings it back.
    """

    pattern = "grant"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ask_at: float | None = None  # monotonic seconds

    def take(self, _: str, payload: bytes) -> None:
        if payload:  # empty: it was cleared
            self._keep(payload, self._folder)

    def asks_again(self) -> bool:
        due = self._ask_at is not None and time.monotonic() >= self._ask_at
        if due:
            self._ask_at = None
        return due

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
            durable.write(folder / name, payload, mode=0o660)  # vision takes it away, and overwrites it
        except OSError as error:
            _log.error("document-not-kept error=%s", error)
            self._ask_at = time.monotonic() + ASK_AGAIN
            return
        _log.info("document-arrived name=%s bytes=%d", name, len(payload))
