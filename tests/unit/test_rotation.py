"""Keyed rotation: cosines stay under one grant and mean nothing between two."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from edge.grant import rotation
from tests.law import quantised

KEYS = [bytes([i]) * 32 for i in range(40)]


def unit(array):
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def people(count=60, pictures=4, seed=5):
    """Templates like the embedder's: one direction in common, one for each person, some noise; ``(n, k, 128)``."""
    rng = np.random.default_rng(seed)
    common, persons = rng.standard_normal(128), rng.standard_normal((count, 1, 128))
    return unit(3 * unit(common) + unit(persons) + 0.5 * unit(rng.standard_normal((count, pictures, 128))))


def int8(vectors):
    return np.array([[quantised(v).vector for v in row] for row in vectors], np.float64)


def under(vectors, key):
    matrix = rotation.matrix(key)
    return unit(np.array([[rotation.rotated(quantised(v), matrix).vector for v in row] for row in vectors], np.float64))


def auc(genuine, impostor):
    """The share of pairs in which the genuine score is the higher one."""
    order = np.argsort(np.argsort(np.concatenate([genuine, impostor])))
    own = order[: len(genuine)]
    return (own.sum() - len(own) * (len(own) - 1) / 2) / (len(genuine) * len(impostor))


def linking(one, other):
    """AUC of telling from cosines whether templates ``(n, k, 128)`` of two sets are of one person."""
    n, k, _ = one.shape
    scores = np.einsum("ikd,jld->ijkl", one, other).reshape(n, n, k * k)
    same = np.eye(n, dtype=bool)
    return auc(scores[same].ravel(), scores[~same].ravel())


def test_the_matrix_is_orthogonal_and_belongs_to_the_key():
    one, same, other = rotation.matrix(KEYS[0]), rotation.matrix(KEYS[0]), rotation.matrix(KEYS[1])
    assert np.abs(one @ one.T - np.eye(128)).max() < 1e-5
    assert np.array_equal(one, same)
    assert np.abs(one @ other.T - np.eye(128)).max() > 0.1


def test_cosines_are_kept():
    vectors = people()
    before, after = unit(int8(vectors)).reshape(-1, 128), under(vectors, KEYS[3]).reshape(-1, 128)
    change = (after @ after.T - before @ before.T)[np.triu_indices(len(before), 1)]
    assert np.sqrt(np.mean(change**2)) < 1e-3
    assert np.abs(change).max() < 3e-3


def check_unlinkable(vectors):
    """Within a grant persons are told apart; across grants not, on average over 20 pairs of grants."""
    assert linking(under(vectors, KEYS[0]), under(vectors, KEYS[0])) > 0.9
    across = [linking(under(vectors, KEYS[2 * i]), under(vectors, KEYS[2 * i + 1])) for i in range(20)]
    assert np.mean(across) == pytest.approx(0.5, abs=0.05)
    return across


def test_templates_of_two_grants_cannot_be_linked():
    check_unlinkable(people())


def test_faces_of_two_grants_cannot_be_linked(shared):
    from edge.vision.face_detector import FaceDetector
    from edge.vision.face_embedder import FaceEmbedder
    from models.face_embedder import att

    detector, embedder = FaceDetector(), FaceEmbedder()
    persons = []
    for subject in att.DEVELOPMENT:
        photos = ((photo, att.detect(detector, photo)[:1]) for _, photo in att.photos(range(subject, subject + 1)))
        found = (embedder.embed(photo, best[0].points) for photo, best in photos if best)
        persons.append(list(islice(found, 4)))
    check_unlinkable(np.array([vectors for vectors in persons if len(vectors) == 4]))
