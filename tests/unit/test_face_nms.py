"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.vision.nms import CONTAINED, merge
from edge.vision.values import Box, Detection, Kind

NO_POINTS = np.zeros((4, 2), np.float32)


def face(x0: float, y0: float, x1: float, y1: float, score: float, kind: Kind = Kind.FACE) -> Detection:
    return Detection(kind, Box(x0, y0, x1, y1), score, NO_POINTS)


def test_nothing_in_nothing_out() -> None:
    assert merge([]) == []


def test_the_better_of_two_views_of_one_object_stays() -> None:
    worse, better = face(10, 10, 50, 50, 0.6), face(12, 11, 52, 51, 0.9)
    assert merge([worse, better]) == [better]


def test_neighbours_both_stay_best_first() -> None:
    left, right = face(0, 0, 40, 40, 0.6), face(38, 0, 78, 40, 0.9)
    assert merge([left, right]) == [right, left]


def test_a_part_yields_to_the_better_whole_and_a_whole_to_the_better_part() -> None:
    whole, part = face(0, 0, 100, 100, 0.9), face(0, 0, 100, 20, 0.7)  # intersection over union is only 0.2
    assert merge([part, whole]) == [whole]
    surer = face(0, 0, 100, 20, 0.95)
    assert merge([whole, surer]) == [surer]


def test_kinds_do_not_suppress_each_other() -> None:
    plate, head = face(0, 0, 40, 40, 0.6, Kind.PLATE), face(0, 0, 40, 40, 0.9)
    assert merge([plate, head]) == [head, plate]


def test_empty_boxes_do_no_harm() -> None:
    empty, real = face(5, 5, 5, 5, 0.9), face(0, 0, 40, 40, 0.8)
    assert real in merge([empty, real])


def test_limits_by_hand() -> None:
    better, beside = face(0, 0, 10, 10, 0.9), face(5, 0, 15, 10, 0.8)  # intersection over union is 50 / 150
    assert merge([better, beside], iou=0.33) == [better]
    assert merge([better, beside], iou=0.34) == [better, beside]
    for reach, stays in ((6.9, True), (7.1, False)):  # of a small box of 10 by 1, this much lies in the other
        small = face(10 - reach, 0, 20 - reach, 1, 0.8)
        assert merge([better, small]) == ([better, small] if stays else [better])


sides = st.floats(1, 300)
boxes = st.builds(
    lambda x, y, w, h, s: face(x, y, x + w, y + h, s),
    st.floats(0, 500),
    st.floats(0, 500),
    sides,
    sides,
    st.floats(0, 1),
)


@given(st.lists(boxes, max_size=12), st.floats(0.1, 0.9))
def test_what_stays_does_not_overlap_and_what_goes_had_a_better_rival(found: list[Detection], iou: float) -> None:
    kept = merge(found, iou)
    assert [d.score for d in kept] == sorted((d.score for d in kept), reverse=True)
    for i, one in enumerate(kept):
        assert all(one.box.iou(other.box) < iou + 1e-3 for other in kept[i + 1 :])
    for gone in (d for d in found if not any(d is k for k in kept)):
        rivals = [k for k in kept if k.score >= gone.score]
        assert any(k.box.iou(gone.box) >= iou - 1e-3 or contained(k.box, gone.box) >= CONTAINED - 1e-3 for k in rivals)


def contained(one: Box, other: Box) -> float:
    width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    return max(0.0, width) * max(0.0, height) / min(one.area, other.area)
