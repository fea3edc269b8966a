"""What the uplink states of itself in a file, for the check whether a new image works. In memory, and no record."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

from edge.uplink.figures import Figures

FILE = "uplink.json"
RENEW = 30.0  # seconds after which it is written though nothing has changed
_log = logging.getLogger("vidik.uplink")


class Statement:
    """Keeps the file in ``folder`` up to date; without a folder there is none. ``clock``: monotonic seconds."""

    def __init__(self, folder: Path | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = None if folder is None else folder / FILE
        self._clock = clock
        self._connected: bool | None = None
        self._due = 0.0

    def take(self, figures: Figures) -> None:
        """Writes what is, if there is news. A folder that cannot be written to is for the log only."""
        if self._path is None or (figures.connected == self._connected and self._clock() < self._due):
            return
        self._connected, self._due = figures.connected, self._clock() + RENEW
        fresh = self._path.with_name(self._path.name + ".new")
        stated = {"time": round(time.time(), 1), "connected": figures.connected, "spool": figures.spool}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(json.dumps(stated).encode())
            fresh.replace(self._path)
        except OSError as error:
            _log.error("statement-not-written path=%s error=%s", self._path, error)
