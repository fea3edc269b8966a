"""``python -m models.lab.bench.delivery``: how fast the uplink drains, how large it gets, what it writes to flash."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import psutil
import typer
from rich.console import Console

from edge import config
from edge.address import Address
from edge.handover import LARGEST, Item, Key, Kind
from edge.mqtt import Handler, Link
from edge.uplink.books import cost
from edge.uplink.spool import Spool
from models.lab import console
from provisioning import deployment
from provisioning.broker import Mosquitto, Settings

_SIZE = 420  # bytes of a plate report to one recipient
_DAY = 86_400
_YEAR = 365 * _DAY

app = console.command()


class Counting(Handler):
    """A subscriber that counts and acknowledges."""

    def __init__(self, address: Address, camera: str) -> None:
        self._camera = camera
        self.seen: set[bytes] = set()
        self.ready = threading.Event()
        self.link = Link(address, "subscriber", self)

    def opened(self, _: int, __: int) -> None:
        self.link.subscribe(f"vidik/v1/{self._camera}/plate")
        self.ready.set()

    def received(self, _: str, payload: bytes, number: int, __: bool) -> None:
        self.seen.add(payload[:8])
        self.link.acknowledge(number)


@app.command()
def bench(
    reports: Annotated[int, typer.Option(help="Reports in the spool.")] = 1_000_000,
    drained: Annotated[int, typer.Option(help="Reports whose delivery is timed.")] = 100_000,
    commits: Annotated[int, typer.Option(help="Commits whose writes are measured.")] = 3_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the uplink: throughput to Mosquitto over mutual TLS, memory with a full spool, wear of the medium."""
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    with tempfile.TemporaryDirectory(prefix="vidik-bench-", dir=os.environ.get("BENCH_FOLDER")) as folder:
        found |= _wear(Path(folder), commits) | _outage() | _drain(Path(folder), reports, drained)
    if as_json:
        print(json.dumps(found))
        return
    for name, value in found.items():
        Console().print(f"{name}: {value}")


def _item(number: int, size: int = _SIZE) -> Item:
    return Item(Kind.PLATE, Key(1, number), 7 * _DAY, number.to_bytes(8, "big") + os.urandom(size - 8))


def _drain(folder: Path, reports: int, drained: int) -> dict[str, Any]:
    made = deployment.create(folder / "deployment")
    broker = Mosquitto(
        Settings(folder / "broker", made.office / "ca.pem", made.office / "broker.pem", made.office / "broker.key")
    )
    broker.start()
    deployment.configure(made, "none", broker.port)
    made.config.write_text(made.config.read_text() + f"drain_rate = 0\nspool_bytes = {4 << 30}\n")
    settings = config.load(made.config, config.Uplink)
    settings.spool.parent.mkdir(parents=True, exist_ok=True)
    spool = Spool(settings.spool, 4 << 30)
    began = time.monotonic()
    for start in range(1, reports + 1, 5000):
        spool.add([_item(number) for number in range(start, min(start + 5000, reports + 1))])
    filled = time.monotonic() - began
    spool.close()
    listener = Counting(
        Address(
            "localhost", broker.port, made.subscriber / "ca.pem", made.subscriber / "subscriber.pem",
            made.subscriber / "subscriber.key",
        ), made.camera,
    )  # fmt: skip
    listener.link.start()
    listener.ready.wait(30)
    on_disk = settings.spool.stat().st_size
    command = [sys.executable, "-m", "edge.uplink", "--config", str(made.config)]
    uplink = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        return {
            "spool filled with": f"{reports} reports of {_SIZE} bytes, {reports / filled:.0f}/s",
            "spool on the medium, bytes a report": round(on_disk / reports),
            **_timed(uplink, listener, drained),
        }
    finally:
        uplink.kill()
        uplink.wait()
        listener.link.close(2)
        broker.stop()


def _timed(uplink: subprocess.Popen[bytes], listener: Counting, drained: int) -> dict[str, Any]:
    process, largest, began = psutil.Process(uplink.pid), 0, time.monotonic()
    while not listener.seen:
        time.sleep(0.01)
    first, first_cpu, before = time.monotonic(), sum(process.cpu_times()[:2]), len(listener.seen)
    while len(listener.seen) - before < drained and time.monotonic() < first + 600:
        largest = max(largest, process.memory_info().rss)
        time.sleep(0.05)
    seconds = time.monotonic() - first
    count = len(listener.seen) - before
    return {
        "from start to first report, s": round(first - began, 1),
        "drained over mutual TLS, reports/s": round(count / seconds),
        "drained, reports per CPU second of the uplink": round(count / (sum(process.cpu_times()[:2]) - first_cpu)),
        "largest resident memory, MB": round(largest / 1e6, 1),
    }


def _wear(folder: Path, commits: int) -> dict[str, Any]:
    """One report a commit, the one before taken by the broker: what 1 report/s costs with a broker at hand."""
    spool = Spool(folder / "wear.sqlite", 1 << 30)
    for number in range(1, 1001):
        _commit(spool, number)
    before = psutil.Process().io_counters().write_bytes
    for number in range(1001, 1001 + commits):
        _commit(spool, number)
    written = (psutil.Process().io_counters().write_bytes - before) / commits
    spool.close()
    return {
        "written to the medium, bytes a report (one a commit)": round(written),
        "in a year at 1 report/s, GB": round(written * _YEAR / 1e9),
    }


def _commit(spool: Spool, number: int) -> None:
    spool.add([_item(number)])
    spool.remove([Key(1, number)])


def _outage() -> dict[str, Any]:
    default = next(
        field.default for field in msgspec.structs.fields(config.Uplink) if field.name == "spool_bytes"
    )
    return {
        "hours of outage that the default spool holds at 1 report/s": {
            "plate, one recipient": round(default / cost(_SIZE) / 3600),
            "the largest report": round(default / cost(LARGEST) / 3600),
        }
    }


if __name__ == "__main__":
    app()
