"""Best-shot selection: sharp pictures win, objects are read when it is time, and once."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.vision import image
from edge.vision.best_shot import BestShots, make_shot
from edge.vision.plate_quality import plate_quality
from edge.vision.track import Track
from edge.vision.values import Box, Detection, Frame, Kind

BOX = Box(40, 30, 140, 54)
CORNERS = np.array([[40, 30], [140, 30], [140, 54], [40, 54]], np.float32)
DETECTION = Detection(Kind.PLATE, BOX, 0.9, CORNERS)


def picture(brightness):
    return np.full((100, 200, 3), brightness, np.uint8)


def frame(seconds, pixels=None):
    return Frame(picture(0) if pixels is None else pixels, 0, seconds, 1.8e9 + seconds)


def by_brightness(crop, points, detection):
    return float(crop.mean())


@pytest.fixture
def shots():
    return BestShots({Kind.PLATE: by_brightness})


def track(number=1):
    return Track(number, Kind.PLATE, BOX, 0.0, 0.0)


def test_two_good_pictures_among_forty_bad_ones_come_first(shots):
    it = track()
    for i in range(42):
        shots.offer(frame(i / 15, picture(200 if i in (11, 29) else 10 + i % 5)), it, DETECTION)
    ((_, best, final),) = shots.ripe(3.0, [it])
    assert [round(s.quality) for s in best[:2]] == [200, 200]
    assert len(best) == 5
    assert not final


def test_read_after_watching_again_only_with_better_pictures_and_finally_when_gone(shots):
    it = track()
    shots.offer(frame(0.0, picture(50)), it, DETECTION)
    assert list(shots.ripe(1.0, [it])) == []
    assert len(list(shots.ripe(1.6, [it]))) == 1
    assert list(shots.ripe(5.0, [it])) == []
    for i in range(5):
        shots.offer(frame(5.0 + i, picture(90)), it, DETECTION)
    assert len(list(shots.ripe(10.0, [it]))) == 1
    ((_, _, final),) = shots.ripe(12.0, [])
    assert final
    assert list(shots.ripe(13.0, [])) == []


def test_what_never_suffices_is_tried_less_and_less_often(shots):
    it, tried = track(), []
    for tenth in range(200):  # its pictures get better all the time
        now = tenth / 10
        shots.offer(frame(now, picture(40 + tenth)), it, DETECTION)
        tried += [now for _ in shots.ripe(now, [it])]
    pauses = [round(after - before, 1) for before, after in itertools.pairwise(tried)]
    assert pauses[:3] == [1.0, 2.0, 4.0]
    assert set(pauses[3:]) == {4.0}


def test_a_settled_track_is_not_read_again_and_its_crops_are_gone(shots):
    it = track()
    shots.offer(frame(0.0), it, DETECTION)
    it.settled = True
    assert list(shots.ripe(9.0, [it])) == []
    assert shots._albums == {}


def test_the_crop_is_a_copy_with_points_in_its_own_pixels():
    source = frame(0.0, picture(7))
    shot = make_shot(source, DETECTION, by_brightness)
    source.pixels[:] = 99
    assert shot.crop.max() == 7
    assert shot.crop.shape == (52, 150, 3)  # 25 px of margin across; 14.4 of them down, for 24 of height
    np.testing.assert_allclose(shot.points - shot.points[0], CORNERS - CORNERS[0])
    assert make_shot(source, Detection(Kind.PLATE, Box(300, 300, 320, 310), 0.9, CORNERS), by_brightness) is None


def test_plate_quality_prefers_sharp_large_and_contrasty():
    def quality(pixels, width=100):
        corners = np.array([[0, 0], [width, 0], [width, 24], [0, 24]], np.float32)
        return plate_quality(pixels, corners, DETECTION)

    sharp = np.full((24, 100, 3), 220, np.uint8)
    sharp[4:20, 8:92:12] = sharp[4:20, 9:92:12] = sharp[4:20, 10:92:12] = 20
    blurred = image.resize(image.resize(sharp, 25, 6), 100, 24)
    faint = (sharp // 12 + 100).astype(np.uint8)
    assert quality(sharp) > 1.2 * quality(blurred)
    assert quality(sharp) > 1.2 * quality(faint)
    assert 0 <= quality(np.zeros((24, 100, 3), np.uint8)) < 1
