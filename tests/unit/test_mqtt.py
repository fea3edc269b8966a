"""The connection to the broker, against brokers that misbehave. Loopback only."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edge import mqtt, mqtt_brokers
from edge.address import AddressError
from edge.mqtt import Handler, Link, Message
from provisioning import pki
from tests.rig import CAMERA, Rig, wait_for
from tests.unit.fake_broker import (
    ACCEPT_5,
    ACCEPT_311,
    DISCONNECT,
    PUBLISH,
    REFUSE_VERSION,
    FakeBroker,
    Session,
    puback,
)


class Heard(Handler):
    def __init__(self) -> None:
        self.opens: list[tuple[int, int]] = []
        self.closes: list[str] = []
        self.answers: list[tuple[int, int]] = []
        self.messages: list[tuple[str, bytes, int]] = []

    def opened(self, version: int, window: int) -> None:
        self.opens.append((version, window))

    def closed(self, reason: str) -> None:
        self.closes.append(reason)

    def acknowledged(self, number: int, code: int) -> None:
        self.answers.append((number, code))

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        self.messages.append((topic, payload, number))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_brokers, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(mqtt, "_ANSWER_SECONDS", 0.5)


@contextmanager
def linked(
    rig: Rig, script: Callable[[Session, int], None], **options: object
) -> Iterator[tuple[FakeBroker, Link, Heard]]:
    broker, heard = FakeBroker(rig.folder, script), Heard()
    link = Link(rig.address(CAMERA, broker.port), CAMERA, heard, **options)  # type: ignore[arg-type]
    link.start()
    try:
        yield broker, link, heard
    finally:
        link.close(2)
        broker.close()


def accept(session: Session, version: int) -> None:
    session.write(ACCEPT_5 if version == 5 else ACCEPT_311)
    session.wait_for_close()


def test_it_speaks_mqtt_5_and_proves_who_it_is(rig: Rig) -> None:
    with linked(rig, accept) as (broker, _, heard):
        wait_for(lambda: heard.opens)
    assert heard.opens == [(5, 65_535)]
    assert broker.users == [CAMERA]


def test_a_broker_that_refuses_mqtt_5_is_spoken_to_in_3_1_1(rig: Rig, impatient: None) -> None:
    def old(session: Session, version: int) -> None:
        session.write(REFUSE_VERSION if version == 5 else ACCEPT_311)
        if version == 4:
            session.wait_for_close()

    with linked(rig, old) as (broker, _, heard):
        wait_for(lambda: heard.opens)
    assert heard.opens[0][0] == 4
    assert broker.versions == [5, 4]


def test_a_broker_that_refuses_every_version_is_not_pestered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_brokers, "FIRST_PAUSE", 1000.0)  # full jitter: some seconds, almost surely
    with linked(rig, lambda session, version: session.write(REFUSE_VERSION)) as (broker, _, heard):
        wait_for(lambda: len(heard.closes) >= 2)
        time.sleep(0.5)
        assert broker.versions == [5, 4]


@pytest.mark.parametrize("silence", ["hangs up", "hangs"])
def test_a_broker_that_does_not_answer_mqtt_5_is_spoken_to_in_3_1_1(rig: Rig, impatient: None, silence: str) -> None:
    def mute(session: Session, version: int) -> None:
        if version == 4:
            accept(session, version)
        elif silence == "hangs":
            session.wait_for_close()

    with linked(rig, mute) as (broker, _, heard):
        wait_for(lambda: heard.opens)
    assert broker.versions == [5, 5, 5, 4]


def test_after_a_fallback_for_silence_the_next_connection_is_mqtt_5_again(rig: Rig, impatient: None) -> None:
    def in_trouble(session: Session, version: int) -> None:
        if len(broker.connects) < 4:
            return
        session.write(ACCEPT_5 if version == 5 else ACCEPT_311)
        if len(broker.connects) > 4:
            session.wait_for_close()

    with linked(rig, in_trouble) as (broker, _, heard):
        wait_for(lambda: len(heard.opens) == 2)
    assert [version for version, _ in heard.opens] == [4, 5]


def test_a_broker_that_is_not_there_changes_nothing_about_the_version(rig: Rig, impatient: None) -> None:
    broker, heard = FakeBroker(rig.folder, accept), Heard()
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    link = Link(rig.address(CAMERA, port), CAMERA, heard)
    link.start()
    wait_for(lambda: len(heard.closes) >= 8)
    object.__setattr__(link._brokers.current.address, "port", broker.port)
    wait_for(lambda: heard.opens)
    link.close(2)
    assert heard.opens[0][0] == 5
    broker.close()


@pytest.mark.parametrize(
    "garbage",
    [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(64), b"\x20\x7f" + bytes(127), b"\x20\xff\xff\xff\xff\xff",
     ACCEPT_5 + b"\x40\x00", ACCEPT_5 + b"\x32\x02\x00\xff", ACCEPT_5 + b"\xe0\x02\x00\x7f"],
)  # fmt: skip
def test_garbage_ends_a_connection_and_not_the_link(rig: Rig, impatient: None, garbage: bytes) -> None:
    seen = []

    def rogue(session: Session, version: int) -> None:
        seen.append(version)
        if len(seen) < 4:
            session.write(garbage)
            return
        accept(session, version)

    with linked(rig, rogue) as (_, link, heard):
        wait_for(lambda: len(seen) >= 4 and heard.opens)
        wait_for(lambda: link.publish(Message("a", b"b")) is not None)


def test_every_attempt_starts_from_nothing_and_numbers_never_repeat(rig: Rig, impatient: None) -> None:
    got: list[bytes] = []

    def one_message_each(session: Session, version: int) -> None:
        session.write(ACCEPT_5)
        kind, packet = session.read()
        if kind == PUBLISH:
            got.append(packet)  # and never acknowledged

    with linked(rig, one_message_each) as (_, link, heard):
        numbers = []
        for count in range(1, 4):
            wait_for(lambda count=count: len(heard.opens) == count)  # type: ignore[misc]
            numbers.append(link.publish(Message("a", b"payload %d" % count)))
            wait_for(lambda count=count: len(heard.closes) == count)  # type: ignore[misc]
    assert len({number for number in numbers if number is not None}) == 3
    assert [packet[-9:] for packet in got] == [b"payload 1", b"payload 2", b"payload 3"]
    assert heard.answers == []


def test_an_acknowledgement_of_an_earlier_connection_is_not_sent_on_a_later_one(rig: Rig, impatient: None) -> None:
    answered: list[bytes] = []

    def publishes(session: Session, version: int) -> None:
        session.write(ACCEPT_5 + b"\x32\x07\x00\x01a\x00\x01\x00x")  # QoS 1, topic a, packet id 1
        if len(broker.connects) == 1:
            return
        answered.append(session.read()[1])

    with linked(rig, publishes) as (broker, link, heard):
        wait_for(lambda: len(heard.messages) >= 2)
        first, second = heard.messages[0][2], heard.messages[1][2]
        link.acknowledge(first)
        link.acknowledge(second)
        wait_for(lambda: answered)
    assert answered == [b"\x40\x02\x00\x01"]


def test_reason_codes_reach_the_owner(rig: Rig) -> None:
    def reluctant(session: Session, version: int) -> None:
        session.write(ACCEPT_5)
        for reason in (0x10, 0x87, 0x00):
            session.write(puback(session.read()[1], reason))
        session.wait_for_close()

    with linked(rig, reluctant) as (_, link, heard):
        wait_for(lambda: heard.opens)
        numbers = [link.publish(Message("a", b"b")) for _ in range(3)]
        wait_for(lambda: len(heard.answers) == 3)
    assert heard.answers == list(zip(numbers, (0x10, 0x87, 0x00), strict=True))


def test_the_brokers_window_is_told(rig: Rig) -> None:
    def narrow(session: Session, version: int) -> None:
        session.write(bytes([0x20, 6, 0, 0, 3, 0x21, 0, 7]))  # Receive Maximum 7
        session.wait_for_close()

    with linked(rig, narrow) as (_, _, heard):
        wait_for(lambda: heard.opens)
    assert heard.opens == [(5, 7)]


def test_the_last_will_is_left_with_the_broker_and_the_farewell_precedes_the_end(rig: Rig) -> None:
    packets = []

    def polite(session: Session, version: int) -> None:
        session.write(ACCEPT_5)
        while True:
            kind, packet = session.read()
            packets.append((kind, packet))
            if kind == PUBLISH:
                session.write(puback(packet, 0))

    with linked(rig, polite, will=Message("s", b"gone", retain=True)) as (broker, link, heard):
        wait_for(lambda: heard.opens)
        link.close(2, farewell=Message("s", b"bye", retain=True))
        wait_for(lambda: any(kind == DISCONNECT for kind, _ in packets))
    assert b"gone" in broker.connects[0]
    assert [kind for kind, _ in packets] == [PUBLISH, DISCONNECT]
    assert packets[0][1][0] == 0x33  # QoS 1, retained


def test_closing_takes_no_longer_than_allowed_while_the_broker_hangs(rig: Rig) -> None:
    with linked(rig, lambda session, version: session.wait_for_close()) as (broker, link, _):
        wait_for(lambda: broker.connects)
        began = time.monotonic()
        link.close(1)
        assert time.monotonic() - began < 5


def test_a_broker_under_another_name_is_not_spoken_to(rig: Rig) -> None:
    broker, heard = FakeBroker(rig.folder, accept, host="127.0.0.2"), Heard()  # its certificate is for 127.0.0.1
    link = Link(rig.address(CAMERA, broker.port, host="127.0.0.2"), CAMERA, heard)
    link.start()
    wait_for(lambda: heard.closes)
    link.close(2)
    assert "IP address mismatch" in heard.closes[0]
    assert broker.connects == []
    broker.close()


def test_a_broker_of_another_ca_is_not_spoken_to(rig: Rig, tmp_path: Path) -> None:
    pki.make_ca("Other").save(tmp_path, "ca")
    broker, heard = FakeBroker(rig.folder, accept), Heard()
    link = Link(replace(rig.address(CAMERA, broker.port), ca=tmp_path / "ca.pem"), CAMERA, heard)
    link.start()
    wait_for(lambda: heard.closes)
    link.close(2)
    assert "certificate verify failed" in heard.closes[0]
    assert broker.connects == []
    broker.close()


@pytest.mark.parametrize("file", ["ca", "certificate", "key"])
def test_a_missing_file_is_a_clear_error_at_once(rig: Rig, tmp_path: Path, file: str) -> None:
    address = replace(rig.address(CAMERA, 1), **{file: tmp_path / "missing"})
    with pytest.raises(AddressError, match=r"is missing\. Provision it first"):
        Link(address, CAMERA, Heard()).start()


def test_a_key_of_another_certificate_is_a_clear_error(rig: Rig) -> None:
    with pytest.raises(AddressError, match="cannot be used"):
        Link(replace(rig.address(CAMERA, 1), key=rig.folder / "cam-2.key"), CAMERA, Heard()).start()
