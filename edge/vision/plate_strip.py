"""The strip a plate reader sees: a straightened plate of fixed size, grey, with its contrast evened out.

Training cuts its crops with this very code, so that a camera and the training agree by construction.
"""

from __future__ import annotations

import math

import numpy as np

from edge.vision import image
from edge.vision.values import Floats, Pixels, Region

WIDTH = 160
HEIGHT = 40
STEP = 48.0  # grey levels of a strip per standard deviation of the plate's brightness

_MARGIN_X = 0.05  # of the plate's width, on either side
_MARGIN_Y = 0.16  # of the plate's height; of a row's height for two rows
TWO_ROW = 2.0  # a plate less than this many times as wide as high has two rows
_OVERLAP = 0.04  # of the height, by which each half of two rows reaches over the middle
_LARGEST = 3  # a large plate is straightened at up to this many times the strip's size, then averaged


def aspect(corners: Floats) -> float:
    """Width by height of the quadrilateral ``corners`` ``(4, 2)``, from the mean lengths of opposite sides."""
    a, b, c, d = corners.tolist()
    return (math.dist(a, b) + math.dist(c, d)) / max(1e-6, math.dist(b, c) + math.dist(d, a))


def quads(corners: Floats, rows: int | None = None) -> list[Floats]:
    """The quadrilaterals ``(4, 2)`` that a strip shows side by side: one, or two for a plate of two rows.

    ``corners`` ``(4, 2)`` are those of the plate: top left, top right, bottom right, bottom left. The
    result includes a margin, because detected corners are never quite right. Without ``rows`` (1 or 2)
    the plate's shape decides.
    """
    if rows == 1 or (rows is None and aspect(corners) >= TWO_ROW):
        return [_part(corners, (-_MARGIN_X, 1 + _MARGIN_X), (-_MARGIN_Y, 1 + _MARGIN_Y))]
    across = (-_MARGIN_X, 1 + _MARGIN_X)
    above, below = (-_MARGIN_Y / 2, 0.5 + _OVERLAP), (0.5 - _OVERLAP, 1 + _MARGIN_Y / 2)
    return [_part(corners, across, above), _part(corners, across, below)]


def grown(corners: Floats, across: float, down: float) -> Floats:
    """``corners`` ``(4, 2)`` moved outwards on all sides, by shares of the plate's width and height."""
    return _part(corners, (-across, 1 + across), (-down, 1 + down))


def _part(corners: Floats, across: tuple[float, float], down: tuple[float, float]) -> Floats:
    """The part of a quadrilateral between shares ``across`` and ``down``, which may lie outside 0 to 1."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = corners.tolist()  # of four points, plain numbers are the fastest

    def at(u: float, v: float) -> tuple[float, float]:
        top, bottom = (x0 + u * (x1 - x0), y0 + u * (y1 - y0)), (x3 + u * (x2 - x3), y3 + u * (y2 - y3))
        return top[0] + v * (bottom[0] - top[0]), top[1] + v * (bottom[1] - top[1])

    (u0, u1), (v0, v1) = across, down
    return np.array([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)], np.float32)


def strip(pixels: Pixels, corners: Floats, rows: int | None = None) -> Pixels:
    """The plate at ``corners`` of a BGR ``(h, w, 3)`` or grey ``(h, w)`` picture, ``uint8 (HEIGHT, WIDTH)``.

    ``corners`` ``(4, 2)`` are in pixels of the picture: top left, top right, bottom right, bottom left. The
    two rows of a plate come side by side (``rows`` as for ``quads``). Grey 128 is the plate's mean, ``STEP``
    levels its deviation.
    """
    parts = quads(corners, rows)
    region = _around(parts, pixels)
    near = image.cut(pixels, region)
    if near.ndim == 3:
        near = image.grey(near)
    origin = np.array([region.x0, region.y0], np.float32)
    halves = [_straight(near, part - origin, WIDTH // len(parts)) for part in parts]
    return even(np.hstack(halves))


def _around(parts: list[Floats], pixels: Pixels) -> Region:
    """A region of the picture that has every part, at least one pixel large."""
    points = [point for part in parts for point in part.tolist()]
    left, top = (min(point[axis] for point in points) for axis in (0, 1))
    right, bottom = (max(point[axis] for point in points) for axis in (0, 1))
    height, width = pixels.shape[:2]
    x0, y0 = _within(math.floor(left) - 1, 0, width - 1), _within(math.floor(top) - 1, 0, height - 1)
    x1, y1 = _within(math.ceil(right) + 2, x0 + 1, width), _within(math.ceil(bottom) + 2, y0 + 1, height)
    return Region(x0, y0, x1, y1)


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def _straight(grey: Pixels, quad: Floats, width: int) -> Pixels:
    a, b, c, d = quad.tolist()
    longest = max(math.dist(a, b), math.dist(c, d))
    times = _within(math.ceil(longest / width), 1, _LARGEST)
    large = image.warp_quad(grey, quad, width * times, HEIGHT * times)
    return image.resize(large, width, HEIGHT) if times > 1 else large


def even(grey: Pixels) -> Pixels:
    """``uint8`` grey with mean 128 and deviation ``STEP`` where the characters are; clipped.

    Only the middle counts, which is on the plate however loose the corners are: lamps and shadows around a
    plate say nothing about its contrast.
    """
    height, width = grey.shape
    mean, deviation = image.spread(grey[height * 3 // 10 : height * 7 // 10, width // 8 : width * 7 // 8])
    gain = STEP / (deviation + 4.0)
    return image.levels(grey, gain, 128.0 - mean * gain)
