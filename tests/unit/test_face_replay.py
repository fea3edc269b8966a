"""The replay's bookkeeping: where the camera looks, what counts as a track, and when it was found."""

from __future__ import annotations

import numpy as np
import pytest

from edge.vision.values import Box
from models.face_detector import replay
from models.face_detector.evaluate import HEIGHT, WIDTH, Photo


@pytest.mark.parametrize("seed", range(5))
def test_the_camera_never_leaves_the_plane(seed):
    corners = np.array([[0, 0, 1], [WIDTH, 0, 1], [0, HEIGHT, 1], [WIDTH, HEIGHT, 1]], float)
    for matrix in replay.path(np.random.default_rng(seed)):
        back = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
        seen = (corners @ back.T)[:, :2]
        assert seen.min() >= -1
        assert (seen <= np.array(replay.PLANE) + 1).all()


def test_faces_move_with_the_picture():
    pixels = np.zeros((1700, 2600, 3), np.uint8)
    pixels[500:600, 800:900] = 255
    scene = Photo(pixels, [Box(800, 500, 900, 600)])
    seen = replay.view(scene, np.array([[1.1, 0, -200], [0, 1.1, -100]], np.float32))
    (face,) = seen.faces
    inside = seen.pixels[round(face.y0) + 2 : round(face.y1) - 2, round(face.x0) + 2 : round(face.x1) - 2]
    assert inside.mean() > 245
    assert seen.pixels.mean() < 20


def watched(rows):
    record = replay.Watched()
    for index, (in_view, tracked) in enumerate(rows):
        record.see(index / 10, in_view, tracked)
    record.end()
    return record.spells


def test_a_spell_begins_when_the_face_is_whole_and_is_seen_from_its_first_track_on():
    rows = [(False, False), (True, False), (True, False), (True, True), (True, False), (False, True), (True, False)]
    assert watched(rows) == [(0.1, 0.4, 0.3), (0.6, 0.6, None)]
    assert watched([(False, True)] * 5) == []
