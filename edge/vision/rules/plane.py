"""Speed over a plane: four points of the picture and where they lie in metres.

The picture of a plane is a homography of it (Hartley and Zisserman, Multiple View Geometry, 2nd edition, section 2.3),
and four points determine one. A plate moves on a plane parallel to the road; seen against the road it moves faster by
the ratio of the camera's height above the road to its height above the plate, which is exact for every pinhole camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Point

_FEWEST = 5  # positions
_SHORTEST = 0.2  # seconds
_STRAY = 4.0  # times the median residual: a position further off is a slip of the detector
_FLOOR = 0.01  # metres: residuals below this are not told apart
_MOST_STRAY = 0.25  # share of positions
_CERTAIN = 0.05  # twice the standard error, as a share of the speed, above which nothing is said


class Position(NamedTuple):
    """A moment (seconds) and a place on the plane (metres); ``weight`` is its precision, as 1 over variance."""

    time: float
    x: float
    y: float
    weight: float


class Estimate(NamedTuple):
    """A speed and its standard error, km/h."""

    speed: float
    error: float


class Plane:
    """Pixels to metres. ``points`` in pixels and ``metres`` name the same four corners; ``scale`` corrects lengths."""

    def __init__(self, points: Sequence[Point], metres: Sequence[Point], scale: float = 1.0) -> None:
        rows, right = [], []
        for (u, v), (x, y) in zip(points, metres, strict=True):
            rows += [[u, v, 1, 0, 0, 0, -u * x, -v * x], [0, 0, 0, u, v, 1, -u * y, -v * y]]
            right += [x, y]
        h = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
        self._h = tuple(float(value) for value in h)
        self._scale = scale

    def at(self, u: float, v: float) -> Point:
        """Where the plane is that the pixel ``u, v`` shows."""
        a, b, c, d, e, f, g, h = self._h
        w = (g * u + h * v + 1) / self._scale
        return (a * u + b * v + c) / w, (d * u + e * v + f) / w


def estimate(positions: Sequence[Position]) -> Estimate | None:
    """The mean speed along ``positions``: the slope of the weighted straight line of place over time.

    Positions far off the line are left out. None when there are too few, or too many stray, or the error is too large.
    """
    if len(positions) < _FEWEST or positions[-1].time - positions[0].time < _SHORTEST:
        return None
    table = np.array(positions, np.float64)
    kept = np.ones(len(table), bool)
    for _ in range(3):
        slope, residuals, spread = _line(table, kept)
        stray = residuals > max(_FLOOR, _STRAY * float(np.median(residuals[kept])))
        if not (stray & kept).any():
            break
        kept = ~stray
        if kept.sum() < max(_FEWEST, (1 - _MOST_STRAY) * len(table)):
            return None
    speed = math.hypot(*slope)
    variance = float((table[kept, 3] * residuals[kept] ** 2).sum()) / (int(kept.sum()) - 2)
    error = math.sqrt(variance / spread)
    return Estimate(3.6 * speed, 3.6 * error) if 2 * error <= _CERTAIN * speed else None


def _line(
    table: NDArray[np.float64], kept: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Weighted least squares over the rows ``kept``: velocity, distance of every row from the line, spread of times."""
    weights = table[:, 3] * kept
    total = weights.sum()
    middle = (weights[:, None] * table[:, :3]).sum(0) / total
    offset = table[:, :3] - middle
    spread = float((weights * offset[:, 0] ** 2).sum())
    slope = (weights[:, None] * offset[:, :1] * offset[:, 1:]).sum(0) / spread
    away = offset[:, 1:] - offset[:, :1] * slope
    return slope, np.hypot(away[:, 0], away[:, 1]), spread
