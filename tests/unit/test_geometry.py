"""Lines and polygons: distances by hand, and what is refused as no proper shape."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import geometry

SQUARE = ((0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0))
ELL = ((0.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0), (2.0, 4.0), (0.0, 4.0))


def test_the_right_hand_side_of_a_line_in_a_picture():
    assert geometry.side((0, 0), (10, 0), (5, 3)) == 3  # y goes down: walking to the right, below is on the right
    assert geometry.side((10, 0), (0, 0), (5, 3)) == -3
    assert geometry.side((0, 0), (0, 10), (-2, 5)) == 2
    assert geometry.share_along((0, 0), (10, 0), (2.5, 7)) == 0.25


@pytest.mark.parametrize(
    ("point", "depth"),
    [((1, 1), 1), ((3, 1), 1), ((2, 2), 0),
     ((3, 3), -1), ((1, 3), 1), ((5, 1), -1), ((-3, -4), -5), ((1.5, 1.9), 0.51)],
)
def test_how_deep_in_a_polygon(point, depth):
    assert geometry.depth(ELL, point) == pytest.approx(depth, abs=1e-2)
    assert geometry.depth(ELL[::-1], point) == pytest.approx(depth, abs=1e-3)


@given(st.floats(-2, 6), st.floats(-2, 6))
def test_depth_in_a_square_is_the_distance_to_the_nearest_side(x, y):
    inside = min(x, y, 4 - x, 4 - y)
    dx, dy = max(-x, 0, x - 4), max(-y, 0, y - 4)
    expected = inside if inside > 0 else -math.hypot(dx, dy)
    assert geometry.depth(SQUARE, (x, y)) == pytest.approx(expected, abs=1e-9)


def test_area():
    assert (geometry.area(SQUARE), geometry.area(ELL), geometry.area(ELL[::-1])) == (16, 12, 12)


@pytest.mark.parametrize(
    ("polygon", "crosses"),
    [
        (SQUARE, False),
        (ELL, False),
        (((0, 0), (4, 4), (4, 0), (0, 4)), True),  # a bow
        (((0, 0), (4, 0), (4, 4), (2, 0), (0, 4)), True),  # touches its own side
        (((0, 0), (4, 0), (2, 0), (2, 4)), True),  # runs back over itself
        (((0, 0), (4, 0), (4, 0.001), (0, 4)), False),
    ],
)
def test_a_polygon_that_crosses_itself(polygon, crosses):
    assert geometry.crosses_itself(polygon) is crosses
    assert geometry.crosses_itself(polygon[::-1]) is crosses
    assert geometry.crosses_itself(polygon[2:] + polygon[:2]) is crosses


def test_convex_and_collinear():
    assert geometry.is_convex(SQUARE)
    assert geometry.is_convex(SQUARE[::-1])
    assert not geometry.is_convex(ELL)
    assert not geometry.is_convex(((0, 0), (4, 4), (4, 0), (0, 4)))
    assert not geometry.is_convex(((0, 0), (4, 0), (1, 1), (0, 4)))
    assert not geometry.nearly_collinear(SQUARE)
    assert geometry.nearly_collinear(((0, 0), (2, 0.01), (4, 0), (0, 4)))
    assert geometry.nearly_collinear(((0, 0), (0, 0), (4, 0), (0, 4)))
