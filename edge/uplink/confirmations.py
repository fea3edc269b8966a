"""Confirmations of test reports on their way down, put where ``edge.trial`` looks for them. Nothing here understands or
believes one: only who sent the test report can tell whether it is genuine."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from edge import durable

MOST = 32  # that are kept; the oldest give way
LARGEST = 256  # bytes of one
_log = logging.getLogger("vidik.uplink")


class Confirmations:
    """Keeps the latest of what comes on ``vidik/v1/{camera}/confirm`` in ``folder``."""

    pattern = "confirm"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def take(self, _: str, payload: bytes) -> None:
        if not 0 < len(payload) <= LARGEST:
            _log.warning("confirmation-refused bytes=%d", len(payload))
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            durable.write(self._folder / hashlib.sha256(payload).hexdigest()[:32], payload, mode=0o640)
            kept = sorted(self._folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)
            for file in kept[:-MOST]:
                file.unlink()
        except OSError as error:
            _log.error("confirmation-not-kept error=%s", error)

    def asks_again(self) -> bool:
        return False  # it is not retained
