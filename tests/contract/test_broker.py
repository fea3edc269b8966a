"""What Vidik needs of a broker, asked of each broker it can start."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from edge.handover import Key, Kind
from edge.listen.opener import Opened, Status
from edge.mqtt import Message
from edge.uplink.publisher import Event, Publisher, Refused, Taken
from edge.uplink.publisher import Opened as Connected
from edge.uplink.spool import Stored
from provisioning import pki
from provisioning.broker import Broker, BrokerError, Embedded, Mosquitto, choose
from tests.brokers import EVERYTHING, SMALL, running
from tests.client import Client
from tests.rig import CAMERA, Rig, wait_for


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("broker"))


@pytest.fixture(scope="module", params=sorted(SMALL))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def broker(kind: str, rig: Rig) -> Iterator[Broker]:
    with running(kind, rig.broker_settings) as made:
        yield made


@pytest.fixture
def clients(rig: Rig, broker: Broker) -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def subscriber(rig: Rig, broker: Broker, clients: ExitStack) -> Client:
    client = Client(rig, broker.port, "subscriber", *EVERYTHING)
    return clients.enter_context(client).connected()


def test_it_speaks_the_version_it_says(subscriber: Client, broker: Broker) -> None:
    assert subscriber.versions == [5 if broker.mqtt5 else 4]


def test_a_subscriber_may_not_write(rig: Rig, broker: Broker, subscriber: Client, clients: ExitStack) -> None:
    subscriber.publish("vidik/v1/cam-1/plate", b"forged")
    camera = clients.enter_context(Client(rig, broker.port, CAMERA)).connected()
    camera.publish("vidik/v1/cam-1/plate", b"genuine")
    wait_for(lambda: subscriber.has("vidik/v1/cam-1/plate", b"genuine"))
    assert not subscriber.has("vidik/v1/cam-1/plate", b"forged")


@pytest.mark.parametrize("certificate", ["stranger", f"{CAMERA}-signing"])
def test_certificates_of_another_ca_or_purpose_do_not_get_in(rig: Rig, broker: Broker, certificate: str) -> None:
    pki.issue_connection(pki.make_ca("Other"), CAMERA).save(rig.folder, "stranger")
    client = Client(rig, broker.port, certificate)
    with client:
        wait_for(lambda: client.closes)
        assert client.versions == []


def test_the_status_is_there_for_late_subscribers_and_the_will_replaces_it(
    rig: Rig, broker: Broker, subscriber: Client, clients: ExitStack
) -> None:
    will = Message("vidik/v1/cam-2/status", b"gone", retain=True)
    camera = Client(rig, broker.port, "cam-2", will=will)
    clients.enter_context(camera).connected()
    camera.publish("vidik/v1/cam-2/status", b"here", retain=True)
    wait_for(lambda: subscriber.has("vidik/v1/cam-2/status", b"here"))
    late = clients.enter_context(Client(rig, broker.port, "subscriber", "vidik/v1/+/status", name="late"))
    wait_for(lambda: late.has("vidik/v1/cam-2/status", b"here"))
    assert "vidik/v1/cam-2/status" in late.retained
    assert camera.link._open is not None
    camera.link._open.client.socket().close()  # type: ignore[union-attr]
    wait_for(lambda: subscriber.has("vidik/v1/cam-2/status", b"gone"))


def events(publisher: Publisher, count: int) -> list[Event]:
    found: list[Event] = []
    wait_for(lambda: found.extend(publisher.events()) or len(found) >= count)
    return found


def test_the_publisher_delivers_and_hears_of_it(rig: Rig, broker: Broker) -> None:
    certificate = pki.load(rig.folder, f"{CAMERA}-signing").certificate.public_bytes(pki.serialization.Encoding.DER)
    publisher = Publisher(CAMERA, "1", rig.address(CAMERA, broker.port), certificate, changed=lambda: None)
    with rig.listening(broker.port) as collector:
        wait_for(lambda: collector.findings)
        publisher.start()
        *_, connected = events(publisher, 1 if broker.mqtt5 else 2)
        assert isinstance(connected, Connected)
        assert connected.version == (5 if broker.mqtt5 else 4)
        publisher.announce({"spool": 0})
        wait_for(lambda: Status in map(type, collector.findings))
        for seq in range(20):
            publisher.publish(Stored(Kind.PLATE, Key(1, seq), 2e9, rig.sealed(seq)), now=1.9e9)
        assert events(publisher, 20) == [Taken(Key(1, seq)) for seq in range(20)]
        wait_for(lambda: len(collector.of(Opened)) == 20)
        assert collector.numbers == list(range(20))
        publisher.close(2)


def test_a_report_for_nobody_is_not_taken(rig: Rig, broker: Broker) -> None:
    publisher = Publisher("cam-2", "1", rig.address("cam-2", broker.port), b"", changed=lambda: None)
    publisher.start()
    events(publisher, 1 if broker.mqtt5 else 2)
    publisher.publish(Stored(Kind.PLATE, Key(1, 1), 2e9, b"sealed"), now=1.9e9)
    if broker.mqtt5:
        assert events(publisher, 1) == [Refused(Key(1, 1), 0x10)]
    else:  # held back until somebody subscribes
        late = Client(rig, broker.port, "subscriber", "vidik/v1/+/plate", name="late")
        assert publisher.events() == []
        with late:
            assert events(publisher, 1) == [Taken(Key(1, 1))]
            wait_for(lambda: late.has("vidik/v1/cam-2/plate", b"sealed"))
    publisher.close(2)


def test_it_comes_back_on_the_same_port_after_stop_and_kill(kind: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    broker: Broker = SMALL[kind][0](rig.broker_settings)
    broker.start()
    port = broker.port
    with Client(rig, port, CAMERA) as client:
        for count, end in enumerate((broker.stop, broker.kill), start=1):
            wait_for(lambda count=count: len(client.versions) == count)  # type: ignore[misc]
            end()
            broker.restart()
        assert broker.port == port
        wait_for(lambda: len(client.versions) == 3)
    broker.stop()
    broker.stop()  # a second time does nothing


def test_a_broker_that_cannot_start_says_where_to_look(kind: str, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    (tmp_path / "broker.pem").write_text("not a certificate")
    with pytest.raises(BrokerError, match=r"broker\.log"):
        SMALL[kind][0](rig.broker_settings).start()


def test_another_program_on_its_port_is_not_taken_for_it(kind: str, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        settings = replace(Rig(tmp_path).broker_settings, port=other.getsockname()[1])
        with pytest.raises(BrokerError, match=r"broker\.log"):
            SMALL[kind][0](settings).start()


def test_the_best_broker_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(Rig(tmp_path).broker_settings, port=1)
    monkeypatch.setattr("provisioning.broker.mosquitto", lambda: "/usr/sbin/mosquitto")
    assert isinstance(choose(settings), Mosquitto)
    monkeypatch.setattr("provisioning.broker.mosquitto", lambda: None)
    assert isinstance(choose(settings), Embedded)


def test_json_status_survives_the_way(rig: Rig, broker: Broker, subscriber: Client) -> None:
    publisher = Publisher(CAMERA, "1", rig.address(CAMERA, broker.port), b"x", changed=lambda: None)
    publisher.start()
    events(publisher, 1 if broker.mqtt5 else 2)
    publisher.announce({"spool": 7})
    wait_for(
        lambda: any(
            topic.endswith("cam-1/status") and b'"spool":7' in payload for topic, payload in subscriber.messages
        )
    )
    publisher.close(2)
    wait_for(lambda: json.loads(subscriber.messages[-1][1]).get("state") == "offline")
