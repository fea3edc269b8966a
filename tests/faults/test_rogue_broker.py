"""A broker that has been taken over, or is just broken: the uplink neither ends nor grows, and delivers in the end."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from edge.handover import Item, Key, Kind, Sender
from tests.rig import Rig, end, environment, wait_for
from tests.unit.fake_broker import ACCEPT_5, PUBLISH, FakeBroker, Session, puback

REPORTS = 20
GROWTH = 24 << 20  # bytes that the process may take beyond what it has when it is connected to a good broker
FLOOD = 72 << 20  # bytes that a rogue sends at most: three times of what may stick


def good(session: Session, taken: set[bytes]) -> None:
    session.write(ACCEPT_5)
    while True:
        kind, packet = session.read()
        if kind == PUBLISH:
            if b"/plate" in packet:
                taken.add(packet[-8:])
            session.write(puback(packet, 0))


def remaining(length: int) -> bytes:
    """A length as MQTT writes it."""
    out = b""
    while True:
        length, byte = divmod(length, 128)
        out += bytes([byte | (0x80 if length else 0)])
        if not length:
            return out


def publication(number: int, qos: int, size: int) -> bytes:
    body = b"\0\1a" + number.to_bytes(2, "big") + b"\0" + bytes(size)
    return bytes([0x30 | qos << 1]) + remaining(len(body)) + body


def flood(session: Session, piece: Callable[[int], bytes], size: int = FLOOD) -> None:
    sent = number = 0
    while sent < size:
        number += 1
        packet = piece(number)
        session.write(packet)
        sent += len(packet)


def huge_packet(session: Session) -> None:
    session.write(ACCEPT_5 + b"\x30" + remaining(268_435_455))
    flood(session, lambda _: bytes(1 << 16))


def huge_greeting(session: Session) -> None:
    session.write(b"\x20" + remaining(268_435_455))
    flood(session, lambda _: bytes(1 << 16))


def unasked_for(qos: int) -> Callable[[Session], None]:
    def flooding(session: Session) -> None:
        session.write(ACCEPT_5)
        flood(session, lambda number: publication(number % 65_535 + 1, qos, 60_000))

    return flooding


def acknowledgements(session: Session) -> None:
    session.write(ACCEPT_5)
    flood(session, lambda _: b"".join(b"\x40\x02" + n.to_bytes(2, "big") for n in range(1, 16_384)), 1 << 18)


def greetings(session: Session) -> None:
    for _ in range(2000):
        session.write(ACCEPT_5)


def garbage(session: Session) -> None:
    chance = random.Random(len(session.user))
    session.write(ACCEPT_5)
    flood(session, lambda _: chance.randbytes(1 << 14))


def hangs_up(session: Session) -> None:
    session.write(ACCEPT_5)


def takes_nothing(session: Session) -> None:
    session.write(ACCEPT_5)
    session.wait_for_close()


def refuses(session: Session) -> None:
    session.write(ACCEPT_5)
    for _ in range(2):
        kind, packet = session.read()
        if kind == PUBLISH:
            session.write(puback(packet, 0x97))


def lets_in_no_message(session: Session) -> None:
    session.write(bytes([0x20, 6, 0, 0, 3, 0x21, 0, 0]))  # Receive Maximum 0, against the standard
    time.sleep(0.2)


ROGUES: list[Callable[[Session], None]] = [
    huge_packet, huge_greeting, unasked_for(0), unasked_for(1), unasked_for(2), acknowledgements, greetings, garbage,
    hangs_up, takes_nothing, refuses, lets_in_no_message,
]  # fmt: skip


@dataclass
class Uplink:
    rig: Rig
    broker: Rogue
    process: subprocess.Popen[bytes]

    @property
    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss


class Rogue(FakeBroker):
    """Behaves as ``now`` says; ``raw`` is sent instead of TLS."""

    def __init__(self, folder: Path) -> None:
        self.taken: set[bytes] = set()
        self.visits = 0
        self.raw: bytes | None = None
        self.now: Callable[[Session], None] = self.good
        super().__init__(folder, self._behave)

    def good(self, session: Session) -> None:
        good(session, self.taken)

    def _behave(self, session: Session, _: int) -> None:
        self.visits += 1
        self.now(session)

    def _one(self, raw: socket.socket) -> None:
        if self.raw is None:
            super()._one(raw)
            return
        self.visits += 1
        with suppress(OSError), raw:
            raw.sendall(self.raw)


@pytest.fixture
def uplink(tmp_path: Path) -> Iterator[Uplink]:
    rig = Rig(tmp_path)
    broker = Rogue(tmp_path)
    config = rig.config(broker.port)
    # settling: what a rogue acknowledges without having taken it must come again
    config.write_text(config.read_text() + "answer_seconds = 1\nsettle_seconds = 3\ndrain_rate = 0\n")
    with (tmp_path / "uplink.log").open("ab") as log:
        command = [sys.executable, "-m", "tests.faults.clocked_uplink", "--config", str(config)]
        process = subprocess.Popen(command, stderr=log, env=environment() | {"LONGEST_PAUSE": "0.1"})
    yield Uplink(rig, broker, process)
    process.kill()
    process.wait()
    broker.close()


@pytest.mark.slow
def test_no_rogue_ends_it_or_makes_it_grow(uplink: Uplink) -> None:
    broker, sender, count = uplink.broker, Sender(uplink.rig.inbox), 0

    def hand_over() -> None:
        nonlocal count
        for _ in range(REPORTS):
            count += 1
            sender.offer(Item(Kind.PLATE, Key(1, count), 3600, b"%08d" % count))

    def deliver() -> None:
        broker.raw, broker.now = None, broker.good
        hand_over()
        wait_for(lambda: len(broker.taken) == count, 120)

    deliver()
    before = most = uplink.memory
    for rogue in ROGUES:
        broker.now, broker.visits = rogue, 0
        broker.drop()
        hand_over()
        until = time.monotonic() + 60
        while broker.visits < 3:
            most = max(most, uplink.memory)
            assert uplink.process.poll() is None, rogue.__name__
            assert time.monotonic() < until, f"{rogue.__name__}: visited {broker.visits} times"
            time.sleep(0.02)
    no_tls = b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", os.urandom(1 << 16), b"\x16\x03\x03\xff\xff" + bytes(1 << 16)
    for raw in no_tls:
        broker.raw, broker.visits = raw, 0
        broker.drop()
        wait_for(lambda: broker.visits >= 3, 60)
        assert uplink.process.poll() is None
    deliver()
    assert max(most, uplink.memory) - before < GROWTH
    sender.close()
    assert end(uplink.process) == 0
