"""One simulated camera: a spool, a connection that comes back, and the uplink's rules for both."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from edge.mqtt_brokers import FIRST_PAUSE, LARGEST_PAUSE
from edge.uplink.pace import Bucket, Pace
from provisioning.fleet import packets

KEEPALIVE = 30
SIZE = 260  # bytes of a plate report
_HEAD = struct.Struct("!IQd")  # camera, seq, when it was made (monotonic seconds, one machine)
_WINDOW = 128
_RETENTION = 3600
_STEADY_SECONDS = 10.0
_CONNECT_SECONDS = 30.0
_HOLD = 0.5


class Report(NamedTuple):
    """A report in a spool."""

    seq: int
    made: float


class Broker(NamedTuple):
    """Where a camera connects to, and with which certificate."""

    host: str
    port: int
    tls: ssl.SSLContext


@dataclass(slots=True)
class Counts:
    """What the cameras of a process did."""

    connected: int = 0
    connects: int = 0
    sent: int = 0
    taken: int = 0
    released: int = 0
    latencies: list[float] = field(default_factory=list)  # seconds from sending to the broker's answer


class Camera(asyncio.Protocol):
    """Camera ``number``. ``made`` is the number of reports handed over so far."""

    def __init__(self, number: int, name: str, broker: Broker, pace: Pace, counts: Counts) -> None:
        self.made = 0
        self.number, self._name, self._broker = number, name, broker
        self._pace, self._counts = pace, counts
        self._spool: deque[Report] = deque()  # not sent on this connection
        self._under_way: dict[int, tuple[Report, float]] = {}
        self._settling: deque[tuple[Report, float]] = deque()
        self._window = 0
        self._packet_id = 0
        self._heard = 0.0
        self._hold_until = 0.0
        self._next_ping = 0.0
        self._bucket = Bucket(pace.drain, 0.0)
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._closed = asyncio.Event()
        self._topic = f"vidik/v1/{name}"

    @property
    def kept(self) -> int:
        """Reports that are still in the spool."""
        return len(self._spool) + len(self._under_way) + len(self._settling)

    @property
    def waiting(self) -> int:
        """Reports that the broker has not taken."""
        return len(self._spool) + len(self._under_way)

    async def run(self) -> None:
        """Connects, and connects again, until cancelled."""
        loop = asyncio.get_running_loop()
        bound = FIRST_PAUSE
        host, port, tls = self._broker
        while True:
            began = loop.time()
            self._closed.clear()
            with suppress(OSError, asyncio.TimeoutError):
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await loop.create_connection(
                        lambda: self, host, port, ssl=tls, ssl_handshake_timeout=_CONNECT_SECONDS
                    )
                await self._closed.wait()
                if loop.time() - began > _STEADY_SECONDS:
                    bound = FIRST_PAUSE
            await asyncio.sleep(random.uniform(0.0, bound))
            bound = min(2 * bound, LARGEST_PAUSE)

    def make(self, now: float) -> None:
        """Hands over a report."""
        self.made += 1
        self._spool.append(Report(self.made, now))

    def step(self, now: float) -> None:
        """Sends what may be sent, and lets go of what has settled."""
        while self._settling and self._settling[0][1] <= self._heard - self._pace.settle:
            self._settling.popleft()
            self._counts.released += 1
        if not self._window or self._transport is None:
            return
        if now >= self._next_ping:
            self._next_ping = now + KEEPALIVE / 2
            self._transport.write(packets.PING)
        room = min(self._window - len(self._under_way), self._bucket.room(now), len(self._spool))
        if room <= 0 or now < self._hold_until:
            return
        self._bucket.take(room)
        self._transport.write(b"".join(self._publication(self._spool.popleft(), now) for _ in range(room)))
        self._counts.sent += room

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._buffer.clear()
        transport.write(packets.connect(self._name, KEEPALIVE, f"{self._topic}/status", b'{"state":"offline"}'))

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._buffer += data
        for kind, body in packets.split(self._buffer):
            if kind == packets.PUBACK:
                self._answered(*packets.acknowledged(body))
            elif kind == packets.CONNACK:
                self._window = min(_WINDOW, packets.accepted(body))
                self._counts.connected += self._window > 0
                self._counts.connects += 1
                self._announce()

    def connection_lost(self, _: Exception | None) -> None:
        """Everything that has not settled goes again, in its order."""
        self._counts.connected -= self._window > 0
        self._window = 0
        again = [report for report, _ in self._settling] + [report for report, _ in self._under_way.values()]
        self._spool.extendleft(sorted(again, reverse=True))
        self._settling.clear()
        self._under_way.clear()
        self._transport = None
        self._closed.set()

    def _answered(self, packet_id: int, reason: int) -> None:
        report, sent = self._under_way.pop(packet_id, (None, 0.0))
        if report is None:
            return  # the status
        if reason:  # refused, or nobody subscribes
            self._spool.appendleft(report)
            self._hold_until = self._heard + random.uniform(_HOLD, 2 * _HOLD)
            return
        self._settling.append((report, self._heard))
        self._counts.taken += 1
        self._counts.latencies.append(self._heard - sent)

    def _announce(self) -> None:
        if self._transport is not None:
            self._transport.write(
                packets.publish(
                    f"{self._topic}/status", self._next_id(), b'{"state":"online"}', expires=0,
                    content_type="application/json", retain=True,
                )
            )  # fmt: skip

    def _publication(self, report: Report, now: float) -> bytes:
        packet_id = self._next_id()
        self._under_way[packet_id] = report, now
        payload = _HEAD.pack(self.number, report.seq, report.made) + os.urandom(SIZE - _HEAD.size)
        return packets.publish(
            f"{self._topic}/plate", packet_id, payload, expires=_RETENTION, content_type="application/cose",
            retain=False,
        )  # fmt: skip

    def _next_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % 65_535 + 1
            if self._packet_id not in self._under_way:
                return self._packet_id


def unpack(payload: bytes) -> tuple[int, int, float]:
    """Camera, seq and time of making of a simulated report."""
    camera, seq, made = _HEAD.unpack_from(payload)
    return camera, seq, made
