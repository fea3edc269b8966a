"""The hand-over between the two processes: nothing lost, nothing believed."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.handover import LARGEST, LONGEST_RETENTION, HandoverError, Item, Key, Kind, Receiver, Sender, frame
from tests.rig import wait_for

items = st.builds(
    Item,
    kind=st.sampled_from([Kind.PLATE, Kind.FACE]),
    key=st.builds(Key, boot=st.integers(1, 2**32 - 1), seq=st.integers(0, 2**63 - 1)),
    retention=st.integers(1, LONGEST_RETENTION),
    sealed=st.binary(min_size=1, max_size=LARGEST),
)


def item(seq: int, sealed: bytes = b"sealed") -> Item:
    return Item(Kind.PLATE, Key(7, seq), 60, sealed)


def numbers(arrivals) -> list[int]:
    return [arrival.item.key.seq for arrival in arrivals]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
def receiver(path: Path) -> Iterator[Receiver]:
    made = Receiver(path)
    yield made
    made.close()


@pytest.fixture
def sender(path: Path) -> Iterator[Sender]:
    made = Sender(path, longest_pause=0.05)
    yield made
    made.close()


def receive(receiver: Receiver, count: int) -> list:
    """Collects ``count`` arrivals without acknowledging them."""
    arrivals: list = []
    wait_for(lambda: arrivals.extend(receiver.receive(0.05)) or len(arrivals) >= count)
    return arrivals


@given(st.lists(items, max_size=5), st.integers(1, 700))
def test_frames_survive_any_fragmentation(sent: list[Item], chunk: int) -> None:
    stream = b"".join(map(frame.pack, sent))
    buffer, received = bytearray(), []
    for start in range(0, len(stream), chunk):
        buffer += stream[start : start + chunk]
        received += frame.unpack(buffer)
    assert received == sent
    assert not buffer


@given(st.binary(max_size=4096))
def test_hostile_bytes_are_an_error_or_wait_for_more_and_never_pile_up(untrusted: bytes) -> None:
    buffer = bytearray(untrusted)
    try:
        list(frame.unpack(buffer))
    except HandoverError:
        return
    assert len(buffer) < 22 + LARGEST


@pytest.mark.parametrize(
    ("position", "value"),
    [(0, 0), (1, 0), (2, 9), (3, 0), (3, 3), (slice(4, 8), bytes(4)), (slice(4, 8), b"\xff" * 4),
     (slice(12, 20), b"\xff" * 8), (slice(20, 22), bytes(2)), (slice(20, 22), b"\x04\x01")],
)  # fmt: skip
def test_each_field_out_of_bounds_is_refused(position: int | slice, value: int | bytes) -> None:
    buffer = bytearray(frame.pack(item(1, bytes(LARGEST))))
    buffer[position] = value  # type: ignore[index,assignment]
    with pytest.raises(HandoverError):
        list(frame.unpack(buffer))


@pytest.mark.parametrize(
    "bad",
    [item(1, b""), item(1, bytes(LARGEST + 1)), item(2**63), item(-1),
     Item(Kind.FACE, Key(2**32, 0), 60, b"x"), Item(Kind.FACE, Key(0, 0), 0, b"x")],
)  # fmt: skip
def test_the_sender_refuses_what_does_not_fit(bad: Item, sender: Sender) -> None:
    with pytest.raises(HandoverError):
        sender.offer(bad)
    assert sender.unacknowledged == 0


def test_items_arrive_in_order_and_are_forgotten_when_acknowledged(receiver: Receiver, sender: Sender) -> None:
    for seq in range(300):
        sender.offer(item(seq, bytes([1]) * LARGEST))
    arrivals = receive(receiver, 300)
    assert numbers(arrivals) == list(range(300))
    assert sender.drain(0.05) == 300  # arrived is not safe
    receiver.acknowledge(arrivals)
    assert sender.drain(5) == 0


def test_what_is_not_acknowledged_comes_again_after_a_reconnect(path: Path, sender: Sender) -> None:
    first = Receiver(path)
    for seq in range(10):
        sender.offer(item(seq))
    arrivals = receive(first, 10)
    first.acknowledge(arrivals[:4])
    wait_for(lambda: sender.unacknowledged == 6)
    first.close()
    second = Receiver(path)
    again = receive(second, 6)
    assert numbers(again) == list(range(4, 10))
    second.acknowledge(again)
    assert sender.drain(5) == 0
    second.close()


def test_the_receiver_may_start_later(path: Path, sender: Sender) -> None:
    sender.offer(item(1))
    assert sender.drain(0.1) == 1
    late = Receiver(path)
    late.acknowledge(receive(late, 1))
    assert sender.drain(5) == 0
    late.close()


def test_refused_items_come_again(receiver: Receiver, sender: Sender) -> None:
    sender.offer(item(1))
    receiver.refuse(receive(receiver, 1))
    again = receive(receiver, 1)
    assert numbers(again) == [1]
    receiver.acknowledge(again)
    assert sender.drain(5) == 0


def test_a_full_sender_drops_the_oldest_and_counts(path: Path) -> None:
    sender = Sender(path, capacity=3, longest_pause=0.05)
    for seq in range(5):
        sender.offer(item(seq))
    assert (sender.unacknowledged, sender.dropped) == (3, 2)
    receiver = Receiver(path)
    assert numbers(receive(receiver, 3)) == [2, 3, 4]
    sender.close()
    receiver.close()


def test_nothing_outlives_its_retention_while_the_uplink_is_away(path: Path, sender: Sender) -> None:
    sender.offer(Item(Kind.PLATE, Key(7, 1), 1, b"short"))
    sender.offer(Item(Kind.PLATE, Key(7, 2), 3600, b"long"))
    wait_for(lambda: sender.unacknowledged == 1)
    assert sender.dropped == 1
    receiver = Receiver(path)
    (arrival,) = receive(receiver, 1)
    assert arrival.item.key.seq == 2
    assert 3500 < arrival.item.retention < 3600  # what has passed here counts
    receiver.close()


def test_a_bad_frame_closes_its_connection_only(receiver: Receiver, sender: Sender, path: Path) -> None:
    sender.offer(item(1))
    receiver.acknowledge(receive(receiver, 1))
    with socket.socket(socket.AF_UNIX) as rogue:
        rogue.connect(str(path))
        rogue.sendall(frame.pack(item(50)) + b"GET / HTTP/1.1\r\n" + bytes(100))
        assert numbers(receive(receiver, 1)) == [50]  # what came before was in order
        wait_for(lambda: receiver.receive(0.01) or receiver.rejected == 1)
        rogue.settimeout(5)
        assert rogue.recv(1) == b""
    sender.offer(item(2))
    receiver.acknowledge(receive(receiver, 1))
    assert sender.drain(5) == 0


def test_a_false_acknowledgement_makes_the_sender_connect_again(path: Path, sender: Sender) -> None:
    with socket.socket(socket.AF_UNIX) as rogue:
        rogue.bind(str(path))
        rogue.listen()
        sender.offer(item(1))
        first, _ = rogue.accept()
        first.sendall(b"HTTP/1.1 200 OK\r\n")
        second, _ = rogue.accept()
        first.close()
        second.close()
    assert sender.unacknowledged == 1


def test_too_many_connections_are_refused(receiver: Receiver, path: Path) -> None:
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(6)]
    for one in crowd:
        one.connect(str(path))
        receiver.receive(0.05)
    assert receiver.rejected == 2
    for one in crowd:
        one.close()


def test_only_the_owner_may_open_the_socket(receiver: Receiver, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_socket_left_by_a_killed_process_is_replaced(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    Receiver(path).close()
    assert not path.exists()


def test_the_socket_of_a_living_process_is_not_taken(receiver: Receiver, path: Path) -> None:
    with pytest.raises(HandoverError, match="already"):
        Receiver(path)


def test_another_file_in_the_place_is_left_alone(path: Path) -> None:
    path.write_text("something else")
    with pytest.raises(HandoverError, match="cannot be opened"):
        Receiver(path)
    assert path.read_text() == "something else"


def test_wake_interrupts_waiting(receiver: Receiver) -> None:
    receiver.wake()
    assert receiver.receive(60) == []  # would run into the test's time limit
