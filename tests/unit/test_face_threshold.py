"""From false alarms a day to a cosine."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.vision.face_threshold import CURVE, ThresholdError, match_rate, threshold

POSITIVE = st.floats(1e-3, 1e6)


def test_the_curve_rises_as_the_rate_falls():
    assert all(a[0] > b[0] and a[1] < b[1] for a, b in pairwise(CURVE))


@pytest.mark.parametrize(("rate", "cosine"), CURVE)
def test_the_curve_goes_through_its_points(rate, cosine):
    assert threshold(rate) == pytest.approx(cosine, abs=1e-9)


@given(st.floats(1e-7, 1.0), st.floats(1e-7, 1.0))
def test_a_lower_rate_never_lowers_the_threshold(one, other):
    low, high = sorted((one, other))
    assert CURVE[0][1] <= threshold(high) <= threshold(low) <= CURVE[-1][1]


def test_between_two_points_it_is_linear_in_the_logarithm():
    middle = (CURVE[2][1] + CURVE[3][1]) / 2
    assert threshold((CURVE[2][0] * CURVE[3][0]) ** 0.5) == pytest.approx(middle)


@pytest.mark.parametrize("rate", [0.0, -1.0, 9e-8, float("nan")])
def test_what_was_not_calibrated_is_refused(rate):
    with pytest.raises(ThresholdError, match="fewer persons"):
        threshold(rate)


@given(alarms=POSITIVE, passers=POSITIVE, listed=st.integers(1, 10_000))
def test_the_camera_raises_no_more_alarms_than_chosen_however_alike_the_listed_are(alarms, passers, listed):
    rate = match_rate(alarms, passers, listed)
    assert rate * listed * passers <= alarms * (1 + 1e-9)  # the union bound
    assert rate * listed * passers == pytest.approx(min(alarms, passers))


def test_drawn_passers_raise_the_alarms_that_were_chosen():
    """Comparisons drawn at the rate: 200 days with 2,000 passers-by, 50 listed, 4 alarms a day."""
    rate = match_rate(4, 2000, 50)
    alarms = (np.random.default_rng(6).binomial(50, rate, (200, 2000)) > 0).sum(axis=1)
    assert alarms.mean() == pytest.approx(4, abs=3 * 2 / 200**0.5)


@pytest.mark.parametrize("given_", [(0, 10, 1), (1, 0, 1), (1, 10, 0), (-1, 10, 1)])
def test_nothing_makes_no_rate(given_):
    with pytest.raises(ThresholdError):
        match_rate(*given_)
