"""A camera's certificate opens its own subtree and nothing else, on every broker that claims to see to it.

RabbitMQ and NATS take minutes, so they are tested by ``make test-brokers`` only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from edge.mqtt import Message
from provisioning import pki
from provisioning.access import CAMERA as CAMERA_ROLE
from provisioning.broker import Broker
from tests.brokers import ALL, EVERYTHING, running
from tests.client import Client
from tests.rig import CAMERA, Rig, wait_for

pytestmark = pytest.mark.timeout(900)  # RabbitMQ hangs up on everything forbidden, and takes its time to start
FOREIGN_TOPICS = [
    "vidik/v1/cam-2/plate", "vidik/v1/cam-2/status", "vidik/v1/cam-2/grant", "vidik/v1/cam-1/grant",
    "vidik/v1/cam-1/config", "vidik/v1/cam-1/x", "vidik/v1/cam-1", "vidik/v1/cam-1/plate/x", "vidik/v1/cam-10/plate",
    "vidik/v1/subscriber/plate", "vidik/v1/+", "vidik/v2/cam-1/plate", "vidik/v1/cam-1x/plate", "other",
]  # fmt: skip
FOREIGN_PATTERNS = [
    "#", "+/#", "vidik/#", "vidik/v1/#", "vidik/v1/+/#", "vidik/v1/+/plate", "vidik/v1/cam-1/plate", "vidik/v1/cam-1/#",
    "vidik/v1/cam-1/status", "vidik/v1/cam-1/grant", "vidik/+/cam-1/plate", "$share/g/vidik/v1/+/plate",
    "$share/g/vidik/v1/cam-1/plate", "vidik/v1/cam-2/plate", "vidik/v1/cam-2/#", "vidik/v1/+/grant",
]  # fmt: skip
SECRETS = {channel: f"secret {channel}".encode() for channel in CAMERA_ROLE.writes}


@pytest.fixture(scope="module", params=sorted(ALL))
def broker(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Broker]:
    with running(request.param, rig.broker_settings) as made:
        yield made


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("access"))


@pytest.fixture
def subscriber(rig: Rig, broker: Broker) -> Iterator[Client]:
    with Client(rig, broker.port, "subscriber", *EVERYTHING, longest_pause=0.5) as client:
        client.connected()
        with camera(rig, broker, CAMERA) as speaker:
            for channel in CAMERA_ROLE.writes:
                for _ in range(60):  # until the subscription stands, which takes NATS a while
                    published(speaker, f"vidik/v1/cam-1/{channel}", b"hello")
                    with suppress(AssertionError):
                        wait_for(lambda channel=channel: client.has(f"vidik/v1/cam-1/{channel}", b"hello"), 1)  # type: ignore[misc]
                        break
        yield client


@contextmanager
def camera(rig: Rig, broker: Broker, name: str, *patterns: str) -> Iterator[Client]:
    with Client(rig, broker.port, name, *patterns, longest_pause=0.5) as client:
        yield client.connected()


def published(client: Client, topic: str, payload: bytes, retain: bool = False) -> None:
    """Publishes until it is acknowledged, whatever the broker does to the connection meanwhile."""

    def taken() -> bool:
        number = client.link.publish(Message(topic, payload, retain))
        until = time.monotonic() + 2
        while number is not None and time.monotonic() < until:
            if number in client.answers:
                return True
            time.sleep(0.01)
        return False

    wait_for(taken, 60)


def heard_out(client: Client, topic: str = "vidik/v1/cam-2/gap") -> None:
    """Until the broker has dealt with all that ``client`` has asked for: RabbitMQ hangs up on what is forbidden."""
    closes = len(client.closes)
    number = client.link.publish(Message(topic, b"heard out"))
    wait_for(lambda: number is None or number in client.answers or len(client.closes) > closes, 60)


def test_a_camera_publishes_in_its_own_subtree_only(rig: Rig, broker: Broker, subscriber: Client) -> None:
    for topic in FOREIGN_TOPICS:
        with camera(rig, broker, CAMERA) as client:
            if "+" not in topic:
                client.link.publish(Message(topic, b"forbidden"))
                client.link.publish(Message(topic, b"forbidden", retain=True))
            published(client, "vidik/v1/cam-1/gap", topic.encode())
    for channel, secret in SECRETS.items():
        with camera(rig, broker, CAMERA) as client:
            published(client, f"vidik/v1/cam-1/{channel}", secret)
    wait_for(lambda: all(subscriber.has(f"vidik/v1/cam-1/{channel}", secret) for channel, secret in SECRETS.items()))
    wait_for(lambda: all(subscriber.has("vidik/v1/cam-1/gap", topic.encode()) for topic in FOREIGN_TOPICS))
    assert b"forbidden" not in {payload for _, payload in subscriber.messages}
    with Client(rig, broker.port, "subscriber", *EVERYTHING, name="late") as late:  # nor was any of it retained
        late.connected()
        with camera(rig, broker, CAMERA) as client:
            for _ in range(30):  # until the subscription stands
                published(client, "vidik/v1/cam-1/gap", b"the end")
                with suppress(AssertionError):
                    wait_for(lambda: late.has("vidik/v1/cam-1/gap", b"the end"), 1)
                    break
        assert late.has("vidik/v1/cam-1/gap", b"the end")
        assert b"forbidden" not in {payload for _, payload in late.messages}


def test_a_will_does_not_reach_further_than_its_camera(rig: Rig, broker: Broker, subscriber: Client) -> None:
    intruder = Client(rig, broker.port, CAMERA, will=Message("vidik/v1/cam-2/status", b"forbidden"), longest_pause=0.5)
    with intruder:
        wait_for(lambda: intruder.versions or len(intruder.closes) > 4)
        if (link := intruder.link._open) is not None:
            link.client.socket().close()  # type: ignore[union-attr]
        with camera(rig, broker, "cam-2") as client:
            published(client, "vidik/v1/cam-2/gap", b"after the will")
    wait_for(lambda: subscriber.has("vidik/v1/cam-2/gap", b"after the will"))
    time.sleep(1)
    assert b"forbidden" not in {payload for _, payload in subscriber.messages}


def test_a_camera_hears_nothing_from_outside_its_subtree(rig: Rig, broker: Broker, subscriber: Client) -> None:
    with camera(rig, broker, CAMERA) as speaker:
        published(speaker, "vidik/v1/cam-1/status", b"retained", retain=True)
        for i, pattern in enumerate(FOREIGN_PATTERNS):
            with camera(rig, broker, "cam-2", pattern) as curious:
                heard_out(curious)
                mark = str(i).encode()
                for channel, secret in SECRETS.items():
                    published(speaker, f"vidik/v1/cam-1/{channel}", secret + mark)
                wait_for(lambda mark=mark: subscriber.has("vidik/v1/cam-1/gap", SECRETS["gap"] + mark))  # type: ignore[misc]
                heard_out(curious)
                assert [topic for topic, _ in curious.messages if "cam-2" not in topic] == [], pattern


def test_a_camera_reads_no_reports_at_all(rig: Rig, broker: Broker, subscriber: Client) -> None:
    with camera(rig, broker, CAMERA, "vidik/v1/cam-1/plate") as curious:
        for channel in ("plate", "face", "plate"):
            heard_out(curious, f"vidik/v1/cam-1/{channel}")
        assert curious.messages == []


def test_a_camera_cannot_take_over_a_subscriber_s_session(
    rig: Rig, broker: Broker, request: pytest.FixtureRequest
) -> None:
    """The name of a session is no secret: what waits in it is for the subscriber's certificate alone."""
    if request.node.callspec.params["broker"] == "embedded":
        pytest.skip("this broker keeps no sessions")
    session = {"name": "archive", "resume": True, "session_seconds": 3600, "longest_pause": 0.5}
    with Client(rig, broker.port, "subscriber", "vidik/v1/+/plate", **session) as subscriber:
        subscriber.connected()
        with camera(rig, broker, CAMERA) as speaker:
            for _ in range(30):  # until the subscription stands
                published(speaker, "vidik/v1/cam-1/plate", b"hello")
                with suppress(AssertionError):
                    wait_for(lambda: subscriber.messages, 1)
                    break
    with camera(rig, broker, CAMERA) as speaker:
        published(speaker, "vidik/v1/cam-1/plate", b"secret")
        with Client(rig, broker.port, "cam-2", **session) as intruder:
            wait_for(lambda: intruder.versions or len(intruder.closes) > 4, 60)
            published(speaker, "vidik/v1/cam-1/plate", b"another secret")
            heard_out(intruder)
            time.sleep(1)
            assert intruder.messages == []


def test_an_office_hands_documents_down_and_hears_no_reports(rig: Rig, broker: Broker, subscriber: Client) -> None:
    with camera(rig, broker, CAMERA, "vidik/v1/cam-1/grant", "vidik/v1/cam-1/signal/+") as receiver:
        heard_out(receiver)
        for topic in ("vidik/v1/cam-1/plate", "vidik/v1/cam-1/status", "vidik/v1/cam-1/confirm", "vidik/v1/x/y/z"):
            with Client(rig, broker.port, "office", longest_pause=0.5) as office:
                office.connected().link.publish(Message(topic, b"forbidden"))
                published(office, "vidik/v1/cam-1/grant", b"a document", retain=True)
                published(office, "vidik/v1/cam-1/signal/main", b"open 1")
        wait_for(lambda: receiver.has("vidik/v1/cam-1/grant", b"a document"))
        wait_for(lambda: receiver.has("vidik/v1/cam-1/signal/main", b"open 1"))
        for pattern in ("vidik/v1/#", "vidik/v1/+/plate", "vidik/v1/+/face", "vidik/v1/+/trial", "vidik/v1/+/grant"):
            with Client(rig, broker.port, "office", pattern, longest_pause=0.5) as curious:
                curious.connected()
                published(receiver, "vidik/v1/cam-1/plate", pattern.encode())
                wait_for(lambda pattern=pattern: subscriber.has("vidik/v1/cam-1/plate", pattern.encode()))  # type: ignore[misc]
                heard_out(curious, "vidik/v1/cam-2/grant")
                secret = ("plate", "face", "trial", "grant")
                assert not [topic for topic, _ in curious.messages if topic.endswith(secret)]
    assert b"forbidden" not in {payload for _, payload in [*subscriber.messages, *receiver.messages]}


def test_an_office_sees_how_cameras_are(rig: Rig, broker: Broker) -> None:
    with camera(rig, broker, CAMERA) as speaker:
        published(speaker, "vidik/v1/cam-1/health", b"well", retain=True)
        with Client(rig, broker.port, "office", "vidik/v1/+/health", name="watching", longest_pause=0.5) as office:
            office.connected()
            for _ in range(30):  # until the subscription stands
                published(speaker, "vidik/v1/cam-1/health", b"still well", retain=True)
                with suppress(AssertionError):
                    wait_for(lambda: office.has("vidik/v1/cam-1/health", b"still well"), 1)
                    break
            assert office.has("vidik/v1/cam-1/health", b"still well")


def test_a_subscriber_confirms_and_writes_nothing_else(rig: Rig, broker: Broker, subscriber: Client) -> None:
    with camera(rig, broker, CAMERA, "vidik/v1/cam-1/confirm", "vidik/v1/cam-1/grant") as receiver:
        heard_out(receiver, "vidik/v1/cam-1/gap")
        for topic in ("vidik/v1/cam-1/grant", "vidik/v1/cam-1/plate", "vidik/v1/cam-1/status", "vidik/v1/cam-1/config"):
            with Client(rig, broker.port, "subscriber", name="writer", longest_pause=0.5) as writer:
                writer.connected().link.publish(Message(topic, b"forbidden", retain=True))
                published(writer, "vidik/v1/cam-1/confirm", topic.encode())
                wait_for(lambda topic=topic: receiver.has("vidik/v1/cam-1/confirm", topic.encode()))  # type: ignore[misc]
        published(receiver, "vidik/v1/cam-1/gap", b"the end")
        wait_for(lambda: subscriber.has("vidik/v1/cam-1/gap", b"the end"))
        assert b"forbidden" not in {payload for _, payload in [*subscriber.messages, *receiver.messages]}


@pytest.mark.parametrize("pattern", ["vidik/v1/+/grant", "vidik/v1/cam-1/grant", "vidik/v1/#", "vidik/v1/+/confirm"])
def test_a_subscriber_reads_no_grants(rig: Rig, broker: Broker, subscriber: Client, pattern: str) -> None:
    """A grant holds the list of the sought and the key of its templates: it is for the camera alone."""
    with Client(rig, broker.port, "office", longest_pause=0.5) as office:
        published(office.connected(), "vidik/v1/cam-1/grant", b"a list", retain=True)
        with (
            Client(rig, broker.port, "subscriber", pattern, name="curious", longest_pause=0.5) as curious,
            camera(rig, broker, CAMERA) as speaker,
        ):
            curious.connected()
            published(office, "vidik/v1/cam-1/grant", b"a list", retain=True)
            published(speaker, "vidik/v1/cam-1/gap", pattern.encode())
            wait_for(lambda: subscriber.has("vidik/v1/cam-1/gap", pattern.encode()))
            heard_out(curious, "vidik/v1/cam-2/confirm")
            assert not [topic for topic, _ in curious.messages if topic.endswith(("grant", "confirm"))]


@pytest.mark.parametrize("certificate", ["stranger", f"{CAMERA}-signing"])
def test_certificates_of_another_ca_or_purpose_do_not_get_in(rig: Rig, broker: Broker, certificate: str) -> None:
    pki.issue_connection(pki.make_ca("Other"), CAMERA).save(rig.folder, "stranger")
    with Client(rig, broker.port, certificate, name=CAMERA, longest_pause=0.2) as client:
        wait_for(lambda: len(client.closes) > 3, 60)
        assert client.versions == []


def test_a_camera_cannot_push_another_one_out(rig: Rig, broker: Broker, request: pytest.FixtureRequest) -> None:
    kind = request.node.callspec.params["broker"]
    if kind != "embedded":
        pytest.skip("this broker does not claim it: a client id is free to choose there, see docs/brokers.md")
    with camera(rig, broker, "cam-2") as client:
        with Client(rig, broker.port, CAMERA, name="cam-2", longest_pause=0.2) as intruder:
            wait_for(lambda: len(intruder.closes) > 3)
            assert intruder.versions == []
        assert len(client.versions) == 1


