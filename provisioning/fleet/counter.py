"""The fleet's subscriber: counts what arrives, once and again, and how long it took."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from edge.address import Address
from edge.listen.ranges import Ranges
from provisioning.fleet import packets
from provisioning.fleet.camera import KEEPALIVE, unpack

_WINDOW = 20_000
_SESSION_SECONDS = 86_400
_PAUSE = 0.2  # seconds between attempts to connect


class Counter(asyncio.Protocol):
    """A named subscriber of all cameras' plates, in a thread of its own; acknowledges what it has counted."""

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._tls = Address("localhost", port, folder / "ca.pem", folder / "counter.pem", folder / "counter.key").tls()
        self._lock = threading.Lock()
        self._seen: defaultdict[int, Ranges] = defaultdict(Ranges)
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._latencies: list[float] = []
        self.distinct = self.duplicates = 0
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = threading.Thread(target=self._work, name="fleet-counter", daemon=True)

    def start(self) -> None:
        """Connects in the background, and again whenever the connection is lost."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread."""
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join()

    def take_latencies(self) -> list[float]:
        """Seconds from a report's making to its arrival here, of the reports since the last call."""
        with self._lock:
            latencies, self._latencies = self._latencies, []
        return latencies

    def lost(self, made: dict[int, int]) -> int:
        """How many reports have not arrived, ``made`` being how many each camera made."""
        with self._lock:
            return sum(made.values()) - sum(self._counts[camera] for camera in made)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer.clear()
        transport.write(packets.resume("fleet-counter", KEEPALIVE, _SESSION_SECONDS, _WINDOW))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        now, answers = time.monotonic(), []
        with self._lock:
            for kind, body in packets.split(self._buffer):
                if kind == packets.PUBLISH:
                    packet_id, payload = packets.publication(body)
                    self._count(payload, now)
                    answers.append(packets.acknowledge(packet_id))
                elif kind == packets.CONNACK:
                    answers.append(packets.subscribe("vidik/v1/+/plate"))
        if answers and self._transport is not None:
            self._transport.write(b"".join(answers))

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self._closed.set()

    def _count(self, payload: bytes, now: float) -> None:
        camera, seq, made = unpack(payload)
        if self._seen[camera].add(seq):
            self.distinct += 1
            self._counts[camera] += 1
            self._latencies.append(now - made)
        else:
            self.duplicates += 1

    def _work(self) -> None:
        self._task = self._loop.create_task(self._run())
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._task)
        self._loop.close()

    async def _run(self) -> None:
        while True:
            self._closed.clear()
            with suppress(OSError):
                transport, _ = await self._loop.create_connection(
                    lambda: self, "localhost", self._port, ssl=self._tls, ssl_handshake_timeout=30
                )
                try:
                    while not self._closed.is_set():
                        with suppress(TimeoutError):
                            async with asyncio.timeout(KEEPALIVE / 2):
                                await self._closed.wait()
                        transport.write(packets.PING)
                finally:
                    transport.abort()
            await asyncio.sleep(_PAUSE)
