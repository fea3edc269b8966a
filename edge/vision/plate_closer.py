"""The second look at what may be a plate, at the frame's own resolution: where its corners are, and whether it is one.

A tiny network sees the candidate with its surroundings stretched to its input. One that slopes is looked at once more,
along its own sides. ``models/plate_detector`` trains the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from edge.vision import image
from edge.vision.answers import Tensor, numbers
from edge.vision.runtime import Fill, load
from edge.vision.values import Floats, Pixels, Region

MODEL = "plate-closer"
CONTEXT = (1.3, 1.7)  # a candidate is seen with this much around it, across and down
_LOOSE = (0.08, 0.14)  # by which the detector's boxes, which the network is used to, exceed a plate
_BESIDE = tuple((1 + loose) * context / 4 for loose, context in zip(_LOOSE, CONTEXT, strict=True))
_TILTED = 0.05  # slope from which a plate is looked at along its own sides

Quad = Sequence[tuple[float, float]]
"""Corners x, y in pixels of the frame: top left, top right, bottom right, bottom left, as the text reads."""


class PlateCloser:
    """The second look. Raises ``ModelError`` when the model is missing."""

    def __init__(self) -> None:
        self._model = load(MODEL, threads=1)
        _, height, width, _ = self._model.shape
        self._across, self._down = width / 2, height / 2

    def look(self, pixels: Pixels, box: Sequence[float]) -> tuple[float, Quad]:
        """The logit for a plate in ``box`` (x0, y0, x1, y1) of the frame ``pixels``, and its corners."""
        seen = _around(*box)
        across, down = (seen.x1 - seen.x0) / 2, (seen.y1 - seen.y0) / 2
        # scaled and frame pixels have their outer edges in common, not the middles of their first ones
        left = seen.x0 + across - 0.5 + across / (2 * self._across)
        top = seen.y0 + down - 0.5 + down / (2 * self._down)
        if seen.x0 >= 0 and seen.y0 >= 0 and seen.x1 <= pixels.shape[1] and seen.y1 <= pixels.shape[0]:
            fill = partial(_stretched, pixels, seen)
        else:  # a warp repeats the picture's edge as far as it takes
            fill = partial(_warped, pixels, self._bringing((across, 0.0, 0.0, down), (left, top)))
        logit, found = self._run(fill)
        quad: Quad = [(left + x * across, top + y * down) for x, y in found]
        return logit, self._along(pixels, quad) if tilt(quad) > _TILTED else quad

    def _along(self, pixels: Pixels, quad: Quad) -> Quad:
        """The corners ``quad`` of a sloping plate, from a look along its sides: at a parallelogram."""
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad
        x, y = (x0 + x1 + x2 + x3) / 4, (y0 + y1 + y2 + y3) / 4
        # from the middle to the edges of what is seen: (a, c) along the text and (b, d) across it
        a, c = (x1 - x0 + x2 - x3) * _BESIDE[0], (y1 - y0 + y2 - y3) * _BESIDE[0]
        b, d = (x3 - x0 + x2 - x1) * _BESIDE[1], (y3 - y0 + y2 - y1) * _BESIDE[1]
        _, found = self._run(partial(_warped, pixels, self._bringing((a, b, c, d), (x, y))))
        return [(x + a * right + b * under, y + c * right + d * under) for right, under in found]

    def _bringing(self, sides: tuple[float, float, float, float], middle: tuple[float, float]) -> Floats:
        """The matrix (2, 3) that brings what lies up to (a, c) and (b, d) of ``sides`` from ``middle`` into the
        network's picture."""
        (a, b, c, d), (x, y) = sides, middle
        area = a * d - b * c or 1e-6
        turn = ((d * self._across / area, -b * self._across / area), (-c * self._down / area, a * self._down / area))
        rows = [(p, q, half - p * x - q * y) for (p, q), half in zip(turn, (self._across, self._down), strict=True)]
        return np.array(rows, np.float32)

    def _run(self, fill: Fill) -> tuple[float, Quad]:
        """Logit and corners of the plate that ``fill`` brings into the network's picture, in halves of that picture's
        width and height, from its middle."""
        answers = self._model.run(fill)
        corners = numbers(answers, 1)
        return numbers(answers, 0)[0], list(zip(corners[::2], corners[1::2], strict=True))


def _around(x0: float, y0: float, x1: float, y1: float) -> Region:
    """A candidate with the surroundings that the network wants, in whole pixels, at least one each way."""
    (x, y), (across, down) = ((x0 + x1) / 2, (y0 + y1) / 2), ((x1 - x0) * CONTEXT[0] / 2, (y1 - y0) * CONTEXT[1] / 2)
    left, top = round(x - across), round(y - down)
    return Region(left, top, max(left + 1, round(x + across)), max(top + 1, round(y + down)))


def _stretched(pixels: Pixels, region: Region, given: Tensor) -> None:
    image.stretch(image.cut(pixels, region), given[0])


def _warped(pixels: Pixels, matrix: Floats, given: Tensor) -> None:
    image.warp_affine(pixels, matrix, given.shape[2], given.shape[1], given[0])


def tilt(quad: Quad) -> float:
    """The slope of a plate's text: of the sides along it of the corners ``quad``, without sign."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad
    return abs(y1 + y2 - y0 - y3) / max(1e-6, abs(x1 + x2 - x0 - x3))
