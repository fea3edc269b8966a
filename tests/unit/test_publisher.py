"""What the publisher puts on the wire, byte by byte, and what it makes of the answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.handover import LARGEST, Key, Kind
from edge.uplink.publisher import Closed, Event, Opened, Publisher, Refused, Taken
from edge.uplink.spool import Stored
from tests.rig import Rig, wait_for
from tests.unit.fake_broker import ACCEPT_5, PUBLISH, FakeBroker, Session, puback

CAMERA = "cam-1"


class Broker:
    """Takes everything and answers with ``reasons`` in turn, then with success."""

    def __init__(self, folder: Path) -> None:
        self.packets: list[bytes] = []
        self.reasons: list[int | None] = []
        self.server = FakeBroker(folder, self._script)

    def _script(self, session: Session, version: int) -> None:
        session.write(ACCEPT_5)
        while True:
            kind, packet = session.read()
            if kind == PUBLISH:
                self.packets.append(packet)
                reason = self.reasons.pop(0) if self.reasons else 0
                if reason is not None:
                    session.write(puback(packet, reason))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def broker(rig: Rig) -> Iterator[Broker]:
    made = Broker(rig.folder)
    yield made
    made.server.close()


@pytest.fixture
def publisher(rig: Rig, broker: Broker) -> Iterator[Publisher]:
    made = Publisher(CAMERA, "1.2.3", rig.address(CAMERA, broker.server.port), b"DER", changed=lambda: None)
    made.start()
    yield made
    made.close(2)


def events(publisher: Publisher, count: int) -> list[Event]:
    found: list[Event] = []
    wait_for(lambda: found.extend(publisher.events()) or len(found) >= count)
    return found


def report(seq: int, kind: Kind = Kind.PLATE, sealed: bytes = b"sealed") -> Stored:
    return Stored(kind, Key(1, seq), 1060.0, sealed)


def test_reports_go_to_their_topic_with_expiry_and_content_type(publisher: Publisher, broker: Broker) -> None:
    assert events(publisher, 1) == [Opened(5, 512)]
    publisher.publish(report(1), now=1000.0)
    publisher.publish(report(2, Kind.FACE, b"other"), now=1000.0)
    assert events(publisher, 2) == [Taken(Key(1, 1)), Taken(Key(1, 2))]
    plate, face = broker.packets
    assert plate[0] == face[0] == 0x32  # QoS 1, not retained
    assert b"vidik/v1/cam-1/plate" in plate
    assert b"vidik/v1/cam-1/face" in face
    assert b"\x02\x00\x00\x00\x3c" in plate  # message expiry: 60 s
    assert b"\x03\x00\x10application/cose" in plate
    assert plate.endswith(b"sealed")


def test_a_report_costs_at_most_64_bytes_more_than_its_seal(publisher: Publisher, broker: Broker) -> None:
    events(publisher, 1)
    for size in (1, 250, LARGEST):
        publisher.publish(report(size, sealed=bytes(size)), now=1000.0)
    events(publisher, 3)
    overheads = [len(packet) - size for packet, size in zip(broker.packets, (1, 250, LARGEST), strict=True)]
    assert max(overheads) <= 64
    assert min(overheads) > 0


def test_an_expired_report_still_has_a_second(publisher: Publisher, broker: Broker) -> None:
    events(publisher, 1)
    publisher.publish(report(1), now=5000.0)
    events(publisher, 1)
    assert b"\x02\x00\x00\x00\x01" in broker.packets[0]


def test_answers_are_told_apart(publisher: Publisher, broker: Broker) -> None:
    broker.reasons = [0x10, 0x87, 0x00]
    events(publisher, 1)
    for seq in range(3):
        publisher.publish(report(seq), now=1000.0)
    found = events(publisher, 3)
    assert found == [Refused(Key(1, 0), 0x10), Refused(Key(1, 1), 0x87), Taken(Key(1, 2))]
    assert [event.reason for event in found if isinstance(event, Refused)] == ["nobody subscribes", "MQTT reason 0x87"]


def test_an_answer_that_comes_after_the_end_of_its_connection_counts_for_nothing(publisher: Publisher) -> None:
    events(publisher, 1)
    publisher.publish(report(1), now=1000.0)
    answered = publisher._queue.get(timeout=10)  # the broker's answer, held back
    publisher.closed("cut")
    publisher._queue.put(answered)
    assert events(publisher, 1) == [Closed("cut")]


def test_the_status_says_who_signs_and_is_retained(publisher: Publisher, broker: Broker) -> None:
    events(publisher, 1)
    publisher.announce({"spool": 3, "dropped": {"full": 2}})
    wait_for(lambda: broker.packets)
    packet = broker.packets[0]
    assert packet[0] == 0x33  # QoS 1, retained
    status = json.loads(packet[packet.index(b"{") :])
    assert status.pop("since").endswith("Z")
    assert status == {
        "camera": CAMERA, "state": "online", "version": "1.2.3", "spool": 3, "dropped": {"full": 2},
        "signing_certificate": base64.b64encode(b"DER").decode(),
    }  # fmt: skip


def test_the_last_will_and_the_farewell_say_offline(publisher: Publisher, broker: Broker) -> None:
    events(publisher, 1)
    connect = broker.server.connects[0]
    will = connect[connect.index(b"{") : connect.index(b"}") + 1]
    publisher.close(2)
    farewell = broker.packets[-1]
    for status in (will, farewell[farewell.index(b"{") :]):
        content = json.loads(status)
        assert (content["state"], content["camera"]) == ("offline", CAMERA)
        assert content["signing_certificate"] == base64.b64encode(b"DER").decode()
