"""Finds number plates: box, score and the four corners a reader needs to straighten them.

A network looks at the whole region, an anchor-free centre detector (after Zhou et al., "Objects as
Points", 2019): a map of plate centres in cells of 8 pixels, with box and corners beside it. A second, tiny
one looks at each candidate up close, at the frame's own resolution: it says where the corners are and
whether that is a plate at all. ``models/plate_detector`` trains both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from edge.vision import image
from edge.vision.runtime import Model, load
from edge.vision.values import Box, Detection, Floats, Kind, Pixels, Region

MODELS = ("plate-detector", "plate-detector-4x3")
CLOSER = "plate-closer"

_STRIDE = 8
_UNITS = np.array([72.0, 20.0], np.float32)  # the network gives log sizes relative to these, in its input's pixels
_SIZES = 7  # of regions that are remembered
_MOST = 48  # candidates that go into suppression
_CANDIDATE = 0.25  # least coarse score worth a second look, which takes half a millisecond
_LOOKS = 6  # second looks a region may cost
_OVERLAP = 0.3
_TILTED = 0.05  # slope from which a plate is looked at once more, along its own sides
_LOOSE = (0.08, 0.14)  # by which the detector's boxes, which the second look is used to, exceed a plate
CONTEXT = (1.3, 1.7)  # the second look sees a candidate with this much around it, across and down
_SEEN = np.array(CONTEXT) / 2
_GROWN = (1 + np.array(_LOOSE)) / 2
_NEXT = [1, 2, 3, 0]  # corner, clockwise
_CORNERS = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]], np.float32)


class Plates(NamedTuple):
    """Decoded plates, best first, in pixels of the network's input.

    ``scores`` is ``float32 (n,)``, 0 to 1; ``boxes`` is ``(n, 4)`` x0, y0, x1, y1; ``corners`` is
    ``(n, 4, 2)``: top left, top right, bottom right, bottom left.
    """

    scores: Floats
    boxes: Floats
    corners: Floats


_NONE = Plates(*(np.zeros((0, *shape), np.float32) for shape in ((), (4,), (4, 2))))


class PlateDetector:
    """Detects plates in a region of a frame, at most six of them.

    ``threshold`` is the least score reported. It is low on purpose: a reader that looks at the best few
    tells plates from badges better than any threshold here. Raises ``ModelError`` when a model is missing.
    """

    def __init__(self, threshold: float = 0.35) -> None:
        self._models = [load(name, threads=1) for name in MODELS]
        self._best: dict[tuple[int, int], Model] = {}  # of the region's width and height seen last
        self._inputs = {model.entry.name: np.empty(model.shape, np.uint8) for model in self._models}
        self._closer = load(CLOSER, threads=1)
        self._close_up = np.empty(self._closer.shape, np.uint8)
        self._halves = np.array(self._closer.shape[2:0:-1], np.float32) / 2  # of its width and height
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
        candidates = self._candidates(part, max(0, region.x0), max(0, region.y0))
        if not len(candidates.scores):
            return []
        plates = self._look_closer(pixels, candidates)
        return [
            Detection(Kind.PLATE, _clipped(box, float(pixels.shape[1]), float(pixels.shape[0])), sure, quad)
            for sure, box, quad in zip(plates.scores.tolist(), plates.boxes.tolist(), plates.corners, strict=True)
            if sure >= self._threshold
        ]

    def _candidates(self, part: Pixels, x: int, y: int) -> Plates:
        """What the coarse network takes for plates in ``part`` of the frame at ``x, y``, in frame pixels."""
        model = self._model_for(part.shape[1], part.shape[0])
        given = self._inputs[model.entry.name]
        scale = image.letterbox(part, given[0])
        found = model.run(given)
        plates = suppress(decode(found, _CANDIDATE))
        if not len(plates.scores):
            return plates
        origin = np.array([x, y], np.float32)
        boxes = plates.boxes / np.float32(scale) + np.concatenate([origin, origin])
        return Plates(plates.scores, boxes, plates.corners / np.float32(scale) + origin)

    def _look_closer(self, pixels: Pixels, plates: Plates) -> Plates:
        """The best candidates with scores and corners from the second look, best first."""
        boxes = plates.boxes[:_LOOKS]
        middles, sides = (boxes[:, :2] + boxes[:, 2:]) / np.float32(2), boxes[:, 2:] - boxes[:, :2]
        seen = (sides * _SEEN).astype(np.float32)  # from halves of the closer network's picture to the frame
        matrices = np.zeros((len(boxes), 2, 3), np.float32)
        matrices[:, 0, 0], matrices[:, 1, 1] = turns = (self._halves * (1 / seen)).T
        matrices[:, :, 2] = self._halves - turns.T * middles
        logits, quads = self._close(pixels, matrices)
        quads *= seen[:, None]
        quads += middles[:, None]
        sloping = [n for n, quad in enumerate(quads) if tilt(quad) > _TILTED]
        if sloping:
            quads[sloping] = self._along(pixels, quads[sloping])
        scores = np.array([blend(*pair) for pair in zip(plates.scores.tolist(), logits, strict=False)], np.float32)
        order = (-scores).argsort(kind="stable")
        return Plates(scores[order], boxes[order], quads[order])

    def _along(self, pixels: Pixels, quads: Floats) -> Floats:
        """The corners ``quads`` ``(n, 4, 2)`` of sloping plates, from a look along their sides: at parallelograms."""
        along = quads[:, _NEXT] - quads  # top, right, bottom, left
        sides = (along[:, :2] - along[:, 2:]).transpose(0, 2, 1) * _GROWN
        middles, seen = quads.sum(1) / np.float32(4), (sides.astype(np.float32) * _SEEN).astype(np.float32)
        turns = self._halves[:, None] * np.linalg.inv(seen)
        matrices = np.empty((len(quads), 2, 3), np.float32)
        matrices[..., :2] = turns
        matrices[..., 2:] = self._halves[:, None] - turns @ middles[..., None]
        _, found = self._close(pixels, matrices)
        return np.asarray(found @ seen.transpose(0, 2, 1) + middles[:, None], np.float32)

    def _close(self, pixels: Pixels, matrices: Floats) -> tuple[list[float], Floats]:
        """Logits and corners ``(n, 4, 2)`` of the plates that ``matrices`` ``(n, 2, 3)`` bring into the closer
        network's picture; corners in halves of that picture's width and height, from its middle."""
        _, tall, wide, _ = self._closer.shape
        logits, quads = [], np.empty((len(matrices), 4, 2), np.float32)
        for n, matrix in enumerate(matrices):
            image.warp_affine(pixels, matrix, wide, tall, self._close_up[0])
            judged, found = self._closer.run(self._close_up)
            logits.append(judged.item())
            quads[n] = found.reshape(4, 2)
        return logits, quads

    def _model_for(self, width: int, height: int) -> Model:
        """The model that shows the region largest; of equals, the one with the smallest input."""
        if (width, height) not in self._best:
            self._best = {(width, height): self._largest(width, height), **dict(list(self._best.items())[:_SIZES])}
        return self._best[width, height]

    def _largest(self, width: int, height: int) -> Model:
        def cost(model: Model) -> tuple[float, int]:
            _, tall, wide, _ = model.shape
            return -round(min(wide / width, tall / height), 4), wide * tall

        return min(self._models, key=cost)


def _clipped(box: Sequence[float], width: float, height: float) -> Box:
    x0, y0, x1, y1 = box
    return Box(
        min(max(x0, 0.0), width), min(max(y0, 0.0), height), min(max(x1, 0.0), width), min(max(y1, 0.0), height)
    )


def blend(score: float, logit: float) -> float:
    """One score, 0 to 1, of the coarse network's ``score`` and the second look's ``logit``: their mean logit."""
    first = math.log(score) - math.log1p(-min(score, 0.9999))
    return 1 / (1 + math.exp((-first - logit) / 2))


def tilt(quad: Floats) -> float:
    """The slope of a plate's text: of the sides along it of the corners ``(4, 2)``, without sign."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad.tolist()
    return float(abs(y1 + y2 - y0 - y3) / max(1e-6, abs(x1 + x2 - x0 - x3)))


def decode(found: Sequence[Floats], threshold: float) -> Plates:
    """The peaks of the centre map with a score of at least ``threshold``, best first, at most 48.

    ``found`` has what the network says: ``(1, h, w, 1)`` (logits), ``(1, h, w, 4)`` (centre offset in cells, log width,
    log height) and ``(1, h, w, 8)`` (corners' displacement from the box's corners, as fractions of its size).
    """
    across, logits = found[0].shape[2], found[0].reshape(-1)
    (sure,) = (logits >= math.log(threshold / (1 - threshold))).nonzero()
    if not sure.size:
        return _NONE
    cells = dict(zip(sure.tolist(), logits[sure].tolist(), strict=True))
    places = {cell: divmod(cell, across) for cell in cells}
    near = {place: cells[cell] for cell, place in places.items()}
    # at least the largest of all is one
    peaks = [cell for cell, place in places.items() if cells[cell] >= _best_around(near, *place)]
    peaks = sorted(peaks, key=lambda cell: -cells[cell])[:_MOST]
    shape, corners = found[1].reshape(-1, 4)[peaks], found[2].reshape(-1, 4, 2)[peaks]
    middles = np.array([(x + 0.5, y + 0.5) for y, x in map(places.__getitem__, peaks)])
    centre = (middles + shape[:, :2]) * _STRIDE
    size = np.exp(shape[:, 2:]) * _UNITS
    quads, half = centre[:, None] + size[:, None] * (_CORNERS + corners), size / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    scores = 1 / (1 + np.exp(-logits[peaks]))
    return Plates(np.asarray(scores, np.float32), boxes.astype(np.float32), quads.astype(np.float32))


def _best_around(cells: Mapping[tuple[int, int], float], y: int, x: int) -> float:
    """The largest of the cell at ``y, x`` and its eight neighbours; ``cells`` has those that may be the largest."""
    return max(cells.get((y + down, x + across), -math.inf) for down in (-1, 0, 1) for across in (-1, 0, 1))


def suppress(plates: Plates) -> Plates:
    """Drops plates that overlap a better one by more than 30 % or whose centre lies inside it."""
    boxes = [Box(*box) for box in plates.boxes.tolist()]
    kept: list[int] = []
    for n, box in enumerate(boxes):
        if not any(_clash(boxes[better], box) for better in kept):
            kept.append(n)
    if len(kept) == len(boxes):
        return plates
    return Plates(plates.scores[kept], plates.boxes[kept], plates.corners[kept])


def _clash(better: Box, box: Box) -> bool:
    x, y = box.centre
    inside = better.x0 < x < better.x1 and better.y0 < y < better.y1
    return inside or better.iou(box) > _OVERLAP
