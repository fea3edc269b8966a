"""The default clip, rendered once for all tests that play it, and a run of the whole product over it."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from rich.console import Console

from edge.address import Address
from edge.listen.client import Listener, read_ca, read_keys
from edge.listen.opener import Opened
from edge.mqtt import Link
from edge.records import FaceReport, PlateReport
from provisioning import deployment
from provisioning.demo.cli import clip_people, default_clip
from provisioning.demo.stage import Stage
from tests.brokers import EVERYTHING


@pytest.fixture(scope="session")
def clip():
    return default_clip(Console(stderr=True))


@pytest.fixture(scope="session")
def truth(clip):
    return json.loads(clip.with_suffix(".json").read_text())


@pytest.fixture(scope="session")
def sought():
    return clip_people()


@dataclass
class Played:
    """What a run left: reports as opened, raw payloads as the broker saw them, every byte on the wire."""

    reports: list = field(default_factory=list)
    payloads: list = field(default_factory=list)
    wire: bytes = b""
    counted: dict = field(default_factory=dict)
    log: str = ""

    @property
    def texts(self):
        return [r.text for r in self.reports if isinstance(r, PlateReport)]

    @property
    def entries(self):
        return [r.entry for r in self.reports if isinstance(r, FaceReport)]


class Tap:
    """A man in the middle of the uplink's connection who writes down every byte of both directions."""

    def __init__(self, target):
        self.target = target
        self.bytes = bytearray()
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with suppress(OSError):
            while True:
                near, _ = self.server.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        with suppress(OSError):
            while data := one.recv(65536):
                self.bytes += data
                other.sendall(data)
        other.close()


class Payloads:
    """A broker administrator: sees every message, holds no key."""

    def __init__(self, seen):
        self.seen = seen

    def opened(self, version, window):
        for pattern in EVERYTHING:
            self.link.subscribe(pattern)

    def closed(self, reason): ...

    def acknowledged(self, number, code): ...

    def received(self, topic, payload, number, retained):
        self.seen.append((topic, payload))
        self.link.acknowledge(number)


def play(folder, footage, prepare, during=lambda stage, played: None, await_more=30.0, amend=lambda made: None):
    """Runs broker, uplink and vision over ``footage``; ``prepare(made)`` hands out grants beforehand, ``amend(made)``
    may change the configuration that the processes get."""
    made = deployment.create(folder)
    prepare(made)
    played = Played()
    with Stage(made, str(footage)) as stage:
        tap = Tap(stage.broker.port)
        deployment.configure(made, str(footage), tap.port)
        amend(made)
        stage.kill_uplink()  # comes back through the tap
        home = made.subscriber
        files = (home / "ca.pem", home / "subscriber.pem", home / "subscriber.key")
        address = Address("localhost", stage.broker.port, *files)
        spy = Payloads(played.payloads)
        spy.link = Link(address, "spy", spy)
        listener = Listener(address, read_ca(home / "ca.pem"), read_keys([home / "recipient.key"]))

        def receive():
            played.reports += (f.report for f in listener if isinstance(f, Opened))

        spy.link.start()
        with listener:
            reader = threading.Thread(target=receive, daemon=True)
            reader.start()
            stage.start_vision()
            during(stage, played)
            played.counted = stage.summary()
            wait(lambda: len(played.reports) >= sum(played.counted["reported"].values()), await_more)
            listener.stop()
            reader.join()
        spy.link.close(timeout=1.0)
        played.wire = bytes(tap.bytes)
        played.log = stage.log("edge.vision").read_text() + stage.log("edge.uplink").read_text()
    return played


def wait(condition, seconds):
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return True
        pause.wait(0.05)
    return False
