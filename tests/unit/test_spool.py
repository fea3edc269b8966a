"""The spool: durable, bounded, forgetful on time."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.handover import TRIALS, Item, Key, Kind
from edge.uplink.spool import Spool, SpoolError

CAPACITY = 1 << 20


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool.sqlite", CAPACITY, clock)
    yield made
    made.close()


def item(seq: int, boot: int = 1, retention: int = 60, sealed: bytes = b"sealed", kind: Kind = Kind.PLATE) -> Item:
    return Item(kind, Key(boot, seq), retention, sealed)


def numbers(spool: Spool) -> list[tuple[int, int]]:
    return [tuple(stored.key) for stored in spool.after(None, 10_000)]


def test_reports_come_back_whole_and_in_order(spool: Spool) -> None:
    spool.add([item(5, sealed=b"five"), item(2, sealed=b"two", kind=Kind.FACE), item(1, boot=2)])
    assert [tuple(stored) for stored in spool.after(None, 10)] == [
        (Kind.FACE, (1, 2), 1060.0, b"two"),
        (Kind.PLATE, (1, 5), 1060.0, b"five"),
        (Kind.PLATE, (2, 1), 1060.0, b"sealed"),
    ]
    assert [stored.key for stored in spool.after(Key(1, 2), 1)] == [(1, 5)]


def test_what_was_added_is_there_for_a_process_that_finds_the_files_of_a_dead_one(spool: Spool, tmp_path: Path) -> None:
    spool.add([item(seq) for seq in range(100)])
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in tmp_path.glob("spool.sqlite*"):  # as they are on the disk now: nothing was closed
        shutil.copy(file, copy)
    found = Spool(copy / "spool.sqlite", CAPACITY, lambda: 1000.0)
    assert len(found) == 100
    found.close()


def test_removed_reports_are_gone_at_once_and_for_good_after_a_flush(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path / "s", CAPACITY, clock)
    spool.add([item(seq) for seq in range(4)])
    spool.remove([Key(1, 1), Key(1, 2)])
    assert numbers(spool) == [(1, 0), (1, 3)]
    assert len(spool) == 2
    spool.flush()
    spool.close()
    assert numbers(Spool(tmp_path / "s", CAPACITY, clock)) == [(1, 0), (1, 3)]


def test_after_leaves_out_what_is_under_way_and_still_fills_the_window(spool: Spool) -> None:
    spool.add([item(seq) for seq in range(10)])
    spool.remove([Key(1, 0)])
    found = spool.after(None, 3, besides={Key(1, 1), Key(1, 3)})
    assert [stored.key.seq for stored in found] == [2, 4, 5]


def test_a_report_that_comes_again_is_stored_once(spool: Spool) -> None:
    spool.add([item(1), item(1)])
    spool.add([item(1)])
    assert numbers(spool) == [(1, 1)]
    assert spool.dropped == {}


def test_a_report_that_the_broker_has_is_not_stored_again(spool: Spool) -> None:
    spool.add([item(1)])
    spool.remove([Key(1, 1)])
    spool.add([item(1)])
    assert numbers(spool) == []


def test_a_different_report_under_a_used_number_is_counted(spool: Spool) -> None:
    spool.add([item(1, sealed=b"first")])
    spool.add([item(1, sealed=b"other")])
    assert [stored.sealed for stored in spool.after(None, 9)] == [b"first"]
    assert spool.dropped == {"conflict": 1}


def test_the_oldest_give_way_when_it_is_full_and_are_counted(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path / "s", 10 * (900 + 72), clock)
    spool.add([item(seq, sealed=bytes(900)) for seq in range(14)])
    assert numbers(spool) == [(1, seq) for seq in range(4, 14)]
    spool.close()
    again = Spool(tmp_path / "s", 10 * (900 + 72), clock)
    again.add([item(14, sealed=bytes(900))])
    assert numbers(again)[0] == (1, 5)
    assert again.dropped == {"full": 5}  # counted over the restart


def test_room_is_made_by_removals(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path / "s", 10 * (900 + 72), clock)
    for seq in range(0, 100, 5):
        spool.add([item(seq + k, sealed=bytes(900)) for k in range(5)])
        spool.remove(Key(1, seq + k) for k in range(5))
    assert spool.dropped == {}


def test_no_report_outlives_its_retention(spool: Spool, clock: Clock) -> None:
    spool.add([item(1, retention=10), item(2, retention=30)])
    clock.time += 10
    spool.flush()
    assert numbers(spool) == [(1, 2)]
    assert spool.dropped == {"expired": 1}


def test_deleted_content_is_overwritten(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path / "s", CAPACITY, clock)
    spool.add([item(seq, sealed=b"very-particular-bytes") for seq in range(50)])
    spool.remove(Key(1, seq) for seq in range(50))
    spool.close()
    for file in tmp_path.iterdir():
        assert b"very-particular" not in file.read_bytes()


def test_only_the_owner_may_read_it(spool: Spool, tmp_path: Path) -> None:
    spool.add([item(1)])
    files = list(tmp_path.iterdir())
    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_full_disk_refuses_the_whole_batch_and_leaves_the_rest_intact(spool: Spool) -> None:
    spool.add([item(1)])
    pages = spool._database._link.execute("PRAGMA page_count").fetchone()[0]
    spool._database._link.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(SpoolError, match="full"):
        spool.add([item(seq, sealed=bytes(900)) for seq in range(2, 200)])
    assert numbers(spool) == [(1, 1)]
    assert len(spool) == 1
    spool._database._link.execute("PRAGMA max_page_count = 1000000")
    spool.add([item(2)])
    assert numbers(spool) == [(1, 1), (1, 2)]


def test_a_file_that_is_no_spool_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"not a database" * 100)
    spool = Spool(tmp_path / "s", CAPACITY)
    spool.add([item(1)])
    assert numbers(spool) == [(1, 1)]
    assert (tmp_path / "s.unknown").read_bytes() == b"not a database" * 100
    spool.close()


def test_a_missing_folder_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="cannot be opened"):
        Spool(tmp_path / "nowhere" / "s", CAPACITY)


def test_reports_that_are_only_tests_are_in_nobodys_account(spool: Spool, clock: Clock) -> None:
    """Numbers of theirs mean nothing: none is stated as sent, none is announced as lost, none makes a hole."""
    tests = [item(seq, boot=TRIALS, kind=Kind.TRIAL) for seq in (2**62 - 1, 7, 5)]
    spool.add([tests[0], item(1, retention=600), tests[1], item(2, retention=600)])
    assert (len(spool), spool.sent()) == (4, [(1, 0)])
    spool.give_up(tests[0].key)
    spool.remove([Key(1, 1), Key(1, 2)])
    spool.flush()
    assert spool.sent() == [(1, 2)]
    clock.time += 61
    spool.tidy()  # the other has expired
    spool.add([tests[2], item(3, retention=600)])
    spool.add([item(5, boot=TRIALS, kind=Kind.TRIAL, sealed=b"another")])
    assert (spool.losses, spool.dropped) == ([], {})
    assert numbers(spool) == [(TRIALS, 5), (1, 3)]


def test_a_spool_that_begins_with_a_test_report_has_lost_nothing(tmp_path: Path, clock: Clock) -> None:
    with closing(Spool(tmp_path / "new.sqlite", CAPACITY, clock)) as spool:
        spool.add([item(99, boot=TRIALS, kind=Kind.TRIAL)])
    with closing(Spool(tmp_path / "new.sqlite", CAPACITY, clock)) as spool:
        spool.add([item(1), item(2)])
        assert (spool.losses, spool.sent()) == ([], [(1, 0)])
