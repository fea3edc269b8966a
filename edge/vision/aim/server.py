"""The socket of setup mode's camera: one page at a time, a few looks a second, and an end."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edge import aiming, sockets
from edge.aiming import AimingError, Answer

MOST_LOOKS = 4.0  # a second
LONGEST = 20 * 60.0  # seconds after which it ends in any case: setup mode itself lasts fifteen minutes
LONELY = 90.0  # seconds without a page after which it ends
_STEP = 0.5  # seconds between looks whether it should end
_SLOWEST = 5.0  # seconds that the page may take to read an answer


class Server:
    """Answers one page's questions with ``look`` until ``over`` says so, or nobody has asked for long."""

    def __init__(
        self, path: Path, look: Callable[[bool], Answer], over: Callable[[], bool], *,
        clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        """Raises ``VidikError`` when there can be no socket at ``path``."""
        self._path, self._look, self._over, self._clock, self._sleep = path, look, over, clock, sleep
        self._began = self._heard = clock()
        self._looked = float("-inf")
        self._listening = sockets.listen(path, "setup mode's camera")
        self._listening.settimeout(_STEP)

    def run(self) -> str:
        """Serves until the end; returns why it came."""
        while not (why := self._end()):
            with suppress(TimeoutError):
                connection, _ = self._listening.accept()
                with connection:
                    self._serve(connection)
        return why

    def close(self) -> None:
        self._listening.close()
        self._path.unlink(missing_ok=True)

    def _serve(self, connection: socket.socket) -> None:
        while not self._end():
            connection.settimeout(_STEP)
            try:
                if not connection.recv(1, socket.MSG_PEEK):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
            connection.settimeout(_SLOWEST)
            try:
                scan = aiming.asked(connection)
                self._heard = self._clock()
                self._sleep(max(0.0, self._looked + 1 / MOST_LOOKS - self._heard))
                self._looked = self._clock()
                aiming.answer(connection, self._look(scan))
            except AimingError:
                return

    def _end(self) -> str:
        now = self._clock()
        if self._over():
            return "the camera is sealed"
        if now - self._began > LONGEST:
            return "setup mode is over"
        return "no page has asked for long" if now - self._heard > LONELY else ""
