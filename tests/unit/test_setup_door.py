"""Who comes in to the setup page: the code, its limits, one session, and the end."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from edge.setup import code
from edge.setup.code import CodeError
from edge.setup.door import LASTS, MOST_TRIES, SILENT, TRIES, Door, Refusal

RIGHT = "7KQ4M2XR"


class Times:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Times:
    return Times()


@pytest.fixture
def door(clock: Times) -> Door:
    return Door(lambda given: given == RIGHT, clock)


def test_the_right_code_begins_a_session_and_nothing_else_does(door: Door) -> None:
    assert door.enter("WRONG") == ("", Refusal.WRONG, 0.0, False)
    assert not door.admits("") and not door.admits("WRONG")  # noqa: PT018
    token = door.enter(RIGHT).token
    assert len(token) >= 43
    assert door.admits(token)
    assert not door.admits(token[:-1])
    assert not door.admits("")


def test_five_wrong_codes_close_the_door_and_then_the_right_one_is_not_even_looked_at(clock: Times) -> None:
    looked: list[str] = []

    def is_right(given: str) -> bool:
        looked.append(given)
        return given == RIGHT

    door = Door(is_right, clock)
    for _ in range(TRIES - 1):
        assert door.enter("WRONG").refusal is Refusal.WRONG
    assert door.enter("WRONG") == ("", Refusal.LOCKED, 60.0, True)
    clock.now += 59
    assert door.enter(RIGHT) == ("", Refusal.LOCKED, 1.0, False)
    assert len(looked) == TRIES
    clock.now += 2
    assert door.enter(RIGHT).token


def test_every_lock_lasts_longer_and_the_last_for_good(door: Door, clock: Times) -> None:
    waits = []
    for _ in range(MOST_TRIES):
        outcome = door.enter("WRONG")
        if outcome.refusal is Refusal.LOCKED:
            waits.append(outcome.wait)
            clock.now += outcome.wait + 1
    assert waits == [60, 120, 240]
    assert outcome.refusal is Refusal.CLOSED
    assert door.enter(RIGHT).refusal is Refusal.CLOSED


def test_a_code_that_was_used_begins_no_second_session_while_the_first_lives(door: Door, clock: Times) -> None:
    token = door.enter(RIGHT).token
    clock.now += SILENT - 1
    assert door.enter(RIGHT) == ("", Refusal.BUSY, 1.0, False)
    assert door.admits(token)  # which goes on living by it
    clock.now += SILENT - 1
    assert door.enter(RIGHT).refusal is Refusal.BUSY


def test_a_lost_session_can_be_replaced_and_is_dead_then(door: Door, clock: Times) -> None:
    lost = door.enter(RIGHT).token
    clock.now += SILENT + 1
    token = door.enter(RIGHT).token
    assert door.admits(token)
    assert not door.admits(lost)


def test_wrong_codes_do_not_end_a_session(door: Door, clock: Times) -> None:
    token = door.enter(RIGHT).token
    for _ in range(3 * MOST_TRIES):
        door.enter("WRONG")
        clock.now += 10
        assert door.admits(token)


def test_it_is_over_after_fifteen_minutes_whoever_is_inside(door: Door, clock: Times) -> None:
    token = door.enter(RIGHT).token
    for _ in range(14):
        clock.now += 60
        assert door.admits(token)
    clock.now += 61
    assert LASTS == 900
    assert door.left == 0
    assert not door.admits(token)
    assert door.enter(RIGHT).refusal is Refusal.CLOSED


def test_it_is_over_when_the_camera_is_sealed(door: Door) -> None:
    token = door.enter(RIGHT).token
    door.shut()
    assert door.left == 0
    assert not door.admits(token)


def test_a_proof_belongs_to_one_visitor_of_one_setup_mode(door: Door, clock: Times) -> None:
    proof = door.proof("visitor")
    assert door.proves("visitor", proof)
    assert not door.proves("another", proof)
    assert not door.proves("visitor", proof[:-1] + "g")
    assert not door.proves("visitor", "ć")
    assert not door.proves("", door.proof(""))
    assert not Door(bool, clock).proves("visitor", proof)


def test_a_code_is_known_again_however_it_is_typed(tmp_path: Path) -> None:
    printed = code.make(tmp_path)
    is_right = code.checker(tmp_path)
    assert len(printed) == 9
    assert set(printed) <= set(code.LETTERS) | {"-"}
    alike = printed.replace("0", "o").replace("1", "l")
    for typed in (printed, printed.lower(), f" {printed[:4]} {printed[5:]} ", alike):
        assert is_right(typed), typed
    for wrong in ("", printed[:-1], printed + "2", code.make(tmp_path / "other"), "ć" * 9, "\0", "2" * 10_000):
        assert not is_right(wrong), wrong


def test_the_code_itself_is_nowhere_on_the_camera(tmp_path: Path) -> None:
    printed = code.make(tmp_path)
    kept = tmp_path / code.FILE
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    content = kept.read_bytes()
    assert printed.encode() not in content
    assert code.plain(printed).encode() not in content
    code.make(tmp_path)
    assert not code.checker(tmp_path)(printed)  # a new label makes the old one worthless


def test_without_a_code_nobody_comes_in(tmp_path: Path) -> None:
    with pytest.raises(CodeError, match="label"):
        code.checker(tmp_path)
    (tmp_path / "setup").mkdir()
    (tmp_path / code.FILE).write_text("{}")
    with pytest.raises(CodeError, match="label"):
        code.checker(tmp_path)
