"""Turns a face into 128 numbers that are close for one person and far apart for two.

The network is dlib's face recognition ResNet (King, 2017), as full-int8 TFLite; see the card in
``models/face_embedder``. It was trained on faces aligned in one way, so a face is first turned, scaled
and moved until its eyes, nose and mouth lie where the network is used to seeing them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.vision import image
from edge.vision.runtime import Model, load
from edge.vision.values import FaceTemplate, Floats, Pixels, Shot

SIZE = 150
DIMENSIONS = 128

ANCHORS = np.array([[47.7, 47.1], [100.3, 47.1], [74.2, 77.1], [74.3, 107.8]], np.float32)
"""Where the landmarks go in the aligned ``SIZE`` x ``SIZE`` crop: eye, eye, nose tip, mouth centre; pixels."""

THRESHOLD = 0.94
"""Cosine from which two embeddings count as one person: about one false match in 10,000 comparisons.

From the impostor pairs of the AT&T faces, subjects 1 to 20, and their extrapolated tail: see the card.
"""


def similarity(source: Floats, target: Floats) -> Floats:
    """The rotation, uniform scale and shift that best takes ``source`` to ``target``, both ``(n, 2)``; as ``(2, 3)``.

    Least squares without reflection (Umeyama, 1991); in the plane it has a closed form: points are
    complex numbers and the map is ``z -> a z + b``. Points that all coincide give pure shift at scale 0.
    """
    from_middle, to_middle = source.mean(axis=0), target.mean(axis=0)
    x, y = (source - from_middle).T
    u, v = (target - to_middle).T
    spread = max(float(x @ x + y @ y), float(np.finfo(np.float32).tiny))
    real, imaginary = float(x @ u + y @ v) / spread, float(x @ v - y @ u) / spread
    turn = np.array([[real, -imaginary], [imaginary, real]], np.float32)
    matrix = np.empty((2, 3), np.float32)
    matrix[:, :2], matrix[:, 2] = turn, to_middle - turn @ from_middle
    return matrix


def align(pixels: Pixels, landmarks: Floats) -> Pixels:
    """The face in ``pixels`` (BGR) as an upright ``(SIZE, SIZE, 3)`` crop, by its 4 ``landmarks`` ``(4, 2)``."""
    return image.warp_affine(pixels, similarity(landmarks, ANCHORS), SIZE, SIZE)


class FaceEmbedder:
    """The face embedder: not to be shared between threads."""

    def __init__(self, model: Model | None = None) -> None:
        """Raises ``ModelError`` when the model does not load."""
        self._model = load("face-embedder") if model is None else model

    def embed(self, pixels: Pixels, landmarks: Floats) -> Floats:
        """The embedding ``float32 (128,)``, norm 1, of the face with ``landmarks`` ``(4, 2)`` in ``pixels`` (BGR)."""
        return self.embed_aligned(align(pixels, landmarks))

    def embed_aligned(self, crop: Pixels) -> Floats:
        """Like ``embed``, for a crop that ``align`` made."""
        vector = self._model.run(crop[np.newaxis])[0][0]
        unit = np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-6), np.float32)
        vector.fill(0)  # not left behind in memory; the network's own buffer is overwritten by the next face
        return unit

    def template(self, shot: Shot) -> FaceTemplate:
        """The template of the face in ``shot``, carrying the shot's quality."""
        embedding = self.embed(shot.crop, shot.points)
        template = quantise(embedding, shot.quality)
        embedding.fill(0)
        return template


def quantise(embedding: Floats, quality: float) -> FaceTemplate:
    """``embedding`` ``(128,)`` as int8, its largest magnitude at 127.

    Cosines between faces change by 4e-4 (root mean square), by 2e-3 in the worst of 20,000 pairs.
    """
    scale = max(float(np.abs(embedding).max()), 1e-6) / 127
    return FaceTemplate(np.rint(embedding / scale).astype(np.int8), scale, quality)


def cosine(one: NDArray[np.int8] | Floats, other: NDArray[np.int8] | Floats) -> float:
    """Cosine of the angle between two vectors ``(128,)``, -1 to 1, quantised or not: scales cancel."""
    a, b = one.astype(np.float32), other.astype(np.float32)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-6))
