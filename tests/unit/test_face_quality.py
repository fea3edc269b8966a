"""Face quality falls with every fault it claims to measure, and with no other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage import data

from edge.vision import image
from edge.vision.face_detector import FaceDetector
from edge.vision.face_quality import Components, components, face_quality
from edge.vision.values import Detection, Pixels, Region


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """A public-domain portrait (NASA), 512x512 BGR."""
    return image.rgb(np.ascontiguousarray(data.astronaut()))


@pytest.fixture(scope="module")
def face(photo: Pixels) -> Detection:
    return FaceDetector().detect(photo, Region(0, 0, 512, 512))[0]


def blurred(photo: Pixels, factor: int) -> Pixels:
    side = photo.shape[0]
    return image.resize(image.resize(photo, side // factor, side // factor), side, side)


def only(before: Components, after: Components, fallen: str) -> bool:
    others = [name for name in Components._fields if name != fallen]
    return getattr(after, fallen) < getattr(before, fallen) - 10 and all(
        getattr(after, name) >= getattr(before, name) - 5 for name in others
    )


def test_a_good_portrait_scores_high_and_within_range(photo: Pixels, face: Detection) -> None:
    assert 60 < face_quality(photo, face.points, face) <= 100
    assert all(0 <= part <= 100 for part in components(photo, face.points, face))


def test_the_total_is_between_the_worst_and_the_best_part(photo: Pixels, face: Detection) -> None:
    parts = components(photo, face.points, face)
    assert min(parts) <= face_quality(photo, face.points, face) <= max(parts)


def test_blur_costs_sharpness_and_nothing_else(photo: Pixels, face: Detection) -> None:
    before, after = (components(p, face.points, face) for p in (photo, blurred(photo, 6)))
    assert only(before, after, "sharpness")


def test_a_smaller_face_scores_less(photo: Pixels, face: Detection) -> None:
    quarter = image.resize(photo, 128, 128)
    points = face.points * np.float32(0.25)
    before, after = components(photo, face.points, face), components(quarter, points, face)
    assert after.size < before.size - 10
    assert face_quality(quarter, points, face) < face_quality(photo, face.points, face)


def test_burnt_out_and_flat_pictures_score_less(photo: Pixels, face: Detection) -> None:
    burnt = np.clip(photo.astype(np.float32) * 3 + 60, 0, 255).astype(np.uint8)
    flat = (photo // 32 + 100).astype(np.uint8)
    before = components(photo, face.points, face)
    for worse in (burnt, flat):
        assert components(worse, face.points, face).exposure < before.exposure - 30


def test_a_turned_away_face_fits_worse(photo: Pixels, face: Detection) -> None:
    turned = face.points.copy()
    turned[2, 0] += 0.6 * (face.points[1, 0] - face.points[0, 0])  # the nose points sideways
    before, after = components(photo, face.points, face), components(photo, turned, face)
    assert after.frontality < before.frontality - 20


def test_a_tilted_head_is_no_fault(photo: Pixels, face: Detection) -> None:
    middle, angle = np.array([256, 256]), np.deg2rad(30)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, middle - turn @ middle]).astype(np.float32)
    tilted = image.warp_affine(photo, matrix, 512, 512)
    points = (face.points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    assert face_quality(tilted, points, face) == pytest.approx(face_quality(photo, face.points, face), abs=3)


def test_an_unsure_detection_scores_less(photo: Pixels, face: Detection) -> None:
    before, after = (components(photo, face.points, found) for found in (face, replace(face, score=0.6)))
    assert only(before, after, "visibility")


def test_degenerate_landmarks_give_a_number(photo: Pixels, face: Detection) -> None:
    assert 0 <= face_quality(photo, np.full((4, 2), 9, np.float32), face) < 60
