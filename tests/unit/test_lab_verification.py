"""Verification figures, against brute force and cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.lab import verification
from models.lab.verification import MISSING, Pairs


def pairs(genuine: list[float], impostor: list[float]) -> Pairs:
    scores = np.array(genuine + impostor)
    same = np.array([True] * len(genuine) + [False] * len(impostor))
    return Pairs(scores, same, np.full((len(scores), 2), -1))


SCORES = st.lists(st.integers(-5, 5).map(lambda n: n / 5), min_size=1, max_size=12)


@given(SCORES, SCORES)
def test_auc_is_the_chance_that_a_genuine_pair_scores_higher(genuine: list[float], impostor: list[float]) -> None:
    wins = sum((g > i) + 0.5 * (g == i) for g in genuine for i in impostor)
    fpr, tpr, _ = verification.roc(pairs(genuine, impostor))
    assert verification.auc(fpr, tpr) == pytest.approx(wins / len(genuine) / len(impostor))


@given(SCORES, SCORES)
def test_integer_weights_equal_repeated_pairs(genuine: list[float], impostor: list[float]) -> None:
    given = pairs(genuine, impostor)
    twice = pairs([g for g in genuine for _ in range(2)], [i for i in impostor for _ in range(3)])
    weights = np.where(given.genuine, 2.0, 3.0)
    for one, other in zip(verification.roc(given, weights), verification.roc(twice), strict=True):
        np.testing.assert_allclose(one, other)


def test_tpr_is_taken_where_the_limit_still_holds() -> None:
    fpr, tpr, _ = verification.roc(pairs([0.9, 0.8, 0.5, 0.1], [0.7, *([0.0] * 99)]))
    assert verification.tpr_at(fpr, tpr, 0.01) == pytest.approx(1.0)
    assert verification.tpr_at(fpr, tpr, 0.001) == pytest.approx(0.5)


def test_tpr_is_zero_when_an_impostor_scores_highest() -> None:
    fpr, tpr, _ = verification.roc(pairs([0.5], [0.9]))
    assert verification.tpr_at(fpr, tpr, 0.01) == 0.0


def test_accuracy_of_separable_scores_is_one_and_of_equal_scores_chance() -> None:
    assert verification.accuracy(pairs([0.9] * 20, [0.1] * 20)) == 1.0
    assert verification.accuracy(pairs([0.5] * 20, [0.5] * 20)) <= 0.6


def test_all_pairs_scores_cosines_and_marks_faces_not_found() -> None:
    vectors = np.array([[2.0, 0.0], [3.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    made = verification.all_pairs(vectors, np.array([0, 0, 1, 1]))
    assert made.scores.tolist() == [1.0, 0.0, MISSING, 0.0, MISSING, MISSING]
    assert made.genuine.tolist() == [True, False, False, False, False, True]


def test_intervals_hold_the_value_and_are_wider_for_fewer_people() -> None:
    rng = np.random.default_rng(1)

    def width(people: int) -> float:
        centres = rng.normal(size=(people, 8))
        numbers = np.repeat(np.arange(people), 5)
        made = verification.all_pairs(centres[numbers] + rng.normal(size=(len(numbers), 8)), numbers)
        area = verification.verify(made, rounds=100).auc
        assert area.low <= area.value <= area.high
        return area.high - area.low

    assert width(8) > width(80)


def test_verification_refuses_pairs_of_one_kind() -> None:
    with pytest.raises(ValueError, match="pairs of one person"):
        verification.verify(pairs([0.5, 0.6], []))
