"""Nodes of a NATS cluster die while cameras publish: what was acknowledged arrives. Run by ``make test-brokers``."""

from __future__ import annotations

import os
import random
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from edge.mqtt import Handler, Link, Message
from provisioning.nats import NatsCluster, nats_server
from tests.rig import Rig, wait_for

pytestmark = [
    pytest.mark.skipif(not os.environ.get("VIDIK_TEST_BROKERS"), reason="minutes: make test-brokers"),
    pytest.mark.timeout(900),
]
CAMERAS = ("cam-1", "cam-2")
KILLS = 6


class Camera(Handler):
    """Publishes numbers one after the other, each until it is acknowledged, at whichever node answers."""

    def __init__(self, rig: Rig, name: str, ports: list[int]) -> None:
        addresses = [rig.address(name, port) for port in ports]
        self.link = Link(addresses, name, self, longest_pause=1.0)
        self.name, self.acknowledged_numbers, self.ending = name, [], False  # type: ignore[var-annotated]
        self.answered: set[int] = set()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def acknowledged(self, number: int, code: int) -> None:
        self.answered.add(number)

    def run(self) -> None:
        self.link.start()
        count = 0
        while not self.ending:
            number = self.link.publish(Message(f"vidik/v1/{self.name}/plate", f"{self.name}/{count}".encode()))
            until = time.monotonic() + 5
            while number is not None and number not in self.answered and time.monotonic() < until:
                time.sleep(0.001)
            if number in self.answered:
                self.acknowledged_numbers.append(count)
                count += 1
            elif number is None:
                time.sleep(0.05)
        self.link.close(2)


class Subscriber(Handler):
    """A named subscriber, whose session the cluster keeps."""

    def __init__(self, rig: Rig, ports: list[int]) -> None:
        addresses = [rig.address("subscriber", port) for port in ports]
        self.link = Link(addresses, "archive", self, longest_pause=1.0, resume=True, session_seconds=3600)
        self.heard: set[bytes] = set()
        self.times_opened = 0

    def opened(self, version: int, window: int) -> None:
        self.link.subscribe("vidik/v1/+/plate")
        self.times_opened += 1

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        self.heard.add(payload)
        self.link.acknowledge(number)


def test_what_was_acknowledged_survives_the_death_of_nodes(tmp_path: Path) -> None:
    if nats_server() is None:
        warnings.warn("NATS is not installed: its cluster was not tested", stacklevel=1)
        pytest.skip("needs nats-server")
    rig = Rig(tmp_path)
    cluster = NatsCluster(replace(rig.broker_settings, cameras=CAMERAS))
    try:
        cluster.start()
        ports = [node.port for node in cluster.nodes]
        subscriber = Subscriber(rig, ports)
        subscriber.link.start()
        cameras = [Camera(rig, name, ports[i:] + ports[:i]) for i, name in enumerate(CAMERAS)]
        for camera in cameras:
            camera.thread.start()
        # only what somebody subscribes to is kept: the session must stand before anything counts
        wait_for(lambda: all(any(name.encode() in said for said in subscriber.heard) for name in CAMERAS), 120)
        first = [len(camera.acknowledged_numbers) for camera in cameras]
        chance = random.Random(11)
        for _ in range(KILLS):
            node = cluster.nodes[chance.randrange(3)]
            node.kill()
            time.sleep(chance.uniform(1, 4))
            before = [len(camera.acknowledged_numbers) for camera in cameras]
            wait_for(lambda before=before: all(  # two nodes go on without the third
                len(camera.acknowledged_numbers) > old + 20 for camera, old in zip(cameras, before, strict=True)
            ), 120)  # fmt: skip
            node.restart()
            time.sleep(chance.uniform(3, 6))
        for camera in cameras:
            camera.ending = True
            camera.thread.join(30)
        acknowledged = {
            f"{camera.name}/{number}".encode()
            for camera, begin in zip(cameras, first, strict=True)
            for number in camera.acknowledged_numbers[begin:]
        }
        assert len(acknowledged) > 40 * KILLS
        wait_for(lambda: acknowledged <= subscriber.heard, 180)
        assert subscriber.times_opened > 1
        subscriber.link.close(2)
    finally:
        cluster.kill()
