"""Finds faces: BlazeFace full range on one region of the frame at a time.

The network (Bazarevsky et al., "BlazeFace", 2019; MediaPipe's full-range variant) looks at 192x192 RGB
and answers on a 48x48 grid, one anchor a cell: a score, a box and six points relative to the cell's
centre. Faces need about 24 pixels of those 192, so what it finds is decided by the region it is given.
"""

from __future__ import annotations

import math
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from edge.vision import image
from edge.vision.answers import Tensor, above, rows
from edge.vision.nms import survivors
from edge.vision.runtime import Model, load
from edge.vision.values import Box, Detection, Kind, Pixels, Region

SIZE = 192
STRIDE = 4
LANDMARKS = 4
THRESHOLD = 0.5
"""Default least score of a detection: that of one which may begin a track."""

FAINT = 0.4
"""Least score of a detection that may continue a track."""

BORDERS = (0.0, 0.35, 0.7)
"""Black borders a single photo is examined with, as shares of its longer side: for faces that fill it."""

STILL_TILE = 432
"""Side in pixels of the tiles of a single photo: of faces 48 pixels high they show more than nine in ten."""


class _Fit(NamedTuple):
    """What the network sees: the part ``seen`` of the frame, at ``place`` among the network's own pixels."""

    seen: Region
    place: Region

    def scale(self) -> tuple[float, float]:
        """Frame pixels in a network pixel, across and down, after rounding to whole pixels: landmarks stay exact."""
        across = (self.seen.x1 - self.seen.x0) / (self.place.x1 - self.place.x0)
        return across, (self.seen.y1 - self.seen.y0) / (self.place.y1 - self.place.y0)

    def origin(self) -> tuple[float, float]:
        """Where in the frame the network's picture begins, x and y."""
        across, down = self.scale()
        return self.seen.x0 - self.place.x0 * across, self.seen.y0 - self.place.y0 * down


class FaceDetector:
    """The face detector with its own input buffer: not to be shared between threads."""

    def __init__(self, threshold: float = THRESHOLD, model: Model | None = None) -> None:
        """``threshold`` is the least score, above 0 and below 1. Raises ``ModelError`` when the model does not load."""
        self._model = load("face-detector") if model is None else model
        self._logit = math.log(threshold / (1 - threshold))
        self._small = np.empty((SIZE, SIZE, 3), np.uint8)

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        """Faces inside ``region`` of the frame ``pixels`` (BGR), best score first, in full-frame pixels.

        The region may reach beyond the frame: what is outside counts as black. That is how a face which
        fills a whole photo gets the surroundings the network needs. A region without any frame in it
        has no faces. Boxes may reach beyond the region, and are not clipped to the frame.
        """
        fit = _fit(pixels.shape[1], pixels.shape[0], region)
        if fit is None:
            return []
        answers = self._model.run(partial(self._fill, pixels, fit))
        found, logits = above(answers, 1, self._logit)
        if not found:
            return []
        sure = [1 / (1 + math.exp(-logit)) for logit in logits]
        faces = [_decoded(raw, cell, fit) for raw, cell in zip(rows(answers, 0, found), found, strict=True)]
        best = survivors([box for box, _ in faces], sure, 0.3)
        return [Detection(Kind.FACE, faces[i][0], sure[i], np.array(faces[i][1], np.float32)) for i in best]

    def _fill(self, pixels: Pixels, fit: _Fit, given: Tensor) -> None:
        """Letterboxes what is seen into the network's input ``given``."""
        left, top, right, bottom = fit.place
        inner = self._small[: bottom - top, : right - left]
        image.rgb(image.shrink(pixels, fit.seen, right - left, bottom - top, inner), inner)
        picture = given[0]
        for black in (picture[:top], picture[bottom:], picture[top:bottom, :left], picture[top:bottom, right:]):
            black.fill(-1.0)
        window = picture[top:bottom, left:right]
        np.multiply(inner, np.float32(1 / 127.5), out=window)
        window -= 1.0


def _decoded(raw: list[float], cell: int, fit: _Fit) -> tuple[Box, list[tuple[float, float]]]:
    """What the anchor of ``cell`` says, its box and points in full-frame pixels.

    ``raw`` holds centre, size, then the points (x, y), all in network pixels; centre and points are relative to the
    anchor.
    """
    (across, down), (left, top) = fit.scale(), fit.origin()
    row, column = divmod(cell, SIZE // STRIDE)
    x, y = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
    middle_x, middle_y = (raw[0] + x) * across + left, (raw[1] + y) * down + top
    width, height = raw[2] * across / 2, raw[3] * down / 2
    points = [
        ((raw[n] + x) * across + left, (raw[n + 1] + y) * down + top) for n in range(4, 4 + 2 * LANDMARKS, 2)
    ]
    return Box(middle_x - width, middle_y - height, middle_x + width, middle_y + height), points


@lru_cache(maxsize=128)  # most regions come up again and again
def _fit(width: int, height: int, region: Region) -> _Fit | None:
    """How the region of a frame is letterboxed into the network's input; None when none of the frame is in it."""
    seen = Region(max(0, region.x0), max(0, region.y0), min(width, region.x1), min(height, region.y1))
    if seen.x0 >= seen.x1 or seen.y0 >= seen.y1:
        return None
    shrink = SIZE / max(region.x1 - region.x0, region.y1 - region.y0)
    left, right = _span(seen.x0 - region.x0, seen.x1 - region.x0, shrink)
    top, bottom = _span(seen.y0 - region.y0, seen.y1 - region.y0, shrink)
    return _Fit(seen, Region(left, top, right, bottom))


def _span(start: int, stop: int, scale: float) -> tuple[int, int]:
    """``start`` to ``stop`` scaled to whole network pixels, at least one of them."""
    first = min(round(start * scale), SIZE - 1)
    return first, max(round(stop * scale), first + 1)


def still_regions(width: int, height: int, tile: int = STILL_TILE, overlap: float = 0.25) -> list[Region]:
    """The regions that find every face of a single photo of ``width`` x ``height`` pixels.

    The whole photo once for each of ``BORDERS``; then, when it is larger than a ``tile`` (pixels), tiles
    that overlap by the share ``overlap``.
    """
    margins = [round(border * max(width, height)) for border in BORDERS]
    regions = [Region(-margin, -margin, width + margin, height + margin) for margin in margins]
    if max(width, height) <= tile:
        return regions
    step = max(1, int(tile * (1 - overlap)))
    columns = [*range(0, max(width - tile, 0), step), max(width - tile, 0)]
    rows = [*range(0, max(height - tile, 0), step), max(height - tile, 0)]
    return regions + [Region(x, y, min(x + tile, width), min(y + tile, height)) for y in rows for x in columns]
