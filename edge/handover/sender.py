"""Vision's side of the hand-over."""

from __future__ import annotations

import math
import selectors
import socket
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edge.handover import frame
from edge.handover.frame import HandoverError, Item, Key
from edge.handover.wake import Wake

_READ = 1 << 16
_BATCH = 64  # frames put on the socket at a time
_CONNECT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    item: Item
    until: float  # monotonic seconds at which its retention ends

    @property
    def left(self) -> float:
        return self.until - time.monotonic()


class Sender:
    """Keeps what is offered until the uplink has acknowledged it; never blocks the caller.

    Works when the uplink starts later, stops, or is killed: a background thread reconnects and sends
    everything unacknowledged again, oldest first. At most ``capacity`` items wait, none beyond its retention,
    which starts here; what is dropped is counted in ``dropped``. ``longest_pause`` bounds the seconds between
    attempts to connect.
    """

    def __init__(self, path: Path, capacity: int = 4096, longest_pause: float = 1.0) -> None:
        self.dropped = 0
        self._path = path
        self._capacity = capacity
        self._longest_pause = longest_pause
        self._pause = 0.0
        self._changed = threading.Condition()
        self._unacknowledged: dict[Key, _Waiting] = {}  # oldest first
        self._unsent: deque[Key] = deque(maxlen=capacity)  # on this connection
        self._closing = False
        self._wake = Wake()
        self._thread = threading.Thread(target=self._run, name="handover", daemon=True)
        self._thread.start()

    @property
    def unacknowledged(self) -> int:
        """How many items the uplink has not acknowledged yet."""
        return len(self._unacknowledged)

    def offer(self, item: Item) -> None:
        """Takes ``item`` for delivery and returns at once. Raises ``HandoverError`` if it is out of bounds."""
        frame.pack(item)  # raises when it is out of bounds
        with self._changed:
            if item.key not in self._unacknowledged and len(self._unacknowledged) >= self._capacity:
                del self._unacknowledged[next(iter(self._unacknowledged))]
                self.dropped += 1
            self._unacknowledged[item.key] = _Waiting(item, time.monotonic() + item.retention)
            self._unsent.append(item.key)
        self._wake.set()

    def drain(self, timeout: float) -> int:
        """Waits until everything is acknowledged, at most ``timeout`` seconds; returns how many items are not."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unacknowledged, timeout)
            return len(self._unacknowledged)

    def close(self) -> None:
        """Ends the background thread. Call ``drain`` before: what is unacknowledged now is lost."""
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        while not self._closing:
            with suppress(OSError, HandoverError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
                link.settimeout(_CONNECT_SECONDS)
                link.connect(str(self._path))
                link.setblocking(False)
                self._converse(link)
            self._rest()

    def _rest(self) -> None:
        self._pause = min(self._longest_pause, 2 * self._pause or 0.02)
        until = time.monotonic() + self._pause
        while not self._closing and (left := until - time.monotonic()) > 0:
            self._wake.wait(left)
        with self._changed:
            for key in [key for key, waiting in self._unacknowledged.items() if waiting.left <= 0]:
                self._expire(key)

    def _converse(self, link: socket.socket) -> None:
        """Sends items and takes acknowledgements until either side closes."""
        outgoing, incoming = bytearray(), bytearray()
        with self._changed:
            self._unsent = deque(self._unacknowledged, maxlen=self._capacity)
        with selectors.DefaultSelector() as selector:
            selector.register(link, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while not self._closing:
                outgoing = outgoing or self._next_frames()
                selector.modify(link, selectors.EVENT_READ | (selectors.EVENT_WRITE if outgoing else 0))
                ready = {key.fileobj: events for key, events in selector.select()}
                if self._wake in ready:
                    self._wake.clear()
                if ready.get(link, 0) & selectors.EVENT_READ:
                    received = link.recv(_READ)
                    if not received:
                        return
                    incoming += received
                    self._forget(frame.unpack_acknowledgements(incoming))
                if ready.get(link, 0) & selectors.EVENT_WRITE:
                    del outgoing[: link.send(outgoing)]

    def _next_frames(self) -> bytearray:
        with self._changed:
            batch = [self._unsent.popleft() for _ in range(min(_BATCH, len(self._unsent)))]
            return bytearray().join(self._packed(key) for key in batch)

    def _packed(self, key: Key) -> bytes:
        """The frame of an item with what is left of its retention; nothing when it is gone or over."""
        waiting = self._unacknowledged.get(key)
        if waiting is None:
            return b""
        if waiting.left <= 0:
            self._expire(key)
            return b""
        return frame.pack(replace(waiting.item, retention=math.ceil(waiting.left)))

    def _expire(self, key: Key) -> None:
        del self._unacknowledged[key]
        self.dropped += 1
        self._changed.notify_all()

    def _forget(self, keys: list[Key]) -> None:
        self._pause = 0.0  # the uplink works: come back soon if it goes away
        with self._changed:
            for key in keys:
                self._unacknowledged.pop(key, None)
            self._changed.notify_all()
