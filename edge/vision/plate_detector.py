"""Finds number plates: box, score and the four corners a reader needs to straighten them.

A network looks at the whole region, an anchor-free centre detector (after Zhou et al., "Objects as
Points", 2019): a map of plate centres in cells of 8 pixels, with box and corners beside it. A second, tiny
one looks at each candidate up close, at the frame's own resolution: it says where the corners are and
whether that is a plate at all (``plate_closer``). ``models/plate_detector`` trains both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from edge.vision import image
from edge.vision.answers import Tensor, above, rows, shape
from edge.vision.plate_closer import PlateCloser
from edge.vision.runtime import Model, check, load
from edge.vision.values import Box, Detection, Floats, Kind, Pixels, Region

MODELS = {"plate-detector": (640, 384), "plate-detector-4x3": (512, 384)}
"""Models of the first look, and the width and height of what they see."""

_STRIDE = 8
_UNITS = (72.0, 20.0)  # the network gives log sizes relative to these, in its input's pixels
_MOST = 48  # candidates that go into suppression
_CANDIDATE = 0.25  # least coarse score worth a second look, which takes half a millisecond
_LOOKS = 6  # second looks a region may cost
_OVERLAP = 0.3
_CORNERS = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
_NEIGHBOURS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))  # down and across


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
    All but the first model are loaded when a region first needs them: a camera's regions mostly have one shape, and a
    model takes 10 MB.
    """

    def __init__(self, threshold: float = 0.35) -> None:
        first, *others = MODELS
        self._models = {first: load(first, threads=1)}
        for name in others:
            check(name)
        self._closer = PlateCloser()
        self._threshold = threshold

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        """The plates inside ``region`` of the frame ``pixels``, best first, in full-frame coordinates.

        The region is clipped to the frame; an empty one has no plates. It is scaled to fit the network's
        input, so a plate needs about 20 pixels of width after that. Boxes are a little loose and end at
        the frame; corners hug the plate and may lie outside.
        """
        height, width = pixels.shape[:2]
        region = Region(max(0, region.x0), max(0, region.y0), min(width, region.x1), min(height, region.y1))
        if region.x0 >= region.x1 or region.y0 >= region.y1:
            return []
        candidates = self._candidates(pixels, region)
        if not len(candidates.scores):
            return []
        plates = self._look_closer(pixels, candidates)
        return [
            Detection(Kind.PLATE, _clipped(box, width, height), sure, quad)
            for sure, box, quad in zip(plates.scores.tolist(), plates.boxes.tolist(), plates.corners, strict=True)
            if sure >= self._threshold
        ]

    def _candidates(self, pixels: Pixels, region: Region) -> Plates:
        """What the coarse network takes for plates in ``region``, in frame pixels."""
        x, y, across, down = region.x0, region.y0, region.x1 - region.x0, region.y1 - region.y0
        model = self._model_for(across, down)
        found = model.run(partial(_fitted, pixels, region))
        plates = suppress(decode(found, _CANDIDATE))
        if not len(plates.scores):
            return plates
        larger = np.float32(1 / image.fit(across, down, model.shape[2], model.shape[1]))
        origin = np.array((x, y, x, y), np.float32)
        return Plates(plates.scores, plates.boxes * larger + origin, plates.corners * larger + origin[:2])

    def _look_closer(self, pixels: Pixels, plates: Plates) -> Plates:
        """The best candidates with scores and corners from the second look, best first."""
        boxes = plates.boxes[:_LOOKS]
        looks = [self._closer.look(pixels, box) for box in boxes.tolist()]
        scores = [blend(score, logit) for score, (logit, _) in zip(plates.scores.tolist(), looks, strict=False)]
        order = sorted(range(len(scores)), key=lambda n: -scores[n])
        quads = np.array([looks[n][1] for n in order], np.float32)
        return Plates(np.array([scores[n] for n in order], np.float32), boxes[order], quads)

    def _model_for(self, width: int, height: int) -> Model:
        name = best_fit(width, height)
        if name not in self._models:
            self._models[name] = load(name, threads=1)
        return self._models[name]


@lru_cache(maxsize=32)
def best_fit(width: int, height: int) -> str:
    """The model that shows a region of this size largest; of equals, the one that sees least."""

    def cost(name: str) -> tuple[float, int]:
        wide, tall = MODELS[name]
        return -round(image.fit(width, height, wide, tall), 4), wide * tall

    return min(MODELS, key=cost)


def _fitted(pixels: Pixels, region: Region, given: Tensor) -> None:
    image.letterbox(pixels, region, given[0])


def _clipped(box: Sequence[float], width: int, height: int) -> Box:
    x0, y0, x1, y1 = box
    right, bottom = float(width), float(height)
    return Box(
        min(max(x0, 0.0), right), min(max(y0, 0.0), bottom), min(max(x1, 0.0), right), min(max(y1, 0.0), bottom)
    )


def blend(score: float, logit: float) -> float:
    """One score, 0 to 1, of the coarse network's ``score`` and the second look's ``logit``: their mean logit."""
    first = math.log(score) - math.log1p(-min(score, 0.9999))
    return 1 / (1 + math.exp((-first - logit) / 2))


def decode(found: Sequence[Floats], threshold: float) -> Plates:
    """The peaks of the centre map with a score of at least ``threshold``, best first, at most 48.

    ``found`` has what the network says: ``(1, h, w, 1)`` (logits), ``(1, h, w, 4)`` (centre offset in cells, log width,
    log height) and ``(1, h, w, 8)`` (corners' displacement from the box's corners, as fractions of its size).
    """
    sure, logits = above(found, 0, math.log(threshold / (1 - threshold)))
    if not sure:
        return _NONE
    across = shape(found, 0)[2]
    places = {divmod(cell, across): logit for cell, logit in zip(sure, logits, strict=True)}
    peaks = sorted((place for place in places if _is_peak(places, *place)), key=lambda place: -places[place])[:_MOST]
    cells = [y * across + x for y, x in peaks]
    shapes, moves = rows(found, 1, cells), rows(found, 2, cells)
    scores = [1 / (1 + math.exp(-places[place])) for place in peaks]
    boxes, quads = [], []
    for (y, x), (right, down, wide, tall), moved in zip(peaks, shapes, moves, strict=True):
        middle = (x + 0.5 + right) * _STRIDE, (y + 0.5 + down) * _STRIDE
        width, height = math.exp(wide) * _UNITS[0], math.exp(tall) * _UNITS[1]
        boxes.append((middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2))
        by = zip(_CORNERS, moved[::2], moved[1::2], strict=True)
        quads.append([(middle[0] + width * (h + dx), middle[1] + height * (v + dy)) for (h, v), dx, dy in by])
    return Plates(*(np.array(each, np.float32) for each in (scores, boxes, quads)))


def _is_peak(logits: Mapping[tuple[int, int], float], y: int, x: int) -> bool:
    """Whether none of the eight neighbours of the cell at ``y, x`` has more; ``logits`` has those that may."""
    own = logits[y, x]
    return not any(logits.get((y + down, x + across), -math.inf) > own for down, across in _NEIGHBOURS)


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
