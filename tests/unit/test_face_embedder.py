"""Alignment and embedding, with the real network on real faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from edge.vision import image
from edge.vision.face_detector import FaceDetector, still_regions
from edge.vision.face_embedder import ANCHORS, SIZE, FaceEmbedder, align, cosine, quantise, similarity
from edge.vision.nms import merge
from edge.vision.runtime import load
from edge.vision.values import Box, Floats, Pixels, Region, Shot


@pytest.fixture(scope="module")
def embedder() -> FaceEmbedder:
    return FaceEmbedder()


@pytest.fixture(scope="module")
def portrait() -> tuple[Pixels, Floats]:
    """A public-domain portrait (NASA), BGR, and its landmarks."""
    photo = image.rgb(np.ascontiguousarray(data.astronaut()))
    return photo, FaceDetector().detect(photo, Region(0, 0, 512, 512))[0].points


def turned(photo: Pixels, points: Floats, degrees: float, scale: float) -> tuple[Pixels, Floats]:
    """The photo rotated and scaled about (256, 256), and where its points went."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.column_stack([turn, np.array([256, 256]) - turn @ [256, 256]]).astype(np.float32)
    return image.warp_affine(photo, matrix, 512, 512), (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@given(st.floats(-3.1, 3.1), st.floats(0.1, 10), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_recovers_rotation_scale_and_shift(angle: float, scale: float, x: float, y: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    target = (ANCHORS @ turn.T + (x, y)).astype(np.float32)
    np.testing.assert_allclose(similarity(ANCHORS, target), np.column_stack([turn, (x, y)]), atol=0.02, rtol=1e-3)


def test_similarity_never_mirrors() -> None:
    mirrored = ANCHORS * np.array([-1, 1], np.float32)
    assert np.linalg.det(similarity(mirrored, ANCHORS)[:, :2]) >= 0


def test_similarity_is_the_least_squares_one() -> None:
    rng = np.random.default_rng(4)
    source = (ANCHORS + rng.normal(0, 6, ANCHORS.shape)).astype(np.float32)
    best = similarity(source, ANCHORS)

    def error(matrix: Floats) -> float:
        return float(((source @ matrix[:, :2].T + matrix[:, 2] - ANCHORS) ** 2).sum())

    for real, imaginary, x, y in rng.normal(0, 1, (50, 4)) * (0.02, 0.02, 1, 1):
        change = np.array([[real, -imaginary, x], [imaginary, real, y]], np.float32)
        assert error(best) <= error(best + change)


def test_coinciding_points_give_a_finite_map() -> None:
    assert np.isfinite(similarity(np.full((4, 2), 7, np.float32), ANCHORS)).all()


def test_aligned_landmarks_lie_on_the_anchors(portrait: tuple[Pixels, Floats]) -> None:
    dots = np.zeros_like(portrait[0])
    for x, y in np.rint(portrait[1]).astype(int):
        dots[y - 1 : y + 2, x - 1 : x + 2] = 255
    crop = align(dots, portrait[1])
    assert crop.shape == (SIZE, SIZE, 3)
    for x, y in ANCHORS.astype(int):
        assert crop[y - 8 : y + 9, x - 8 : x + 9].max() > 100  # a real face differs a little from the mean one


def test_the_network_gives_one_embedding_and_nothing_else() -> None:
    model = load("face-embedder")
    (vector,) = model.run(np.zeros((1, SIZE, SIZE, 3), np.uint8))
    assert vector.shape == (1, 128)


def test_an_embedding_has_norm_one_and_repeats(embedder: FaceEmbedder, portrait: tuple[Pixels, Floats]) -> None:
    one, two = embedder.embed(*portrait), embedder.embed(*portrait)
    assert one.dtype == np.float32
    assert one.shape == (128,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(("degrees", "scale"), [(25.0, 1.0), (-40.0, 1.2), (0.0, 0.6)])
def test_turning_and_scaling_the_photo_keeps_the_embedding(
    embedder: FaceEmbedder, portrait: tuple[Pixels, Floats], degrees: float, scale: float
) -> None:
    assert cosine(embedder.embed(*portrait), embedder.embed(*turned(*portrait, degrees, scale))) > 0.975


def test_a_template_carries_the_shot(embedder: FaceEmbedder, portrait: tuple[Pixels, Floats]) -> None:
    photo, points = portrait
    template = embedder.template(Shot(photo, points, Box(0, 0, 1, 1), 61.0, 0.0, 0.0))
    assert template.vector.dtype == np.int8
    assert int(np.abs(template.vector.astype(int)).max()) == 127
    assert template.quality == 61.0
    np.testing.assert_allclose(
        template.vector * np.float32(template.scale), embedder.embed(photo, points), atol=template.scale * 0.51
    )


def test_quantising_keeps_cosines() -> None:
    rng = np.random.default_rng(8)
    found = rng.normal(0, 1, (60, 128)) + 2 * rng.normal(0, 1, 128)  # like faces: a large part in common
    unit = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    templates = [quantise(v, 0.0) for v in unit]
    error = [
        cosine(unit[i], unit[j]) - cosine(templates[i].vector, templates[j].vector) for i in range(60) for j in range(i)
    ]
    assert np.sqrt(np.mean(np.square(error))) < 1e-3
    assert np.abs(error).max() < 3e-3


@pytest.mark.slow
def test_people_are_told_apart(embedder: FaceEmbedder, shared: Path) -> None:
    """All pairs of the evaluation subjects, as the camera would find, align, embed and send them."""
    detector, vectors, subjects = FaceDetector(), [], []
    for subject in range(21, 41):
        for path in sorted((shared / "data" / "faces-att" / f"s{subject}").glob("*.pgm")):
            photo = image.decode(path.read_bytes())
            assert photo is not None
            regions = still_regions(photo.shape[1], photo.shape[0])
            best = merge([d for region in regions for d in detector.detect(photo, region)])[0]
            vectors.append(quantise(embedder.embed(photo, best.points), 0.0).vector.astype(np.float64))
            subjects.append(subject)
    unit = np.array(vectors) / np.linalg.norm(vectors, axis=1, keepdims=True)
    upper = np.triu_indices(len(unit), 1)
    same = np.equal.outer(subjects, subjects)[upper]
    cosines = (unit @ unit.T)[upper]
    below = np.sort(cosines[~same])
    assert (len(below), int(same.sum())) == (19000, 900)
    assert np.searchsorted(below, cosines[same]).mean() / len(below) >= 0.998
