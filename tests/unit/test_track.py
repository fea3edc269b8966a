"""Tracking in a scripted world: one object, one track."""

from __future__ import annotations

import numpy as np

from edge.vision.track import Tracker
from edge.vision.values import Box, Detection, Frame, Kind

PIXELS = np.zeros((2, 2, 3), np.uint8)


def frame(seconds):
    return Frame(PIXELS, 0, seconds, 1.8e9 + seconds)


def seen(x, y, width=100.0, kind=Kind.PLATE, score=0.9):
    height = width / 4.5
    return Detection(kind, Box(x, y, x + width, y + height), score, np.zeros((4, 2), np.float32))


def numbers(pairs):
    return [track.number for track, _ in sorted(pairs, key=lambda pair: pair[1].box.x0)]


def test_a_fast_plate_is_one_track_although_its_boxes_never_overlap():
    tracker = Tracker()
    for i in range(20):
        assert numbers(tracker.update(frame(i / 15), [seen(150.0 * i, 100 + 3 * i)])) == [1]
    assert tracker.count == 1


def test_two_cars_side_by_side_and_crossing_stay_two():
    tracker = Tracker()
    for i in range(30):
        one, two = seen(60.0 * i, 100), seen(1740 - 60.0 * i, 160)
        pairs = {d.box: t.number for t, d in tracker.update(frame(i / 15), [one, two])}
        assert (pairs[one.box], pairs[two.box]) == (1, 2)


def test_lost_for_a_second_and_found_again_is_the_same_object():
    tracker = Tracker()
    for i in range(10):
        tracker.update(frame(i / 15), [seen(20.0 * i, 100)])
    for i in range(10, 25):
        assert tracker.update(frame(i / 15), []) == []
    assert numbers(tracker.update(frame(25 / 15), [seen(20.0 * 25, 100)])) == [1]


def test_gone_for_long_is_another_object():
    tracker = Tracker()
    tracker.update(frame(0), [seen(100, 100)])
    assert numbers(tracker.update(frame(5), [seen(100, 100)])) == [2]
    assert [track.number for track in tracker.live] == [2]


def test_a_parked_car_keeps_its_number_for_ten_minutes_of_jitter_and_gaps():
    tracker = Tracker()
    random = np.random.default_rng(1)
    for i in range(9000):
        if random.random() < 0.7:
            x, y = random.normal((300, 200), 3)
            tracker.update(frame(i / 15), [seen(x, y, width=random.normal(110, 4))])
    assert tracker.count == 1


def test_a_faint_detection_continues_a_track_but_begins_none():
    tracker = Tracker()
    assert tracker.update(frame(0), [seen(0, 0, score=0.2)]) == []
    tracker.update(frame(0.1), [seen(0, 0)])
    assert numbers(tracker.update(frame(0.2), [seen(4, 0, score=0.2)])) == [1]


def test_a_face_and_a_plate_in_one_place_are_two():
    tracker = Tracker()
    tracker.update(frame(0), [seen(0, 0), seen(0, 0, kind=Kind.FACE)])
    assert tracker.count == 2


def test_a_car_that_passes_a_parked_one_does_not_take_its_place():
    tracker = Tracker()
    for i in range(60):
        tracker.update(frame(i / 15), [seen(30, 510)])
    passing = []
    for i in range(60, 75):  # the parked plate is hidden while another appears just below and drives on
        passing += numbers(tracker.update(frame(i / 15), [seen(20 + 40 * (i - 68), 650, width=130)])) if i >= 68 else []
    assert passing == [2] * 7
    assert numbers(tracker.update(frame(75 / 15), [seen(30, 510)])) == [1]
