"""A way to interrupt a thread that waits on sockets."""

from __future__ import annotations

import os
import selectors
from contextlib import suppress


class Wake:
    """A pipe that makes a selector return. Setting it never blocks; any thread or signal handler may."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def fileno(self) -> int:
        return self._read

    def set(self) -> None:
        with suppress(OSError):  # full: it is set already; closed: nobody waits any more
            os.write(self._write, b"\0")

    def clear(self) -> None:
        with suppress(BlockingIOError):
            while os.read(self._read, 4096):
                pass

    def wait(self, timeout: float) -> None:
        """Waits until set, at most ``timeout`` seconds, and clears it."""
        with selectors.DefaultSelector() as selector:
            selector.register(self, selectors.EVENT_READ)
            selector.select(timeout)
        self.clear()

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
