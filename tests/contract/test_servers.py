"""RabbitMQ and NATS as the cameras' broker: what Vidik needs of them beyond access. Run by ``make test-brokers``."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from edge.listen.opener import Opened
from edge.mqtt import Message
from provisioning.broker import Broker
from tests.brokers import SERVERS, running
from tests.client import Client
from tests.rig import CAMERA, Rig, wait_for
from tests.unit.test_listen import status

pytestmark = [
    pytest.mark.skipif(not os.environ.get("VIDIK_TEST_BROKERS"), reason="minutes: make test-brokers"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module", params=sorted(SERVERS))
def broker(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Broker]:
    with running(request.param, rig.broker_settings) as made:
        yield made


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("servers"))


def published(client: Client, topic: str, payload: bytes, retain: bool = False) -> None:
    number = client.link.publish(Message(topic, payload, retain))
    wait_for(lambda: number in client.answers, 60)


def test_the_uplink_falls_back_to_mqtt_3_1_1(rig: Rig, broker: Broker) -> None:
    with Client(rig, broker.port, CAMERA, longest_pause=0.5) as client:
        wait_for(lambda: client.versions, 120)
        assert client.versions == [4]


def test_a_named_subscriber_misses_nothing_while_it_is_away(rig: Rig, broker: Broker) -> None:
    options = {"name": "archive", "resume": True, "longest_pause": 0.5, "session_seconds": 3600}
    with Client(rig, broker.port, CAMERA, longest_pause=0.5) as camera:
        wait_for(lambda: camera.versions, 120)
        with Client(rig, broker.port, "subscriber", "vidik/v1/+/plate", **options) as first:
            wait_for(lambda: first.versions, 120)

            def heard() -> bool:
                published(camera, "vidik/v1/cam-1/plate", b"are you there?")
                return first.has("vidik/v1/cam-1/plate", b"are you there?")

            wait_for(heard, 60)
        for i in range(50):
            published(camera, "vidik/v1/cam-1/plate", f"meanwhile {i}".encode())
        with Client(rig, broker.port, "subscriber", "vidik/v1/+/plate", **options) as second:
            wait_for(lambda: all(second.has("vidik/v1/cam-1/plate", f"meanwhile {i}".encode()) for i in range(50)), 120)


def test_the_status_is_retained_and_the_will_replaces_it(rig: Rig, broker: Broker) -> None:
    will = Message("vidik/v1/cam-2/status", b"gone", retain=True)
    with Client(rig, broker.port, "cam-2", will=will, longest_pause=0.5) as camera:
        wait_for(lambda: camera.versions, 120)
        published(camera, "vidik/v1/cam-2/status", b"here", retain=True)

        def late(payload: bytes) -> bool:
            with Client(rig, broker.port, "subscriber", "vidik/v1/cam-2/status", name="late") as client:
                wait_for(lambda: client.messages, 60)
                return client.has("vidik/v1/cam-2/status", payload)

        wait_for(lambda: late(b"here"), 120)
        with Client(rig, broker.port, "subscriber", "vidik/v1/cam-2/status", name="watching") as watching:
            wait_for(lambda: watching.has("vidik/v1/cam-2/status", b"here"), 60)
            assert camera.link._open is not None
            camera.link._open.client.socket().close()  # type: ignore[union-attr]
            wait_for(lambda: watching.has("vidik/v1/cam-2/status", b"gone"), 60)


def test_the_kit_learns_who_signs_although_it_came_late(rig: Rig, broker: Broker) -> None:
    """RabbitMQ keeps what is retained from those who subscribe with a wildcard."""
    with Client(rig, broker.port, CAMERA, longest_pause=0.5) as camera:
        wait_for(lambda: camera.versions, 120)
        published(camera, "vidik/v1/cam-1/status", status(rig), retain=True)
        with rig.listening(broker.port) as collector:

            def opened() -> bool:
                published(camera, "vidik/v1/cam-1/plate", rig.sealed(1))
                return bool(collector.of(Opened))

            wait_for(opened, 120)
            assert collector.numbers == [1]
