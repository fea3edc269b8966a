"""What a subscriber remembers, and what is left of it after a crash at any byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.listen import checkpoint as module
from edge.listen.checkpoint import Checkpoint, CheckpointError, Id
from edge.listen.ranges import Ranges


@given(st.lists(st.integers(0, 60), max_size=80))
def test_ranges_are_a_set(numbers: list[int]) -> None:
    ranges, plain = Ranges(), set[int]()
    for number in numbers:
        assert ranges.add(number) == (number not in plain)
        plain.add(number)
    assert {number for number in range(-1, 62) if number in ranges} == plain
    assert Ranges(ranges.pairs).pairs == ranges.pairs
    flat = [number for pair in ranges.pairs for number in pair]
    assert flat == sorted(flat)
    assert all(after - before > 1 for before, after in zip(flat[1::2], flat[2::2], strict=False))


def test_ranges_forget_the_lowest() -> None:
    ranges = Ranges([(1, 2), (5, 6), (9, 9)])
    ranges.forget_lowest(2)
    assert ranges.pairs == [(5, 6), (9, 9)]
    assert len(ranges) == 2


def test_it_remembers_what_was_committed_and_nothing_else(tmp_path: Path) -> None:
    first = Checkpoint(tmp_path / "state")
    assert first.note(Id("cam-1", 1, 1))
    assert first.note(b"digest")
    first.learn("cam-1", b"certificate")
    first.commit()
    assert first.note(Id("cam-1", 1, 2))
    first.close()  # dies before it commits
    second = Checkpoint(tmp_path / "state")
    assert not second.note(Id("cam-1", 1, 1))
    assert not second.note(b"digest")
    assert second.note(Id("cam-1", 1, 2))
    assert second.certificates("cam-1") == [b"certificate"]
    assert second.certificates("cam-2") == []
    second.close()


def test_a_file_cut_at_any_byte_forgets_the_end_only(tmp_path: Path) -> None:
    path = tmp_path / "state"
    state = Checkpoint(path)
    sizes = []
    for seq in range(6):
        state.note(Id("cam-1", 1, seq))
        state.commit()
        sizes.append(path.stat().st_size)
    state.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        (tmp_path / "cut").write_bytes(whole[:cut])
        left = Checkpoint(tmp_path / "cut")
        kept = [seq for seq in range(6) if not left.note(Id("cam-1", 1, seq))]
        left.close()
        whole_lines, but_for_their_end = (sum(size <= end for size in sizes) for end in (cut, cut + 1))
        assert kept in (list(range(whole_lines)), list(range(but_for_their_end)))


def test_it_grows_no_further_than_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LARGEST", 1_000)
    state = Checkpoint(tmp_path / "state")
    for seq in range(200):
        state.note(Id("cam-1", 1, seq))
        state.commit()
        assert (tmp_path / "state").stat().st_size < 1_200
    state.close()
    again = Checkpoint(tmp_path / "state")
    assert not any(again.note(Id("cam-1", 1, seq)) for seq in range(200))
    again.close()


def test_memory_is_bounded_and_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("_STARTS", 2), ("_RANGES", 3), ("_DIGESTS", 2), ("_CAMERAS", 2), ("_KEYS", 1)):
        monkeypatch.setattr(module, name, value)
    state = Checkpoint()
    for boot in range(5):
        state.note(Id("cam-1", boot, 1))
    assert list(state._seen["cam-1"]) == [3, 4]
    for seq in range(0, 100, 2):
        state.note(Id("cam-1", 4, seq))
    assert len(state._seen["cam-1"][4]) <= 4
    assert not state.note(Id("cam-1", 4, 98))
    for camera in ("a", "b", "c"):
        state.note(Id(camera, 1, 1))
        state.learn(camera, b"1")
        state.learn(camera, b"2")
    assert list(state._seen) == ["b", "c"]
    assert state.certificates("a") == [b"2"]
    for digest in (b"1", b"2", b"3"):
        state.note(digest)
    assert len(state._digests) == 2


def test_two_subscribers_do_not_share_one(tmp_path: Path) -> None:
    state = Checkpoint(tmp_path / "state")
    with pytest.raises(CheckpointError, match="name of its own"):
        Checkpoint(tmp_path / "state")
    state.close()
    Checkpoint(tmp_path / "state").close()


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="Check the folder"):
        Checkpoint(tmp_path / "file" / "state")
