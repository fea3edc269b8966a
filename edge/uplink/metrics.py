"""The camera in numbers for Prometheus, on the loopback interface only: the uplink's own, and those of the health that
the vision process states in a file. The one place that imports ``prometheus_client``.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from edge.uplink.figures import Figures

LOOPBACK = ("127.0.0.1", "::1")
STATES = ("ok", "degraded", "failing")
_LARGEST = 64 << 10  # bytes of a health file
_NO_SUCH_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, socket.EAI_FAMILY, socket.EAI_ADDRFAMILY}
_log = logging.getLogger("vidik.uplink")

Number = Annotated[float, Meta(ge=-1e15, le=1e15)]
Word = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9 _-]{0,31}\Z")]
Counts = Annotated[dict[Word, Number], Meta(max_length=32)]


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken from ``health.json``; all else is left where it is."""

    time: Number
    state: Word
    fps: Number | None = None
    frame_ms: Number | None = None
    latency_ms: Counts = {}
    frames: Number | None = None
    skipped: Counts = {}
    temperature: Number | None = None
    certificate_days: Number | None = None
    night: bool | None = None


class Figuring(Collector):
    """Says how things stand when it is asked. ``figures`` gives the uplink's, ``days`` its certificates' last days.

    Asked from the server's threads: ``figures`` must allow that.
    """

    def __init__(
        self, figures: Callable[[], Figures], days: Callable[[], int | None], notices: Path | None,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._figures, self._days, self._now = figures, days, now
        self._health = None if notices is None else notices / "health.json"

    def collect(self) -> Iterator[Metric]:
        yield from self._delivery()
        health = self._stated()
        if health is not None:
            yield from self._vision(health)

    def _delivery(self) -> Iterator[Metric]:
        figures = self._figures()
        yield _gauge("uplink_connected", "Whether the uplink is connected to a broker", figures.connected)
        yield _gauge("spool_reports", "Reports that wait for a broker", figures.spool)
        yield _gauge("spool_bytes", "Bytes of the reports in the spool", figures.spool_bytes)
        yield _gauge("spool_oldest_seconds", "For how long at least the oldest report has waited", figures.oldest)
        yield _gauge("spool_failing", "Whether the spool cannot be written", figures.trouble is not None)
        yield _counter("uplink_connections", "Connections made", figures.connections)
        yield _counter("reports_accepted", "Reports taken from vision", figures.accepted)
        yield _counter("reports_published", "Reports that a broker has taken", figures.published)
        yield _counter("uplink_refused", "Refusals by a broker", figures.refused)
        yield _counter("gaps_announced", "Announcements of lost reports that a broker has taken", figures.gaps)
        yield _counter("handover_rejected", "What came to the inbox and was no report", figures.rejected)
        lost = CounterMetricFamily("vidik_reports_lost", "Reports lost since the spool was made", labels=["reason"])
        for reason, count in figures.dropped.items():
            lost.add_metric([reason], count)
        yield lost
        days = self._days()
        if days is not None:
            yield _gauge("uplink_certificate_days", "Days that the uplink's certificates hold", days)

    def _vision(self, health: Health) -> Iterator[Metric]:
        yield StateSetMetricFamily(
            "vidik_health", "State of the camera", {state: health.state == state for state in STATES}
        )
        yield _gauge("health_age_seconds", "Since vision has stated its health", self._now() - health.time)
        for name, help_, value in (
            ("frames_per_second", "Frames described", health.fps),
            ("frame_seconds", "Mean time that a frame takes", _seconds(health.frame_ms)),
            ("temperature_celsius", "Hottest thermal zone", health.temperature),
            ("certificate_days", "Days that the signing certificate holds", health.certificate_days),
            ("night", "Whether the camera is set for the night", health.night),
        ):
            if value is not None:
                yield _gauge(name, help_, value)
        if health.frames is not None:
            yield _counter("frames", "Frames described", health.frames)
        skipped = CounterMetricFamily("vidik_frames_skipped", "Frames not described", labels=["reason"])
        for reason, count in health.skipped.items():
            skipped.add_metric([reason], count)
        yield skipped
        latency = GaugeMetricFamily("vidik_latency_seconds", "From a frame's arrival to its end", labels=["quantile"])
        for name, value in health.latency_ms.items():
            if name[0] == "p" and name[1:].isdecimal():
                latency.add_metric([f"{int(name[1:]) / 100:g}"], value / 1000)
        yield latency

    def _stated(self) -> Health | None:
        if self._health is None:
            return None
        with suppress(OSError, msgspec.MsgspecError, ValueError, RecursionError):
            handle = os.open(self._health, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                return msgspec.json.decode(file.read(_LARGEST), type=Health)
        return None


class Endpoint:
    """Serves ``collector``, and what this process takes of the machine, on ``port`` of the loopback interface."""

    def __init__(self, port: int, collector: Collector) -> None:
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(namespace="vidik_uplink", registry=registry)
        self._servers: list[Any] = []
        for address in LOOPBACK:
            try:
                server, _ = start_http_server(port, address, registry)
            except OSError as error:
                if error.errno not in _NO_SUCH_FAMILY:
                    _log.error("metrics-fail address=%s port=%d error=%s", address, port, error)
            else:
                self._servers.append(server)

    def close(self) -> None:
        """Ends the servers."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _gauge(name: str, help_: str, value: float) -> Metric:
    return GaugeMetricFamily(f"vidik_{name}", help_, value=float(value))


def _counter(name: str, help_: str, value: float) -> Metric:
    return CounterMetricFamily(f"vidik_{name}", help_, value=float(value))
