"""The uplink's policy, with the real spool and without network: acknowledge after the commit, deliver all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.handover import Arrival, Item, Key, Kind
from edge.uplink.deliver import Deliver
from edge.uplink.losses import Loss
from edge.uplink.notices import Notice, Notices
from edge.uplink.pace import Pace
from edge.uplink.publisher import Closed, Event, Opened, Refused, Taken
from edge.uplink.spool import Spool, SpoolError, Stored

NO_SUBSCRIBERS = 0x10
AT_ONCE = Pace(settle=0, answer=1e9, drain=0, commit=0)


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

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.answered = 0.0
        self.under_way: list[Key] = []
        self.losses: list[Loss] = []
        self.abandoned: list[str] = []
        self.notices: list[Notice] = []
        self.published: list[int] = []
        self.statuses: list[dict] = []
        self.happened: list[Event] = []

    def publish(self, report: Stored, now: float) -> None:
        self.under_way.append(report.key)
        self.published.append(report.key.seq)

    def tell(self, loss: Loss) -> None:
        self.losses.append(loss)

    def announce(self, details: dict) -> None:
        self.statuses.append(details)
        self.asked = self.clock()

    def state(self, notice: Notice) -> None:
        self.notices.append(notice)

    def abandon(self, reason: str, *, useless: bool) -> None:
        assert useless
        self.abandoned.append(reason)

    def answer(self) -> None:
        """The broker answers the latest status."""
        self.answered = self.asked

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
    def __init__(self, folder: Path, capacity: int = 1 << 20, pace: Pace = AT_ONCE) -> None:
        self.time = 1000.0
        self.inbox, self.outlet = FakeInbox(), FakeOutlet(lambda: self.time)
        self.spool = Spool(folder / "spool", capacity, lambda: self.time)
        self.deliver = Deliver(
            self.inbox, self.spool, self.outlet, pace, now=lambda: self.time, clock=lambda: self.time
        )

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
    bench.outlet.answer()
    nothing = {"spool": 0, "certificate_days": None, "sent": [], "dropped": {}, "rejected": 0, "trouble": None}
    assert bench.outlet.statuses == [nothing]
    bench.step(100)
    assert len(bench.outlet.statuses) == 1
    bench.inbox.rejected = 3
    bench.step(100)
    assert bench.outlet.statuses[1:] == [nothing | {"rejected": 3}]


def test_what_was_taken_before_the_end_does_not_come_again(bench: Bench) -> None:
    bench.arrive(1, 2)
    bench.outlet.open()
    bench.step()
    bench.outlet.take(1)
    bench.step()
    bench.outlet.happened.append(Closed("goodbye"))
    bench.deliver.finish()
    assert [stored.key.seq for stored in bench.spool.after(None, 9)] == [2]


def paced(tmp_path: Path, **changes: object) -> Bench:
    return Bench(tmp_path, pace=replace(AT_ONCE, **changes))  # type: ignore[arg-type]


def test_a_taken_report_stays_until_the_broker_has_lived_on_for_a_while(tmp_path: Path) -> None:
    bench = paced(tmp_path, settle=10)
    bench.outlet.open()
    bench.arrive(1)
    bench.step()
    bench.outlet.answer()
    bench.outlet.take(1)
    bench.step(1)
    bench.step(60)  # time alone proves nothing
    assert len(bench.spool) == 1
    assert len(bench.outlet.statuses) == 2  # so it asks
    bench.step(60)
    assert len(bench.outlet.statuses) == 2  # once
    bench.outlet.answer()
    bench.step()
    assert len(bench.spool) == 0
    bench.spool.close()


def test_what_a_broker_may_have_lost_in_a_crash_is_sent_again(tmp_path: Path) -> None:
    bench = paced(tmp_path, settle=10)
    bench.outlet.open()
    bench.arrive(1, 2)
    bench.step()
    bench.outlet.take(1, 2)
    bench.step(9)
    bench.outlet.happened.append(Closed("crashed"))
    bench.step(100)
    bench.outlet.open()
    bench.step()
    assert bench.outlet.published == [1, 2, 1, 2]
    bench.spool.close()


def test_an_answer_counts_from_when_its_question_was_sent(tmp_path: Path) -> None:
    bench = paced(tmp_path, settle=10)
    bench.outlet.open()
    bench.arrive(1)
    bench.step()
    bench.outlet.take(1)
    bench.step(5)
    bench.outlet.answered = bench.time + 9.9
    bench.step(50)
    assert len(bench.spool) == 1
    bench.outlet.answered = 1000 + 5 + 10.0
    bench.step()
    assert len(bench.spool) == 0
    bench.spool.close()


def test_a_broker_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    bench = paced(tmp_path, answer=30)
    bench.outlet.open()
    bench.step()
    bench.outlet.answer()
    bench.arrive(1)
    bench.step()
    bench.step(29)
    assert bench.outlet.abandoned == []
    bench.step(2)
    assert bench.outlet.abandoned == ["the broker answers nothing"]
    bench.spool.close()


def test_a_slow_broker_is_not_given_up_while_it_answers(tmp_path: Path) -> None:
    bench = paced(tmp_path, answer=30)
    bench.arrive(*range(1, 5))
    bench.outlet.open(window=4)
    bench.step()
    for seq in range(1, 5):
        bench.step(20)
        bench.outlet.take(seq)
        bench.outlet.answered = 1000 + seq / 100
        bench.step()
    assert bench.outlet.abandoned == []
    bench.spool.close()


def test_a_broker_that_does_not_answer_the_status_is_given_up(tmp_path: Path) -> None:
    bench = paced(tmp_path, answer=30)
    bench.outlet.open()
    bench.step()
    bench.step(31)
    assert len(bench.outlet.abandoned) == 1
    bench.spool.close()


def test_a_backlog_drains_no_faster_than_allowed(tmp_path: Path) -> None:
    bench = paced(tmp_path, drain=5)
    bench.arrive(*range(100))
    bench.outlet.open(window=50)
    bench.step()
    assert len(bench.outlet.published) == 10  # two seconds' worth at once
    for _ in range(40):
        bench.step(0.1)
        bench.outlet.take(*range(100))
    assert len(bench.outlet.published) == 30
    bench.spool.close()


def test_reports_that_come_together_share_a_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = paced(tmp_path, commit=1)
    commits: list[int] = []
    add = bench.spool.add
    monkeypatch.setattr(bench.spool, "add", lambda items: (commits.append(len(items)), add(items)))
    for seq in range(1, 6):
        bench.arrive(seq)
        bench.step(0.2)
    assert bench.inbox.acknowledged == []
    bench.step(0.2)
    assert (commits, bench.inbox.acknowledged) == ([5], [1, 2, 3, 4, 5])
    bench.arrive(*range(6, 1000))
    bench.step()
    assert commits[1:] == [994]  # many do not wait
    bench.arrive(1000)
    bench.step()
    bench.deliver.finish()
    assert bench.inbox.acknowledged[-1] == 1000
    bench.spool.close()


def test_losses_are_told_until_somebody_has_heard(tmp_path: Path) -> None:
    bench = Bench(tmp_path, capacity=8 * (len(b"sealed") + 72))
    bench.arrive(*range(1, 10))  # one more than fits
    bench.step()
    bench.outlet.open()
    bench.step()
    (loss,) = bench.outlet.losses
    assert (loss.reason, loss.count, loss.first, loss.last) == ("full", 1, (1, 1), (1, 1))
    bench.outlet.happened.append(Refused(loss, NO_SUBSCRIBERS))
    bench.step()
    assert bench.outlet.losses == [loss]
    bench.step(60)
    assert bench.outlet.losses == [loss, loss]
    bench.outlet.happened.append(Taken(loss))
    bench.step()
    bench.step(60)
    assert bench.outlet.losses == [loss, loss]
    assert bench.spool.losses == []
    bench.spool.close()


def test_reports_nobody_subscribes_to_can_be_let_go_and_are_counted(tmp_path: Path) -> None:
    bench = paced(tmp_path, keep_unheard=False)
    bench.outlet.open()
    bench.arrive(1, 2)
    bench.step()
    for key in bench.outlet.under_way:
        bench.outlet.happened.append(Refused(key, NO_SUBSCRIBERS))
    bench.step()
    bench.step(5)
    bench.step()
    assert len(bench.spool) == 0
    assert bench.outlet.losses[0].reason == "unheard"
    assert bench.outlet.losses[0].count == 2
    bench.spool.close()


def test_a_failing_spool_shows_in_the_status(bench: Bench) -> None:
    bench.outlet.open()
    bench.step()
    bench.outlet.answer()
    bench.spool.trouble = "disk full"
    bench.spool._opened = lambda: (_ for _ in ()).throw(OSError("disk full"))  # type: ignore[method-assign]
    bench.step(100)
    assert bench.outlet.statuses[-1]["trouble"] == "disk full"
    del bench.spool._opened


def test_notices_are_published_when_new_and_after_a_reconnect(tmp_path: Path) -> None:
    (tmp_path / "card.json").write_bytes(b"card")
    bench = Bench(tmp_path)
    bench.deliver._notices = Notices(tmp_path)
    bench.step(2)
    assert bench.outlet.notices == []
    for _ in range(2):
        bench.outlet.open()
        for _ in range(3):
            bench.step(2)
    assert bench.outlet.notices == [Notice("card", "application/jose+json", b"card")] * 2
    bench.spool.close()


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
@settings(max_examples=60)
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
