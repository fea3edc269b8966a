"""The fleet's subscriber: counts what arrives, once and again, and how long it took."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from pathlib import Path

from edge.address import Address
from edge.listen.ranges import Ranges
from edge.mqtt import Handler, Link
from provisioning.fleet.camera import unpack


class Counter(Handler):
    """A named subscriber of all cameras' plates; acknowledges each report once it is counted."""

    def __init__(self, folder: Path, port: int) -> None:
        address = Address("localhost", port, folder / "ca.pem", folder / "counter.pem", folder / "counter.key")
        self._link = Link(
            address, "fleet-counter", self, session_seconds=86_400, window=20_000, longest_pause=1.0, resume=True
        )
        self._lock = threading.Lock()
        self._seen: defaultdict[int, Ranges] = defaultdict(Ranges)
        self._latencies: list[float] = []
        self._sums: defaultdict[int, int] = defaultdict(int)
        self.distinct = self.duplicates = 0
        self.up = False

    def start(self) -> None:
        """Connects in the background."""
        self._link.start()

    def close(self) -> None:
        """Disconnects."""
        self._link.close(2.0)

    def take_latencies(self) -> list[float]:
        """Seconds from a report's making to its arrival here, of the reports since the last call."""
        with self._lock:
            latencies, self._latencies = self._latencies, []
        return latencies

    def lost(self, made: dict[int, int]) -> int:
        """How many reports have not arrived."""
        with self._lock:
            return sum(made.values()) - sum(self._sums[camera] for camera in made)

    def opened(self, _: int, __: int) -> None:
        self._link.subscribe("vidik/v1/+/plate")
        self.up = True

    def closed(self, _: str) -> None:
        self.up = False

    def received(self, _: str, payload: bytes, number: int, __: bool) -> None:
        now = time.monotonic()
        camera, seq, made = unpack(payload)
        with self._lock:
            if self._seen[camera].add(seq):
                self.distinct += 1
                self._sums[camera] += 1
                self._latencies.append(now - made)
            else:
                self.duplicates += 1
        self._link.acknowledge(number)
