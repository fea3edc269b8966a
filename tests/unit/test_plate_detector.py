"""The shipped plate detector on real frames, on a plate whose corners are known, and on awkward input."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.vision import runtime
from edge.vision.plate_closer import PlateCloser, tilt
from edge.vision.plate_detector import MODELS, PlateDetector, Plates, best_fit, decode, suppress
from edge.vision.values import Box, Kind, Pixels, Region


@pytest.fixture(scope="module")
def detector() -> PlateDetector:
    return PlateDetector()


def whole(pixels: Pixels) -> Region:
    return Region(0, 0, pixels.shape[1], pixels.shape[0])


def painted_plate() -> Pixels:
    """A plate face of 520 x 112 pixels in the manner of most of Europe, in a typeface no training run has seen."""
    face = np.full((112, 520, 3), (245, 245, 245), np.uint8)
    cv2.rectangle(face, (0, 0), (519, 111), (20, 20, 20), 4)
    cv2.rectangle(face, (4, 4), (44, 107), (150, 60, 10), -1)
    cv2.putText(face, "BG 471-KD", (58, 84), cv2.FONT_HERSHEY_DUPLEX, 2.55, (15, 15, 15), 6, cv2.LINE_AA)
    return face


def street(corners: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> Pixels:
    """A 640x480 picture of a plain dark car's rear with the painted plate at ``corners``."""
    scene = np.full((480, 640, 3), (110, 105, 100), np.uint8)
    cv2.rectangle(scene, (90, 80), (550, 430), (70, 40, 35), -1)
    cv2.rectangle(scene, (140, 95), (500, 190), (35, 30, 30), -1)
    for x in (95, 485):
        cv2.rectangle(scene, (x, 220), (x + 60, 270), (35, 25, 170), -1)
    source = np.array([[0, 0], [520, 0], [520, 112], [0, 112]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, corners)
    face = cv2.warpPerspective(cv2.GaussianBlur(painted_plate(), (0, 0), 2), matrix, (640, 480), flags=cv2.INTER_AREA)
    mask = cv2.warpPerspective(np.full((112, 520), 255, np.uint8), matrix, (640, 480))
    scene[mask > 127] = face[mask > 127]
    return np.asarray(cv2.GaussianBlur(scene, (0, 0), 0.7), np.uint8)


CORNERS = {
    "frontal": [[250, 300], [390, 300], [390, 331], [250, 331]],
    "from the side": [[240, 306], [360, 290], [361, 324], [241, 345]],
    "tilted": [[250, 300], [387, 329], [381, 359], [244, 330]],
    "close": [[170, 280], [480, 288], [478, 356], [168, 346]],
}


@pytest.mark.parametrize("name", CORNERS)
def test_corners_hug_a_plate_whose_corners_are_known(detector: PlateDetector, name: str) -> None:
    corners = np.array(CORNERS[name], np.float32)
    pixels = street(corners)
    best = detector.detect(pixels, whole(pixels))[0]
    assert best.kind is Kind.PLATE
    assert best.score > 0.4
    width = float(np.hypot(*(corners[1] - corners[0])))
    assert np.hypot(*(best.points - corners).T).mean() < 0.04 * width


def test_plates_of_real_frames_are_found(detector: PlateDetector, shared: Path) -> None:
    folder = shared / "data" / "plates-ro"
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "train" and r["readable"] == "1"]
    found = 0
    chosen = [r for r in rows if int(r["w"]) >= 90][::15][:12]
    for row in chosen:
        x, y, w, h = (int(row[k]) for k in "xywh")
        pixels = np.asarray(cv2.imread(str(folder / "images" / row["image"])), np.uint8)
        truth = Box(x, y, x + w, y + h)
        found += any(d.box.iou(truth) > 0.5 for d in detector.detect(pixels, whole(pixels)))
    assert len(chosen) == 12
    assert found >= 11


def test_an_empty_street_has_no_plates(detector: PlateDetector) -> None:
    grey = np.full((720, 1280, 3), 120, np.uint8)
    ramp = np.tile(np.linspace(0, 255, 640, dtype=np.uint8)[None, :, None], (480, 1, 3))
    for pixels in (grey, np.zeros_like(grey), ramp):
        assert detector.detect(pixels, whole(pixels)) == []


def test_a_region_is_examined_in_full_frame_coordinates(detector: PlateDetector) -> None:
    corners = np.array(CORNERS["frontal"], np.float32)
    scene = street(corners)
    frame = np.full((900, 1500, 3), 100, np.uint8)
    frame[300:780, 700:1340] = scene
    best = detector.detect(frame, Region(700, 300, 1340, 780))[0]
    assert np.hypot(*(best.points - corners - np.array([700, 300], np.float32)).T).mean() < 8
    assert not detector.detect(frame, Region(0, 0, 600, 900))


def test_each_shape_of_region_gets_the_model_that_shows_it_largest() -> None:
    assert {name: runtime.load(name).shape[2:0:-1] for name in MODELS} == MODELS
    for size, name in (
        ((1920, 1080), "plate-detector"), ((960, 552), "plate-detector"), ((300, 100), "plate-detector"),
        ((640, 480), "plate-detector-4x3"), ((480, 640), "plate-detector-4x3"),
    ):  # fmt: skip
        assert best_fit(*size) == name


def test_a_model_that_is_needed_later_must_be_there_from_the_start(tmp_path, monkeypatch) -> None:
    for path in runtime.models_dir().iterdir():
        if path.suffix in (".toml", ".tflite"):
            shutil.copy(path, tmp_path)
    late = tmp_path / runtime.manifest(tmp_path)["plate-detector-4x3"].file
    late.write_bytes(late.read_bytes()[:-1])
    monkeypatch.setattr(runtime, "models_dir", lambda: tmp_path)
    with pytest.raises(runtime.ModelError, match="not the one in the manifest"):
        PlateDetector()


def test_a_second_look_beyond_the_picture_sees_its_edge_repeated() -> None:
    closer, scene = PlateCloser(), np.random.default_rng(9).integers(0, 256, (120, 200, 3), np.uint8)
    scene = cv2.GaussianBlur(scene, (0, 0), 3)
    around = cv2.copyMakeBorder(scene, 100, 100, 100, 100, cv2.BORDER_REPLICATE)
    for x, y in ((-30, -10), (150, 100), (-30, 100), (60, 105)):
        logit, quad = closer.look(scene, (x, y, x + 80, y + 24))
        same, moved = closer.look(around, (x + 100, y + 100, x + 180, y + 124))
        assert logit == pytest.approx(same, abs=0.5)
        assert np.allclose(np.array(quad) + 100, moved, atol=2.0)
    for box in ((-500, 10, -400, 30), (900, 10, 990, 30), (20, 400, 90, 420), (-9000, -9000, 9000, 9000)):
        logit, quad = closer.look(scene, box)  # as a false candidate in the black beside a letterboxed picture has it
        assert np.isfinite([logit, *np.ravel(quad)]).all()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 700), st.integers(1, 700), st.integers(-50, 750), st.integers(-50, 750), st.integers(0, 2**31))
def test_any_frame_and_region_work(detector: PlateDetector, width: int, height: int, x: int, y: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    for found in detector.detect(pixels, Region(x, y, x + 300, y + 200)):
        assert 0 <= found.box.x0 <= found.box.x1 <= width
        assert 0 <= found.box.y0 <= found.box.y1 <= height
        assert found.points.shape == (4, 2)
        assert np.isfinite(found.points).all()
        assert 0 < found.score <= 1


def maps(*peaks: tuple[int, int, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    score = np.full((48, 80, 1), -12, np.float32)
    for row, column, logit in peaks:
        score[row, column] = logit
    return score, np.zeros((48, 80, 4), np.float32), np.zeros((48, 80, 8), np.float32)


def test_a_cell_decodes_to_the_box_and_corners_it_stands_for() -> None:
    score, box, corners = maps((10, 20, 2.0))
    box[10, 20] = 0.5, -0.25, np.log(144 / 72), np.log(40 / 20)
    corners[10, 20, 1] = 0.1
    plates = decode([score[None], box[None], corners[None]], 0.3)
    np.testing.assert_allclose(plates.scores, [1 / (1 + np.exp(-2))], rtol=1e-5)
    np.testing.assert_allclose(plates.boxes, [[168 - 72, 82 - 20, 168 + 72, 82 + 20]], rtol=1e-5)
    np.testing.assert_allclose(plates.corners[0], [[96, 66], [240, 62], [240, 102], [96, 102]], rtol=1e-5)


def test_only_peaks_above_the_threshold_count_best_first() -> None:
    score, box, corners = maps((5, 5, 1.0), (5, 6, 0.5), (30, 40, 3.0), (40, 70, -2.0))
    plates = decode([score[None], box[None], corners[None]], 0.3)
    assert [round(float(c), 1) for c in plates.boxes.mean(1)] == [pytest.approx((324 + 244) / 2), pytest.approx(44.0)]


def test_a_worse_plate_on_top_of_a_better_one_goes() -> None:
    boxes = np.array([[0, 0, 100, 20], [5, 1, 104, 22], [40, 8, 60, 12], [200, 0, 300, 20]], np.float32)
    scores = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    kept = suppress(Plates(scores, boxes, np.zeros((4, 4, 2), np.float32)))
    assert kept.scores.tolist() == pytest.approx([0.9, 0.6])


@pytest.mark.parametrize(("degrees", "expected"), [(0, 0.0), (10, 0.1763), (-10, 0.1763), (45, 1.0)])
def test_tilt_is_the_slope_of_the_text(degrees: float, expected: float) -> None:
    turn = np.deg2rad(degrees)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    upright = np.array([[-50, -10], [50, -10], [50, 10], [-50, 10]])
    assert tilt((upright @ rotation.T + 200).tolist()) == pytest.approx(expected, abs=1e-3)
