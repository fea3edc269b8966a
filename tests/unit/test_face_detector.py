"""The face detector: its geometry on made-up network answers, and the real network on a real face."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from edge.vision import image
from edge.vision.answers import Tensor
from edge.vision.face_detector import BORDERS, STILL_TILE, FaceDetector, still_regions
from edge.vision.nms import merge
from edge.vision.runtime import Entry, Fill
from edge.vision.values import Detection, Floats, Kind, Pixels, Region


class FakeModel:
    """Answers with one face at the anchor in row 10, column 20, and remembers what it was shown."""

    entry = Entry("fake", "", "", "", "", "", ())
    shape: tuple[int, ...] = (1, 192, 192, 3)
    takes: np.dtype[Any] = np.dtype(np.float32)

    def __init__(self, logit: float = 3.0) -> None:
        self.boxes = np.zeros((1, 2304, 16), np.float32)
        self.logits = np.full((1, 2304, 1), -9.0, np.float32)
        anchor = 10 * 48 + 20  # centre at x 82, y 42
        self.boxes[0, anchor] = [2, -2, 40, 48, -8, -6, 12, -6, 2, 4, 2, 14, 99, 99, 99, 99]
        self.logits[0, anchor] = logit
        self.shown: Tensor | None = None

    def run(self, values: Tensor | Fill) -> list[Floats]:
        assert callable(values)
        if self.shown is None:
            self.shown = np.full(self.shape, 77, self.takes)  # as memory comes: whatever was in it
        values(self.shown)
        return [self.boxes, self.logits]


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.fixture(scope="module")
def photo() -> Pixels:
    """A public-domain portrait (NASA), 512x512 BGR; the face is about 75 pixels high."""
    return image.rgb(np.ascontiguousarray(data.astronaut()))


def test_a_region_of_network_size_maps_one_to_one() -> None:
    (found,) = FaceDetector(model=FakeModel()).detect(np.zeros((400, 400, 3), np.uint8), Region(100, 50, 292, 242))
    assert found.kind is Kind.FACE
    assert found.box == pytest.approx((100 + 84 - 20, 50 + 40 - 24, 100 + 84 + 20, 50 + 40 + 24))
    assert found.score == pytest.approx(1 / (1 + np.exp(-3.0)))
    np.testing.assert_allclose(found.points, [[174, 86], [194, 86], [184, 96], [184, 106]], atol=1e-4)


def test_a_wide_region_is_letterboxed_and_scaled_back() -> None:
    (found,) = FaceDetector(model=FakeModel()).detect(np.zeros((1080, 1920, 3), np.uint8), Region(0, 0, 1920, 1080))
    assert found.box == pytest.approx((640, 160, 1040, 640))


def test_what_lies_outside_the_frame_is_black_and_counts() -> None:
    model = FakeModel()
    (found,) = FaceDetector(model=model).detect(np.full((96, 96, 3), 255, np.uint8), Region(-48, -48, 144, 144))
    assert found.box == pytest.approx((84 - 20 - 48, 40 - 24 - 48, 84 + 20 - 48, 40 + 24 - 48))
    assert model.shown is not None
    seen = model.shown[0]
    assert (seen[48:144, 48:144] == 1).all()
    assert seen.sum() == pytest.approx(96 * 96 * 3 - (192 * 192 - 96 * 96) * 3)


def test_a_wide_region_leaves_no_trace_of_the_one_before() -> None:
    model = FakeModel()
    detector = FaceDetector(model=model)
    detector.detect(np.full((192, 192, 3), 255, np.uint8), Region(0, 0, 192, 192))
    detector.detect(np.full((96, 192, 3), 255, np.uint8), Region(0, 0, 192, 96))
    assert model.shown is not None
    assert (model.shown[0, :96] == 1).all()
    assert (model.shown[0, 96:] == -1).all()


def test_the_network_sees_rgb_from_minus_one_to_one() -> None:
    model, blue = FakeModel(), np.zeros((192, 192, 3), np.uint8)
    blue[..., 0] = 255
    FaceDetector(model=model).detect(blue, Region(0, 0, 192, 192))
    assert model.shown is not None
    np.testing.assert_allclose(model.shown[0, 5, 5], [-1, -1, 1], atol=1e-6)


@pytest.mark.parametrize(("logit", "count"), [(0.1, 1), (-0.1, 0)])
def test_the_threshold_is_a_probability(logit: float, count: int) -> None:
    found = FaceDetector(threshold=0.5, model=FakeModel(logit)).detect(
        np.zeros((9, 9, 3), np.uint8), Region(0, 0, 9, 9)
    )
    assert len(found) == count


@pytest.mark.parametrize("region", [Region(500, 0, 600, 100), Region(0, -50, 100, 0), Region(20, 20, 20, 40)])
def test_a_region_without_picture_has_no_faces(region: Region) -> None:
    assert FaceDetector(model=FakeModel()).detect(np.zeros((100, 100, 3), np.uint8), region) == []


def test_a_region_of_one_pixel_is_no_error(detector: FaceDetector) -> None:
    assert detector.detect(np.zeros((1080, 1920, 3), np.uint8), Region(1919, 0, 1921, 1080)) == []


def test_a_real_face_is_found_with_its_landmarks_in_place(detector: FaceDetector, photo: Pixels) -> None:
    (found,) = detector.detect(photo, Region(0, 0, 512, 512))
    left, right, nose, mouth = found.points
    assert found.score > 0.7
    assert left[0] < nose[0] < right[0]
    assert max(left[1], right[1]) < nose[1] < mouth[1] < found.box.y1
    assert np.abs(left - (206, 110)).max() < 10  # read off the picture
    assert np.abs(right - (243, 110)).max() < 10


def test_a_face_is_found_at_the_same_place_whichever_region_shows_it(detector: FaceDetector, photo: Pixels) -> None:
    street = np.full((1080, 1920, 3), 90, np.uint8)
    street[300:812, 1000:1512] = photo
    ways = [Region(900, 200, 1380, 680), Region(1000, 300, 1512, 812), Region(1100, 250, 1400, 550)]
    found = [detector.detect(street, way)[0] for way in ways]
    for one, other in pairwise(found):
        assert one.box.iou(other.box) > 0.7
        assert np.abs(one.points - other.points).max() < 8


def test_a_street_without_faces_has_none(detector: FaceDetector) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (480, 480, 3)).astype(np.uint8)
    assert detector.detect(noise, Region(0, 0, 480, 480)) == []


def test_a_face_that_fills_the_photo_is_found(detector: FaceDetector, photo: Pixels) -> None:
    tight = photo[60:180, 170:275].copy()
    found = merge([d for region in still_regions(105, 120) for d in detector.detect(tight, region)])
    assert len(found) == 1


@pytest.mark.parametrize(("width", "height"), [(92, 112), (432, 432), (433, 300), (1920, 1080), (700, 2000)])
def test_still_regions_cover_every_pixel_and_overlap(width: int, height: int) -> None:
    tiles = still_regions(width, height)[len(BORDERS) :]
    covered = np.zeros((height, width), np.int32)
    for x0, y0, x1, y1 in tiles:
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        covered[y0:y1, x0:x1] += 1
    assert bool(tiles) == (max(width, height) > STILL_TILE)
    assert not tiles or covered.min() >= 1


@pytest.mark.slow
def test_the_face_is_found_in_every_photo_of_people(detector: FaceDetector, shared: Path) -> None:
    """Small grey photos that the face fills: 92x112."""
    photos = sorted((shared / "data" / "faces-att").glob("s*/*.pgm"))
    assert len(photos) == 400
    assert [path for path in photos if not _all_faces(detector, image.decode(path.read_bytes()))] == []


def _all_faces(detector: FaceDetector, photo: Pixels | None) -> list[Detection]:
    assert photo is not None
    regions = still_regions(photo.shape[1], photo.shape[0])
    return merge([d for region in regions for d in detector.detect(photo, region)])
