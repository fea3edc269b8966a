"""The figures plates are judged by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lab import plate_metrics
from models.lab.plate_metrics import Outcome, Rate, Read

TEXT = st.text("ABO01", max_size=6)


def outcome(truth: str, text: str | None, reported: bool = True, width: float = 120) -> Outcome:
    return Outcome(truth, width, None if text is None else Read(text, reported, width))


@pytest.mark.parametrize(
    ("truth", "text", "edits"), [("BG123", "BG123", 0), ("BG123", "BG128", 1), ("BG123", "G123", 1), ("AB", "", 2)]
)
def test_distance_counts_edits(truth: str, text: str, edits: int) -> None:
    assert plate_metrics.distance(truth, text) == edits


@given(TEXT, TEXT)
def test_alignment_spells_both_texts_and_is_symmetric_in_length(truth: str, text: str) -> None:
    pairs = plate_metrics.alignment(truth, text)
    assert "".join(a for a, _ in pairs) == truth
    assert "".join(b for _, b in pairs) == text
    assert plate_metrics.distance(truth, text) == plate_metrics.distance(text, truth)
    assert abs(len(truth) - len(text)) <= plate_metrics.distance(truth, text) <= max(len(truth), len(text))


def test_row_judges_only_what_can_be_judged() -> None:
    row = plate_metrics.row(
        "all",
        [
            outcome("A1", "A1"),
            outcome("A1", "A2"),
            outcome("A1", "ZZ", reported=False),
            outcome("A1", None),
            outcome("", "X9"),
        ],
    )
    assert (row.boxes, row.detected, row.readable) == (5, 4, 4)
    assert (row.exact, row.within_one, row.refused, row.reported, row.wrong) == (1, 2, 1, 2, 1)


def test_a_plate_seen_often_weighs_as_much_as_one_seen_once() -> None:
    outcomes = [outcome("A1", "A1")] * 9 + [outcome("B2", "B3")]
    assert plate_metrics.per_plate(outcomes) == pytest.approx(0.5)
    assert plate_metrics.per_plate([outcome("", "A")]) is None


def test_confusions_name_lost_and_invented_characters() -> None:
    found = plate_metrics.confusions([outcome("BO1", "B01"), outcome("BO1", "BO"), outcome("BO1", "BO11")])
    assert found == {("O", "0"): 1, ("1", ""): 1, ("", "1"): 1}


def test_confusions_leave_out_texts_that_are_quite_different() -> None:
    assert not plate_metrics.confusions([outcome("ABCDEF", "123456")])


def test_by_width_puts_a_width_in_the_bin_that_begins_with_it() -> None:
    rows = plate_metrics.by_width(
        [outcome("A", "A", width=79.9), outcome("A", "A", width=80), outcome("A", "", width=500)]
    )
    assert [(r.name, r.boxes) for r in rows] == [("60-79", 1), ("80-99", 1), (">= 200", 1)]


def test_wilson_interval_matches_the_published_example() -> None:
    low, high = Rate(81, 263).interval  # Newcombe (1998), table I, method 3
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_a_rate_of_nothing_has_no_value() -> None:
    assert Rate(0, 0).value is None
    assert str(Rate(0, 0)) == "-"


def test_fold_makes_letter_and_digit_one() -> None:
    assert plate_metrics.fold("BO0Q") == "B00Q"
