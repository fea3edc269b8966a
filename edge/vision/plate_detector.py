"""Finds number plates: box, score and the four corners a reader needs to straighten them.

A network looks at the whole region, an anchor-free centre detector (after Zhou et al., "Objects as
Points", 2019): a map of plate centres in cells of 8 pixels, with box and corners beside it. A second, tiny
one looks at each candidate up close, at the frame's own resolution: it says where the corners are and
whether that is a plate at all. ``models/plate_detector`` trains both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edge.vision import image
from edge.vision.runtime import Model, load
from edge.vision.values import Box, Detection, Floats, Kind, Pixels, Region

MODELS = ("plate-detector", "plate-detector-4x3")
CLOSER = "plate-closer"

_STRIDE = 8
_WIDTH_UNIT, _HEIGHT_UNIT = 72.0, 20.0  # the network gives log sizes relative to these, in its input's pixels
_MOST = 48  # candidates that go into suppression
_CANDIDATE = 0.25  # least coarse score worth a second look, which takes half a millisecond
_LOOKS = 6  # second looks a region may cost
_OVERLAP = 0.3
_TILTED = 0.05  # slope from which a plate is looked at once more, along its own sides
_LOOSE = (0.08, 0.14)  # by which the detector's boxes, which the second look is used to, exceed a plate
CONTEXT = (1.3, 1.7)  # the second look sees a candidate with this much around it, across and down
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)


class Plates(NamedTuple):
    """Decoded plates, best first, in pixels of the network's input.

    ``scores`` is ``float32 (n,)``, 0 to 1; ``boxes`` is ``(n, 4)`` x0, y0, x1, y1; ``corners`` is
    ``(n, 4, 2)``: top left, top right, bottom right, bottom left.
    """

    scores: Floats
    boxes: Floats
    corners: Floats


class PlateDetector:
    """Detects plates in a region of a frame, at most six of them.

    ``threshold`` is the least score reported. It is low on purpose: a reader that looks at the best few
    tells plates from badges better than any threshold here. Raises ``ModelError`` when a model is missing.
    """

    def __init__(self, threshold: float = 0.35) -> None:
        self._models = [load(name, threads=1) for name in MODELS]
        self._closer = load(CLOSER, threads=1)
        self._threshold = threshold

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        """The plates inside ``region`` of the frame ``pixels``, best first, in full-frame coordinates.

        The region is clipped to the frame; an empty one has no plates. It is scaled to fit the network's
        input, so a plate needs about 20 pixels of width after that. Boxes are a little loose and end at
        the frame; corners hug the plate and may lie outside.
        """
        part = image.cut(pixels, region)
        if part.size == 0:
            return []
        plates = self._look_closer(pixels, self._candidates(part, max(0, region.x0), max(0, region.y0)))
        edges = np.clip(plates.boxes, 0, np.array([pixels.shape[1], pixels.shape[0]] * 2, np.float32))
        return [
            Detection(Kind.PLATE, Box(*(float(v) for v in edge)), float(sure), quad)
            for sure, edge, quad in zip(plates.scores, edges, plates.corners, strict=True)
            if sure >= self._threshold
        ]

    def _candidates(self, part: Pixels, x: int, y: int) -> Plates:
        """What the coarse network takes for plates in ``part`` of the frame at ``x, y``, in frame pixels."""
        model = self._model_for(part.shape[1], part.shape[0])
        given, scale = image.letterbox(part, model.shape[2], model.shape[1])
        score, box, corners = model.run(given[None])
        plates = suppress(decode(score[0], box[0], corners[0], _CANDIDATE))
        origin = np.array([x, y], np.float32)
        boxes = plates.boxes / np.float32(scale) + np.tile(origin, 2)
        return Plates(plates.scores, boxes, plates.corners / np.float32(scale) + origin)

    def _look_closer(self, pixels: Pixels, plates: Plates) -> Plates:
        """The best candidates with scores and corners from the second look, best first."""
        scores, quads = plates.scores[:_LOOKS].copy(), plates.corners[:_LOOKS].copy()
        boxes = plates.boxes[: len(scores)]
        for n, (x0, y0, x1, y1) in enumerate(boxes):
            middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float32)
            logit, quad = self._close(pixels, middle, np.array([[x1 - x0, 0], [0, y1 - y0]], np.float32))
            if tilt(quad) > _TILTED:
                top, right, bottom, left = np.roll(quad, -1, 0) - quad
                sides = np.stack([top - bottom, right - left], 1) / 2 * (1 + np.array(_LOOSE))
                _, quad = self._close(pixels, quad.mean(0, dtype=np.float32), sides.astype(np.float32))
            scores[n], quads[n] = blend(scores[n], logit), quad
        order = np.argsort(-scores, kind="stable")
        return Plates(scores[order], boxes[order], quads[order])

    def _close(self, pixels: Pixels, middle: Floats, sides: Floats) -> tuple[float, Floats]:
        """Logit and corners ``(4, 2)`` of the plate round ``middle`` in ``pixels``, whose box has the ``sides``.

        They are the columns of a ``(2, 2)`` matrix: along the text, and down. What is seen is a parallelogram.
        """
        _, tall, wide, _ = self._closer.shape
        seen = (sides * CONTEXT / 2).astype(np.float32)  # from halves of the network's picture to the frame
        halves = np.array([wide, tall], np.float32) / 2
        turn = halves[:, None] * np.linalg.inv(seen)
        matrix = np.column_stack([turn, halves - turn @ middle]).astype(np.float32)
        judged, found = self._closer.run(image.warp_affine(pixels, matrix, wide, tall)[None])
        return float(judged.flat[0]), np.asarray(found.reshape(4, 2) @ seen.T + middle, np.float32)

    def _model_for(self, width: int, height: int) -> Model:
        """The model that shows the region largest; of equals, the one with the smallest input."""

        def cost(model: Model) -> tuple[float, int]:
            _, tall, wide, _ = model.shape
            return -round(min(wide / width, tall / height), 4), wide * tall

        return min(self._models, key=cost)


def blend(score: np.float32, logit: float) -> float:
    """One score, 0 to 1, of the coarse network's ``score`` and the second look's ``logit``: their mean logit."""
    first = float(np.log(score) - np.log1p(-min(score, np.float32(0.9999))))
    return float(1 / (1 + np.exp(-(first + logit) / 2)))


def tilt(quad: Floats) -> float:
    """The slope of a plate's text: of the sides along it of the corners ``(4, 2)``, without sign."""
    along = quad[1] + quad[2] - quad[0] - quad[3]
    return float(abs(along[1]) / max(1e-6, abs(along[0])))


def decode(score: Floats, box: Floats, corners: Floats, threshold: float) -> Plates:
    """The peaks of the centre map with a score of at least ``threshold``, best first, at most 48.

    Shapes are ``(h, w, 1)`` (logits), ``(h, w, 4)`` (centre offset in cells, log width, log height) and
    ``(h, w, 8)`` (corners' displacement from the box's corners, as fractions of its size).
    """
    logits = score[..., 0]
    least = np.log(threshold / (1 - threshold))
    ys, xs = np.nonzero((logits >= least) & (logits >= _neighbourhood(logits)))
    order = np.argsort(-logits[ys, xs], kind="stable")[:_MOST]
    ys, xs = ys[order], xs[order]
    shape = box[ys, xs]
    centre = (np.stack([xs, ys], 1) + 0.5 + shape[:, :2]) * _STRIDE
    size = np.exp(shape[:, 2:]) * np.array([_WIDTH_UNIT, _HEIGHT_UNIT], np.float32)
    quads = centre[:, None] + size[:, None] * (_CORNERS + corners[ys, xs].reshape(-1, 4, 2))
    sure = 1 / (1 + np.exp(-logits[ys, xs]))
    boxes = np.concatenate([centre - size / 2, centre + size / 2], 1)
    return Plates(sure.astype(np.float32), boxes.astype(np.float32), quads.astype(np.float32))


def _neighbourhood(values: Floats) -> Floats:
    """The largest of each cell and its eight neighbours."""
    padded = np.pad(values, 1, constant_values=-np.inf)
    rows = np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])
    return np.asarray(np.maximum(np.maximum(rows[:, :-2], rows[:, 1:-1]), rows[:, 2:]), np.float32)


def suppress(plates: Plates) -> Plates:
    """Drops plates that overlap a better one by more than 30 % or whose centre lies inside it."""
    x0, y0, x1, y1 = plates.boxes.T
    width = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    height = np.minimum(y1[:, None], y1) - np.maximum(y0[:, None], y0)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area = (x1 - x0) * (y1 - y0)
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    inside = (cx > x0[:, None]) & (cx < x1[:, None]) & (cy > y0[:, None]) & (cy < y1[:, None])
    clash = inside | (shared > _OVERLAP * (area[:, None] + area - shared))
    kept: list[int] = []
    for n in range(len(plates.scores)):
        if not clash[kept, n].any():
            kept.append(n)
    return Plates(plates.scores[kept], plates.boxes[kept], plates.corners[kept])
