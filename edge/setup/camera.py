"""The page's end of the socket to the camera process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edge import aiming
from edge.aiming import AimingError, Answer, Measures

_FRESH = 0.3  # seconds for which one look serves everybody who asks
_PATIENCE = 8.0  # seconds for an answer


class Camera:
    """Looks through the camera, at most some three times a second. May be used by several threads."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._last = Answer(Measures(trouble="nobody has looked yet"), b"")
        self._scanned = False
        self._looked = float("-inf")

    def look(self, scan: bool = False) -> Answer:
        """What is to be seen now. A camera process that does not answer is a trouble in the measures, not an error."""
        with self._lock:
            if self._clock() - self._looked > _FRESH or (scan and not self._scanned):
                self._last, self._scanned = self._ask(scan), scan
                self._looked = self._clock()
            return self._last

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _ask(self, scan: bool) -> Answer:
        try:
            if self._connection is None:
                self._connection = self._connect()
            return aiming.ask(self._connection, scan)
        except AimingError as error:
            self._drop()
            return Answer(Measures(trouble=str(error)[:500]), b"")

    def _connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_PATIENCE)
        try:
            connection.connect(str(self._path))
        except OSError as error:
            connection.close()
            raise AimingError(f"The camera process is not there yet ({error.strerror}).") from error
        return connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
