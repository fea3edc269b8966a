"""Privacy zones: parts of the picture that are made black before anything looks at it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Point
from edge.vision import image
from edge.vision.values import Frame


class PrivacyZones:
    """``polygons`` in fractions of the frame. Their corners in pixels are kept until the frame's size changes."""

    def __init__(self, polygons: Sequence[Sequence[Point]]) -> None:
        self._polygons = [np.array(polygon, np.float64) for polygon in polygons]
        self._size = (0, 0)
        self._corners: list[NDArray[np.int32]] = []

    def __call__(self, frame: Frame) -> Frame:
        """``frame`` with every pixel black that lies in a zone or touches its edge: in place where that is possible."""
        if not self._polygons:
            return frame
        if (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            self._corners = [_pixels(polygon, frame.width, frame.height) for polygon in self._polygons]
        if not (frame.pixels.flags.c_contiguous and frame.pixels.flags.writeable):
            frame = dataclasses.replace(frame, pixels=frame.pixels.copy())
        image.blank(frame.pixels, self._corners)
        return frame


def _pixels(polygon: NDArray[np.float64], width: int, height: int) -> NDArray[np.int32]:
    # the corner pixels: pixel n holds the coordinates from n to n + 1
    return np.floor(polygon * (width, height)).astype(np.int32)
