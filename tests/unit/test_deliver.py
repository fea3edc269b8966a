"""The uplink's policy, with the real spool and without network: acknowledge after the commit, deliver all."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.handover import Arrival, Item, Key, Kind
from edge.uplink.deliver import Deliver
from edge.uplink.publisher import Closed, Event, Opened, Refused, Taken
from edge.uplink.spool import Spool, SpoolError, Stored

NO_SUBSCRIBERS = 0x10


class FakeInbox:
    rejected = 0

    def __init__(self) -> None:
        self.waiting: list[Item] = []
        self.acknowledged: list[int] = []
        self.refused: list[int] = []

    def receive(self, timeout: float) -> list[Arrival]:
        arrivals = [Arrival(item, None) for item in self.waiting]  # type: ignore[arg-type]
        self.waiting = []
        return arrivals

    def acknowledge(self, arrivals: list[Arrival]) -> None:
        self.acknowledged += (arrival.item.key.seq for arrival in arrivals)

    def refuse(self, arrivals: list[Arrival]) -> None:
        self.refused += (arrival.item.key.seq for arrival in arrivals)


class FakeOutlet:
    """A broker's side: what was published and not answered yet is in ``under_way``."""

    def __init__(self) -> None:
        self.under_way: list[Key] = []
        self.published: list[int] = []
        self.statuses: list[dict] = []
        self.happened: list[Event] = []

    def publish(self, report: Stored, now: float) -> None:
        self.under_way.append(report.key)
        self.published.append(report.key.seq)

    def announce(self, details: dict) -> None:
        self.statuses.append(details)

    def events(self) -> list[Event]:
        happened, self.happened = self.happened, []
        return happened

    def open(self, window: int = 4) -> None:
        self.under_way.clear()
        self.happened.append(Opened(5, window))

    def take(self, *numbers: int) -> None:
        for key in [key for key in self.under_way if key.seq in numbers]:
            self.under_way.remove(key)
            self.happened.append(Taken(key))


class Bench:
    def __init__(self, folder: Path, capacity: int = 1 << 20) -> None:
        self.time = 1000.0
        self.inbox, self.outlet = FakeInbox(), FakeOutlet()
        self.spool = Spool(folder / "spool", capacity, lambda: self.time)
        self.deliver = Deliver(self.inbox, self.spool, self.outlet, lambda: self.time, lambda: self.time)

    def arrive(self, *numbers: int) -> None:
        self.inbox.waiting += (Item(Kind.PLATE, Key(1, seq), 86_400, b"sealed") for seq in numbers)

    def step(self, seconds: float = 0.0) -> None:
        self.time += seconds
        self.deliver.step(0)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.spool.close()


def test_reports_are_acknowledged_when_stored_even_without_a_broker(bench: Bench) -> None:
    bench.arrive(1, 2)
    bench.step()
    assert bench.inbox.acknowledged == [1, 2]
    assert len(bench.spool) == 2
    assert bench.outlet.published == []


def test_a_failing_spool_acknowledges_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(items: list[Item]) -> None:
        raise SpoolError("disk full")

    monkeypatch.setattr(bench.spool, "add", fail)
    bench.arrive(1)
    bench.step()
    assert (bench.inbox.acknowledged, bench.inbox.refused) == ([], [1])


def test_an_unreadable_spool_does_not_end_the_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> list[Stored]:
        raise SpoolError("cannot be read")

    bench.outlet.open()
    with monkeypatch.context() as broken:
        broken.setattr(bench.spool, "after", fail)
        bench.step()
    bench.arrive(1)
    bench.step(60)
    assert bench.outlet.published == [1]


def test_reports_go_out_in_order_and_never_more_than_the_window(bench: Bench) -> None:
    bench.arrive(*range(10))
    bench.outlet.open(window=4)
    bench.step()
    assert bench.outlet.published == [0, 1, 2, 3]
    bench.outlet.take(1, 0)
    bench.step()
    assert bench.outlet.published == [0, 1, 2, 3, 4, 5]


def test_a_report_leaves_the_spool_only_when_the_broker_has_it(bench: Bench) -> None:
    bench.arrive(1, 2)
    bench.outlet.open()
    bench.step()
    assert len(bench.spool) == 2
    bench.outlet.take(1)
    bench.step(5)
    assert [stored.key.seq for stored in bench.spool.after(None, 9)] == [2]


def test_after_a_reconnect_only_what_was_not_taken_goes_out_again(bench: Bench) -> None:
    bench.arrive(*range(4))
    bench.outlet.open()
    bench.step()
    bench.outlet.take(0, 2)
    bench.outlet.happened.append(Closed("cut"))
    bench.step()
    bench.arrive(4)
    bench.step()
    assert bench.outlet.published == [0, 1, 2, 3]  # nothing while disconnected
    bench.outlet.open()
    bench.step()
    assert bench.outlet.published[4:] == [1, 3, 4]


def test_nothing_is_published_twice_on_a_steady_connection(bench: Bench) -> None:
    bench.outlet.open(window=3)
    for seq in range(60):
        bench.arrive(seq)
        bench.step(0.4)
        bench.outlet.take(*random.Random(seq).sample(range(seq + 1), k=(seq + 1) // 2))
        bench.step(0.4)
    for _ in range(60):
        bench.outlet.take(*range(60))
        bench.step()
    assert sorted(bench.outlet.published) == list(range(60))
    assert len(bench.spool) == 0


def test_a_report_older_than_those_already_sent_still_goes_out(bench: Bench) -> None:
    bench.outlet.open()
    bench.arrive(10)
    bench.step()
    bench.arrive(3)
    bench.step()
    assert bench.outlet.published == [10, 3]


def test_refused_reports_stay_and_are_tried_again_one_at_a_time(bench: Bench) -> None:
    bench.arrive(*range(6))
    bench.outlet.open(window=4)
    bench.step()
    for key in bench.outlet.under_way:
        bench.outlet.happened.append(Refused(key, NO_SUBSCRIBERS))
    bench.outlet.under_way.clear()
    bench.step()
    assert len(bench.outlet.published) == 4  # a rest first
    bench.step(60)
    assert bench.outlet.published[4:] == [0]  # then a single probe
    bench.step(60)
    assert bench.outlet.published[4:] == [0]
    bench.outlet.take(0)
    bench.step()
    assert bench.outlet.published[5:] == [1, 2, 3, 4]
    assert bench.spool.dropped == {}


def test_rests_grow_while_the_broker_refuses(bench: Bench) -> None:
    bench.arrive(1)
    bench.outlet.open()
    bench.step()
    rests = []
    for _ in range(8):
        bench.outlet.happened.append(Refused(Key(1, 1), NO_SUBSCRIBERS))
        bench.step()
        count, began = len(bench.outlet.published), bench.time
        while len(bench.outlet.published) == count:
            bench.step(0.1)
        rests.append(bench.time - began)
    assert rests[0] < 1
    assert rests[-1] > 5
    assert max(rests) < 16


def test_the_status_is_announced_on_connection_and_when_it_changed(bench: Bench) -> None:
    bench.outlet.open()
    bench.step()
    assert bench.outlet.statuses == [{"spool": 0, "dropped": {}, "rejected": 0}]
    bench.step(100)
    assert len(bench.outlet.statuses) == 1
    bench.inbox.rejected = 3
    bench.step(100)
    assert bench.outlet.statuses[1:] == [{"spool": 0, "dropped": {}, "rejected": 3}]


def test_finish_notes_what_was_taken_at_the_last_moment(bench: Bench) -> None:
    bench.arrive(1, 2)
    bench.outlet.open()
    bench.step()
    bench.outlet.take(1)
    bench.outlet.happened.append(Closed("goodbye"))
    bench.deliver.finish()
    assert [stored.key.seq for stored in bench.spool.after(None, 9)] == [2]


moves = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 5)),
        st.tuples(st.just("open"), st.integers(1, 4)),
        st.tuples(st.just("close"), st.none()),
        st.tuples(st.just("take"), st.integers(0, 3)),
        st.tuples(st.just("refuse"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
    ),
    max_size=40,
)


@given(moves)
@settings(deadline=None, max_examples=60)
def test_whatever_happens_every_acknowledged_report_is_delivered(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    taken: set[int] = set()
    arrived = 0
    for move, value in steps:
        under_way = bench.outlet.under_way
        if move == "arrive":
            bench.arrive(*range(arrived, arrived + value))
            arrived += value
        elif move == "open":
            bench.outlet.open(value)
        elif move == "close":
            under_way.clear()
            bench.outlet.happened.append(Closed("cut"))
        elif move == "take" and value < len(under_way):
            taken.add(under_way[value].seq)
            bench.outlet.take(under_way[value].seq)
        elif move == "refuse" and value < len(under_way):
            bench.outlet.happened.append(Refused(under_way.pop(value), NO_SUBSCRIBERS))
        bench.step(value if move == "wait" else 0)
        assert len(set(under_way)) == len(under_way) <= 4
    assert bench.inbox.acknowledged == list(range(arrived))
    bench.outlet.open(4)
    for _ in range(arrived + 10):
        bench.step(20)
        taken |= {key.seq for key in bench.outlet.under_way}
        bench.outlet.take(*taken)
    assert taken == set(range(arrived))
    bench.step(20)
    assert len(bench.spool) == 0
    assert bench.spool.dropped == {}
    bench.spool.close()
