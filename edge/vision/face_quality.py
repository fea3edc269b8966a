"""How much a face crop is worth to recognition, 0 to 100, from five cheap measures.

In the spirit of ISO/IEC 29794-5: each component is 0 to 100 by itself, and the total is their geometric
mean, so that no strength makes up for a component that is near nothing. Ranges and components were
chosen on deliberately degraded AT&T photos, subjects 1 to 20, for how well the total foretells the
similarity to other photos of the same person; see the card in ``models/face_embedder``.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from edge.vision import image
from edge.vision.face_embedder import ANCHORS, SIZE, similarity
from edge.vision.values import Detection, Floats, Pixels

_SMALL = SIZE // 2
_FACE = slice(12, 68), slice(10, 65)  # rows and columns of the half-size aligned crop: face, no background


class Components(NamedTuple):
    """The parts of a face's quality, each 0 (useless) to 100 (more would not help)."""

    size: float
    """Pixels between the eyes, or from eyes to mouth if that is more, so that a turned head keeps its size."""
    sharpness: float
    """Variance of the Laplacian of the aligned face at a fixed scale: low when blurred, upscaled or flat."""
    frontality: float
    """How well the landmarks fit those of a frontal face after alignment; in-plane rotation is free."""
    exposure: float
    """Contrast, and how little of the face is burnt out."""
    visibility: float
    """The detector's own score: the proxy for hidden parts, which lower it."""


def components(crop: Pixels, landmarks: Floats, detection: Detection) -> Components:
    """Measures the face in ``crop`` (BGR) with ``landmarks`` ``(4, 2)`` in the crop's pixels."""
    left, right, _, mouth = landmarks
    size = max(math.dist(left, right), math.dist((left + right) / 2, mouth))
    matrix = similarity(landmarks, ANCHORS)
    misfit = landmarks @ matrix[:, :2].T + matrix[:, 2] - ANCHORS
    face = image.grey(image.warp_affine(crop, matrix * np.float32(0.5), _SMALL, _SMALL))[_FACE]
    burnt = float(np.count_nonzero(face > 245)) / face.size
    return Components(
        size=_ramp(math.log(max(size, 1.0)), math.log(4), math.log(40)),
        sharpness=_ramp(math.log(image.sharpness(face) + 1e-3), math.log(2), math.log(300)),
        frontality=_ramp(-math.sqrt(float((misfit**2).sum(axis=1).mean())), -14, -2),
        exposure=_ramp(image.deviation(face), 2, 16) * _ramp(-burnt, -0.8, -0.1) / 100,
        visibility=_ramp(detection.score, 0.5, 0.9),
    )


def face_quality(crop: Pixels, landmarks: Floats, detection: Detection) -> float:
    """The quality, 0 to 100, of the face in ``crop`` (BGR) with ``landmarks`` ``(4, 2)`` in the crop's pixels."""
    parts = components(crop, landmarks, detection)
    return math.prod(max(part, 1.0) for part in parts) ** (1 / len(parts))


def _ramp(value: float, nothing: float, full: float) -> float:
    return 100 * min(1.0, max(0.0, (value - nothing) / (full - nothing)))
