"""Gap announcements, and the account of a subscriber."""

from __future__ import annotations

import io
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edge import gaps
from edge.gaps import Account, Gap, GapError, Place
from edge.listen.display import Board, Lines
from edge.listen.opener import Opener, Rejected

CAMERA = "cam-1"


def gap(first, last, count=None, boot=1, identity=1, reason="full"):
    start = None if first is None else Place(boot, first)
    return Gap(
        camera=CAMERA, id=f"{identity:016x}", reason=reason, count=count, first=start, last=Place(boot, last), time=1000
    )


def account(*numbers, boot=1):
    made = Account()
    for seq in numbers:
        made.came((boot, seq))
    return made


def test_an_announcement_survives_its_form():
    endless = msgspec.structs.replace(gap(3, 7), last=None)
    for each in (gap(1, 5, 3), gap(None, 7), endless, gap(2, 2, 1, reason="corrupt")):
        assert gaps.decode(gaps.encode(each), CAMERA) == each


def test_it_is_plain_json():
    assert msgspec.json.decode(gaps.encode(gap(1, 5, 3))) == {
        "camera": CAMERA, "id": "0000000000000001", "reason": "full", "count": 3, "first": [1, 1], "last": [1, 5],
        "time": 1000,
    }  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [{"count": 0}, {"count": -1}, {"count": "3"}, {"first": [1]}, {"first": [1, 9]}, {"reason": "x"},
     {"camera": "cam-2"}, {"id": "x"}, {"last": [1, -1]}, {"last": "now"}, {"last": [1, 2**63]}, {"time": "now"}],
)  # fmt: skip
def test_what_is_none_is_refused(change):
    content = msgspec.json.decode(gaps.encode(gap(1, 5, 3))) | change
    with pytest.raises(GapError):
        gaps.decode(msgspec.json.encode(content), CAMERA)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff\xfe", b"{" * 10_000, b" " * 5000])
def test_garbage_is_refused(content):
    with pytest.raises(GapError):
        gaps.decode(content, CAMERA)


def test_it_says_in_words_what_is_gone():
    assert str(gap(1, 5, 3)) == "3 report(s) lost (full), from 1/1 to 1/5"
    assert str(gap(None, 5)) == "an unknown number of reports lost (full), from the beginning to 1/5"


def test_what_came_in_order_leaves_nothing_missing():
    assert account(*range(1, 50)).missing() == []


def test_a_report_counts_once():
    made = Account()
    assert [made.came((1, seq)) for seq in (1, 3, 1, 2, 3, 2)] == [True, True, False, True, False, False]


def test_holes_are_missing_until_they_are_filled():
    made = account(1, 2, 5, 9)
    assert made.missing() == [(1, 3, 4), (1, 6, 8)]
    made.came((1, 7))
    made.came((1, 3))
    assert made.missing() == [(1, 4, 4), (1, 6, 6), (1, 8, 8)]


def test_who_comes_late_misses_nothing_from_before():
    assert account(100, 101).missing() == []


def test_a_new_start_is_expected_from_its_first_report():
    made = account(7, 8)
    made.came((2, 3))
    assert made.missing() == [(2, 1, 2)]


def test_the_end_is_missed_once_the_camera_has_stated_it():
    made = account(1, 2)
    made.stated((1, 4))
    assert made.missing() == [(1, 3, 4)]
    made.stated((2, 2))
    assert made.missing() == [(1, 3, 4), (2, 1, 2)]


def test_what_is_stated_before_anything_came_is_no_loss():
    made = Account()
    made.stated((1, 100))
    assert made.missing() == []
    made.came((1, 99))  # it had been under way
    made.came((1, 101))
    assert made.missing() == [(1, 100, 100)]


def test_an_announcement_explains_what_it_counts():
    made = account(1, 5, 9)
    made.announced(gap(2, 4, 3))
    assert made.missing() == [(1, 6, 8)]
    made.announced(gap(2, 8, 6))  # the same, grown
    assert made.missing() == []


def test_an_announcement_of_too_few_explains_nothing_for_certain():
    made = account(1, 5)
    made.announced(gap(1, 5, 2))
    assert made.missing() == [(1, 2, 4)]
    made.came((1, 3))
    assert made.missing() == []


def test_an_announcement_of_unknown_extent_explains_everything_up_to_its_end():
    made = account(1, 5, 9)
    made.came((2, 4))
    made.announced(gap(None, 1, boot=2))
    assert made.missing() == [(2, 2, 3)]


def test_an_announcement_without_an_end_explains_what_was_known_then():
    made = account(1, 5)
    made.announced(msgspec.structs.replace(gap(None, 1), last=None))
    assert made.missing() == []
    made.came((1, 8))
    assert made.missing() == [(1, 6, 7)]
    fresh = Account()
    fresh.announced(msgspec.structs.replace(gap(None, 1), last=None))
    assert fresh.missing() == []


def test_memory_stays_bounded():
    made = Account()
    for seq in range(1, 40_000, 2):
        made.came((1, seq))
    for boot in range(2, 6000):
        made.came((boot, 1))
    for number in range(3000):
        made.announced(gap(1, 2, 1, identity=number))
    assert sum(map(len, made._came.values())) <= 1024 + 256
    assert len(made._until) <= 256
    assert len(made._gaps) <= 1024
    assert made.missing() == []


@given(st.sets(st.integers(1, 60), min_size=1), st.sets(st.integers(1, 60)), st.integers(0, 1000))
def test_whatever_the_order_every_number_is_here_announced_or_missing(came, lost, seed):
    lost -= came
    order = [*came] * 2
    random.Random(seed).shuffle(order)
    made = account(*order)
    for number, seq in enumerate(sorted(lost)):
        made.announced(gap(seq, seq, 1, identity=number))
    missing = {seq for stretch in made.missing() for seq in range(stretch.first, stretch.last + 1)}
    assert missing.isdisjoint(came | lost)
    assert missing | came | lost >= set(range(min(came), max(came) + 1))


def test_a_subscriber_is_told_once_and_again_when_the_gap_has_grown():
    opener = Opener(None, {})
    take = [gap(1, 5, 3), gap(1, 5, 3), gap(1, 9, 7)]
    found = [finding for each in take for finding in opener.take(f"vidik/v1/{CAMERA}/gap", gaps.encode(each))]
    assert found == [take[0], take[2]]
    (refused,) = opener.take("vidik/v1/cam-2/gap", gaps.encode(take[0]))
    assert isinstance(refused, Rejected)


def test_gaps_are_shown():
    warnings, screen = io.StringIO(), io.StringIO()
    with Lines(io.StringIO(), warnings) as lines:
        lines.show(gap(1, 5, 3))
    assert "gap of cam-1: 3 report(s) lost (full), from 1/1 to 1/5" in warnings.getvalue()
    board = Board(type("", (), {"opener": Opener(None, {})})(), Console(file=screen, width=200))
    board.show(gap(1, 5, 3))
    Console(file=screen, width=200).print(board._render())
    assert "3 report(s) lost (full)" in screen.getvalue()
    assert "1 gap" in screen.getvalue()


def test_reports_for_others_are_no_losses():
    made = Account()
    made.came_for_another()  # before any number is expected: explains nothing
    made.came((1, 10))
    for _ in range(3):
        made.came_for_another()
    made.came((1, 14))
    assert (made.missing(), made.lost) == ([(1, 11, 13)], 0)
    made.came((1, 17))
    assert made.lost == 2  # which of the five holes they are, only who holds all keys can say
    made.announced(gap(15, 16, 2))
    assert (made.missing(), made.lost) == ([(1, 11, 13)], 0)


def test_with_every_key_what_is_lost_is_what_is_missing():
    made = account(1, 2, 5, 9)
    assert made.lost == sum(len(hole) for hole in made.missing()) == 5
