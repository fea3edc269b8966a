"""What a spool makes of a medium that fails: damage is isolated and announced, a full disk passes."""

from __future__ import annotations

import random
import resource
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edge.handover import Item, Key, Kind
from edge.uplink import database, spool
from edge.uplink.spool import Spool, SpoolError

CAPACITY = 64 << 20
TOTAL = 600


def item(seq: int, boot: int = 1, retention: int = 3600) -> Item:
    return Item(Kind.PLATE, Key(boot, seq), retention, b"%06d" % seq * 50)


def filled(path: Path) -> None:
    made = Spool(path, CAPACITY, lambda: 1000.0)
    made.add([item(seq) for seq in range(1, TOTAL + 1)])
    made.close()


def opened(path: Path, capacity: int = CAPACITY) -> Spool:
    return Spool(path, capacity, lambda: 1000.0)


def numbers(made: Spool) -> list[int]:
    return [stored.key.seq for stored in made.after(None, 10_000)]


def accounted(made: Spool) -> bool:
    """Every report is either there, unchanged, or inside of a loss that counts enough of them."""
    there = {stored.key: stored.sealed for stored in made.after(None, 10_000)}
    assert all(sealed == item(key.seq).sealed for key, sealed in there.items())
    made.flush()  # what was found damaged becomes a loss
    missing = {Key(1, seq) for seq in range(1, TOTAL + 1)} - there.keys()
    for loss in made.losses:
        inside = {
            key
            for key in missing
            if (loss.first is None or loss.first <= key) and (loss.last is None or key <= loss.last)
        }
        if loss.count is None or len(inside) <= loss.count:
            missing -= inside
    return not missing


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_damaged_the_rest_is_saved_and_the_loss_is_announced(tmp_path: Path, seed: int) -> None:
    path, chance = tmp_path / "s", random.Random(seed)
    filled(path)
    content = bytearray(path.read_bytes())
    for _ in range(chance.randint(1, 4)):
        place = chance.randrange(len(content))
        length = chance.choice([1, 3, 500, 4096])
        content[place : place + length] = chance.randbytes(len(content[place : place + length]))
    path.write_bytes(content[: chance.randrange(1, len(content))] if seed % 5 == 0 else content)
    made = opened(path)
    made.add([item(TOTAL + 1)])
    assert accounted(made)
    assert not path.with_name("s.broken").exists()
    made.close()


def test_a_damaged_page_costs_the_reports_of_that_page_only(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"000300" * 50) // 4096 * 4096
    content[place : place + 4096] = bytes(4096)
    path.write_bytes(content)
    made = opened(path)
    kept = numbers(made)
    assert TOTAL - len(kept) <= 20
    assert {1, TOTAL} <= set(kept)
    (loss,) = made.losses
    assert (loss.reason, loss.count) == ("corrupt", None)
    assert loss.first is not None
    assert loss.last.seq - loss.first.seq < 25
    made.close()


def test_a_flipped_bit_in_a_report_is_found_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"000300" * 50) + 17] ^= 1
    path.write_bytes(content)
    made = opened(path)
    assert numbers(made) == [seq for seq in range(1, TOTAL + 1) if seq != 300]
    made.tidy()
    (loss,) = made.losses
    assert (loss.reason, loss.count, loss.first, loss.last) == ("corrupt", 1, (1, 300), (1, 300))
    assert len(made) == TOTAL - 1
    made.close()


@pytest.mark.parametrize("crash", ["before the database was renamed", "before anything was read"])
def test_a_crash_during_the_rescue_changes_nothing(tmp_path: Path, crash: str) -> None:
    path = tmp_path / "s"
    filled(path)
    log = path.with_name("s-wal")
    running = opened(path)
    running.add([item(TOTAL + 1)])
    (tmp_path / "copy").mkdir()
    for file in (path, log):
        shutil.copy(file, tmp_path / "copy")
    running.close()
    path = tmp_path / "copy" / "s"
    path.with_name("s-wal").rename(path.with_name("s.broken-wal"))
    if crash == "before anything was read":
        path.rename(path.with_name("s.broken"))
    made = opened(path)
    assert numbers(made) == list(range(1, TOTAL + 2))
    assert sorted(file.name for file in path.parent.iterdir()) == ["s", "s-shm", "s-wal"]
    made.close()


def test_a_total_loss_is_announced_before_the_next_report_comes(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path)
    path.write_bytes(random.Random(1).randbytes(path.stat().st_size))
    made = opened(path)
    (loss,) = made.losses
    assert (loss.reason, loss.count, loss.first, loss.last) == ("corrupt", None, None, None)
    made.add([item(TOTAL + 5)])
    (loss,) = made.losses
    assert (loss.count, loss.first, loss.last) == (None, None, (1, TOTAL + 4))
    made.close()


def test_an_emptied_file_is_noticed_by_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path)
    path.write_bytes(b"")
    made = opened(path)
    made.add([item(TOTAL + 1)])
    (loss,) = made.losses
    assert (loss.reason, loss.count, loss.first, loss.last) == ("reset", None, None, (1, TOTAL))
    made.close()


def test_damage_while_it_is_open_is_isolated_too(tmp_path: Path) -> None:
    path = tmp_path / "s"
    filled(path)
    made = opened(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(random.Random(1).randbytes(path.stat().st_size - 4096))
    made._database.close()
    made._database = database.Database.__new__(database.Database)
    made._database._link = sqlite3.connect(path, isolation_level=None)
    assert isinstance(numbers(made), list)
    made.add([item(TOTAL + 1)])
    assert accounted(made)
    made.close()


def test_losses_and_counts_outlive_damage(tmp_path: Path) -> None:
    path = tmp_path / "s"
    made = opened(path, 300 * (300 + 72))
    made.add([item(seq) for seq in range(1, TOTAL + 1)])
    before = made.dropped
    assert before["full"] == 300
    made.close()
    content = bytearray(path.read_bytes())
    place = content.index(b"000450" * 50) // 4096 * 4096
    content[place : place + 4096] = bytes(4096)
    path.write_bytes(content)
    made = opened(path, 300 * (300 + 72))
    assert {loss.reason for loss in made.losses} == {"full", "corrupt"}
    assert made.dropped["full"] == 300
    assert accounted(made)
    made.close()


@contextmanager
def no_more_bytes() -> Iterator[None]:
    """The disk takes no writes beyond a file's first byte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_fails_for_a_while_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_REOPEN_SECONDS", 0.0)
    made = opened(tmp_path / "s")
    made.add([item(1)])
    with no_more_bytes():
        for _ in range(3):
            with pytest.raises(SpoolError, match="full, read-only or failing"):
                made.add([item(2)])
        assert made.trouble
    made.add([item(2)])
    assert made.trouble is None
    assert numbers(made) == [1, 2]
    made.close()


def test_a_disk_that_cannot_be_written_at_the_start_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "_REOPEN_SECONDS", 0.0)
    with no_more_bytes():
        made = opened(tmp_path / "s")
        assert made.trouble
        assert len(made) == 0
        with pytest.raises(SpoolError):
            made.add([item(1)])
    made.add([item(1)])
    assert numbers(made) == [1]
    made.close()


def test_a_rescue_that_finds_no_room_is_done_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_REOPEN_SECONDS", 0.0)
    path = tmp_path / "s"
    filled(path)
    path.rename(path.with_name("s.broken"))
    with no_more_bytes():
        made = opened(path)
        assert made.trouble
    assert numbers(made) == list(range(1, TOTAL + 1))
    assert made.losses == []
    made.close()


def test_numbers_that_were_left_out_are_announced(tmp_path: Path) -> None:
    made = opened(tmp_path / "s")
    made.add([item(1), item(2), item(5)])
    made.add([item(3, boot=2)])
    (loss,) = made.losses
    assert (loss.reason, loss.count, loss.first, loss.last) == ("skipped", 4, (1, 3), (2, 2))
    made.close()


def test_a_camera_that_begins_has_no_gap(tmp_path: Path) -> None:
    made = opened(tmp_path / "s")
    made.add([item(1), item(2)])
    made.add([item(1, boot=2)])
    assert made.losses == []
    made.close()


def test_a_loss_that_grew_after_it_was_told_stays(tmp_path: Path) -> None:
    made = opened(tmp_path / "s")
    made.add([item(1), item(3)])
    (first,) = made.losses
    made.add([item(5)])
    made.told(first)
    made.flush()
    (second,) = made.losses
    assert (second.id, second.count) == (first.id, 2)
    made.told(second)
    assert made.losses == []
    made.close()
    again = opened(tmp_path / "s")
    assert again.losses == []
    assert again.dropped == {"skipped": 2}
    again.close()


def test_up_to_where_everything_was_sent(tmp_path: Path) -> None:
    made = opened(tmp_path / "s")
    assert made.sent() == []
    made.add([item(1), item(2), item(3)])
    assert made.sent() == [(1, 0)]
    made.remove([Key(1, 1)])
    made.add([item(seq, boot=2) for seq in range(1, 4)])
    assert made.sent() == [(1, 1)]
    made.remove([Key(1, 2), Key(1, 3), Key(2, 1), Key(2, 3)])
    assert made.sent() == [(1, 3), (2, 1)]
    made.remove([Key(2, 2)])
    assert made.sent() == [(1, 3), (2, 3)]
    for boot in range(3, 20):
        made.add([item(1, boot=boot)])
        made.remove([Key(boot, 1)])
    assert [key.boot for key in made.sent()] == list(range(12, 20))
    made.close()


def test_the_latest_number_is_known_after_a_crash_whether_its_report_is_there_or_not(tmp_path: Path) -> None:
    path, copies = tmp_path / "s", []

    def crash() -> list[Key]:
        copies.append(tmp_path / f"copy-{len(copies)}")
        copies[-1].mkdir()
        for file in tmp_path.glob("s*"):
            shutil.copy(file, copies[-1])
        found = opened(copies[-1] / "s")
        found.add([item(9)])
        found.close()
        return [(loss.reason, loss.first, loss.last) for loss in found.losses]

    made = opened(path)
    made.add([item(1), item(2)])
    made.remove([Key(1, 1)])
    made.add([item(3), item(4)])
    assert crash() == [("skipped", (1, 5), (1, 8))]
    made.remove([Key(1, seq) for seq in (2, 3, 4)])
    made.flush()
    assert crash() == [("skipped", (1, 5), (1, 8))]
    made.close()


def test_the_cap_counts_what_long_reports_cost_on_the_medium(tmp_path: Path) -> None:
    path = tmp_path / "s"
    made = opened(path, 4 << 20)
    for seq in range(1, 2000, 50):
        made.add([Item(Kind.PLATE, Key(1, seq + k), 3600, random.Random(k).randbytes(2000)) for k in range(50)])
    made.close()
    assert 3 << 20 < path.stat().st_size < 4.5 * (1 << 20)
