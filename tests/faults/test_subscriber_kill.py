"""A subscriber that dies between receipt and checkpoint: never a loss, and nothing twice where the sink can tell."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.mqtt import Handler, Link, Message
from edge.uplink.publisher import CONTENT_TYPE
from provisioning.broker import Mosquitto, mosquitto
from tests import postgres
from tests.rig import CAMERA, ROOT, Rig, environment, wait_for
from tests.unit.test_listen import status

REPORTS = 300


class Camera(Handler):
    """Publishes reports one by one until each is acknowledged, as the uplink does."""

    def __init__(self, rig: Rig, port: int) -> None:
        self.link = Link(rig.address(CAMERA, port), CAMERA, self, longest_pause=0.5)
        self.answered: dict[int, int] = {}
        self.sealed = [rig.sealed(seq) for seq in range(1, REPORTS + 1)]
        self.certificate = status(rig)

    def acknowledged(self, number: int, code: int) -> None:
        self.answered[number] = code

    def run(self, pause: float) -> None:
        self.link.start()
        self._deliver(Message(f"vidik/v1/{CAMERA}/status", self.certificate, retain=True))
        for sealed in self.sealed:
            self._deliver(Message(f"vidik/v1/{CAMERA}/plate", sealed, expires=3600, content_type=CONTENT_TYPE))
            time.sleep(pause)
        self.link.close(2)

    def _deliver(self, message: Message) -> None:
        def taken() -> bool:
            number = self.link.publish(message)
            until = time.monotonic() + 1
            while number is not None and number not in self.answered and time.monotonic() < until:
                time.sleep(0.002)
            return number is not None and self.answered.get(number, 0x80) in (0, 0x10) and (
                message.retain or self.answered[number] == 0
            )

        wait_for(taken, 120)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: a subscriber's crash was not tested", stacklevel=1)
        pytest.skip("needs Mosquitto, since the embedded broker keeps no sessions")
    made = Rig(tmp_path)
    pem = made.recipient.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "recipient.key").write_bytes(pem)
    return made


@pytest.fixture
def port(rig: Rig) -> Iterator[int]:
    broker = Mosquitto(rig.broker_settings)
    broker.start()
    yield broker.port
    broker.stop()


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as address:
        yield address


def subscriber(rig: Rig, port: int, sink: str, crash_after: int) -> subprocess.Popen[bytes]:
    with (rig.folder / "subscriber.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.crashing_subscriber", rig.folder, str(port), sink, str(crash_after)],
            stderr=log, env=environment(), cwd=ROOT,
        )  # fmt: skip




def places(request: pytest.FixtureRequest, rig: Rig, kind: str) -> tuple[str, Callable[[], list[int]]]:
    """The sink's name, and how to find out which numbers are in it."""
    if kind == "postgresql":
        address = request.getfixturevalue("database")
        with psycopg.connect(address) as connection:
            connection.execute("DROP TABLE IF EXISTS vidik_report")

        def query() -> list[int]:
            with psycopg.connect(address) as connection:
                known = connection.execute("SELECT to_regclass('vidik_report')").fetchone()
                if known is None or known[0] is None:
                    return []
                return [number for (number,) in connection.execute("SELECT seq FROM vidik_report").fetchall()]

        return address, query
    if kind == "parquet":
        folder = rig.folder / "lake"
        return f"parquet:{folder}", lambda: [
            number
            for file in folder.glob("reports/*/*.parquet")
            for number in pq.read_table(file, columns=["seq"], partitioning=None)["seq"].to_pylist()
        ]
    path = rig.folder / "out.jsonl"

    def lines() -> list[int]:
        said = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line)["seq"] for line in said if line.endswith("}")]

    return f"jsonl:{path}", lines


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "postgresql"])
def test_a_crash_between_sink_and_checkpoint(request: pytest.FixtureRequest, rig: Rig, port: int, kind: str) -> None:
    sink, numbers = places(request, rig, kind)
    camera = Camera(rig, port)
    thread = threading.Thread(target=camera.run, args=(0.001,), daemon=True)
    process = subscriber(rig, port, sink, crash_after=3)
    thread.start()
    assert process.wait(120) == -9
    written = len(numbers())
    assert written > 0
    assert subscriber(rig, port, sink, crash_after=1).wait(120) == -9  # once more, on what comes again
    process = subscriber(rig, port, sink, crash_after=0)
    wait_for(lambda: set(numbers()) == set(range(1, REPORTS + 1)), 120)
    thread.join(60)
    process.terminate()
    process.wait(30)
    assert sorted(numbers()) == list(range(1, REPORTS + 1))


def test_kills_at_any_moment(request: pytest.FixtureRequest, rig: Rig, port: int) -> None:
    """The command itself, which prints to a file as it receives: a sink that cannot tell what it has already.

    What was printed and not yet in the checkpoint is printed again by the next run: once for a crash.
    """
    chance = random.Random(4)
    camera = Camera(rig, port)
    thread = threading.Thread(target=camera.run, args=(0.01,), daemon=True)
    out = rig.folder / "printed"
    arguments = ["--ca", "ca.pem", "--certificate", "subscriber.pem", "--key", "subscriber.key", "--recipient-key",
                 "recipient.key", "--port", str(port), "--jsonl", "--name", "archive", "--state", "state"]  # fmt: skip

    def printed() -> list[int]:
        said = []
        for line in out.read_text().splitlines() if out.exists() else ():
            try:
                said.append(int(json.loads(line)["seq"]))
            except ValueError:
                continue  # cut short by the kill
        return said

    def start() -> subprocess.Popen[bytes]:
        with out.open("ab") as output, (rig.folder / "subscriber.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "edge.listen.cli", *arguments],
                stdout=output, stderr=log, env=environment(), cwd=rig.folder,
            )  # fmt: skip

    process = start()
    thread.start()
    kills = 0
    while kills < 4:
        before = len(printed())
        wait_for(lambda before=before: len(printed()) > before + 5, 120)  # type: ignore[misc]
        time.sleep(chance.uniform(0, 0.1))
        process.kill()
        process.wait()
        with out.open("ab") as output:
            output.write(b"\n")
        kills += 1
        process = start()
    wait_for(lambda: set(printed()) == set(range(1, REPORTS + 1)), 120)
    thread.join(60)
    process.terminate()
    process.wait(30)
    counts = Counter(printed())
    assert set(counts) == set(range(1, REPORTS + 1))
    assert sum(counts.values()) - REPORTS <= kills  # the iterator checkpoints each before it gives out the next
