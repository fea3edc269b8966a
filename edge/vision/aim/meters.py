"""What tells a technician that the camera is aimed well: sharpness, width of plates, tilt. No pixels leave here."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.vision import image
from edge.vision.values import Detection, Floats, Frame, Kind, Pixels

SURE = 0.6
"""Least score of a plate whose width counts: a mask may be wrong, a measure should not."""

_REMEMBERED = 60.0  # seconds
_MOST = 4096  # sightings
_BLUR = 11  # pixels, as in the source of the method
_LONG = 0.03  # of the frame's height: an edge that says something of what is upright
_UPRIGHT = 15.0  # degrees from upright within which an edge is taken for one that is meant to be
_ENOUGH = 0.5  # frame heights of such edges, put end to end, below which the tilt is anybody's guess
_ENOUGH_WIDE = 800  # pixels: twice as many tell no more and take four times as long
_ROUNDS = 4


class Widths(NamedTuple):
    """Of the plates seen in the last minute: sightings, the widest, the median; pixels of the full frame."""

    sightings: int
    widest: float
    median: float


class PlateMeter:
    """Remembers how wide plates were."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque(maxlen=_MOST)

    def update(self, frame: Frame, found: Sequence[Detection]) -> Widths:
        """Takes in what was ``found`` in ``frame``; returns what the last minute showed."""
        while self._seen and not 0.0 <= frame.monotonic - self._seen[0][0] <= _REMEMBERED:
            self._seen.popleft()
        for detection in found:
            if detection.kind is Kind.PLATE and detection.score >= SURE:
                self._seen.append((frame.monotonic, width_of(detection.points)))
        widths = [width for _, width in self._seen]
        return Widths(len(widths), max(widths), float(np.median(widths))) if widths else Widths(0, 0.0, 0.0)


def width_of(points: Floats) -> float:
    """The width of a plate with the corners ``(4, 2)``: the mean of its top and bottom side."""
    return float((math.dist(points[0], points[1]) + math.dist(points[3], points[2])) / 2)


def focus(grey: Pixels) -> float:
    """Sharpness of a grey picture, 0 (no detail) to 100, whatever it shows.

    How much of the difference between neighbours a blur takes away: little where the picture is blurred already. From
    Crete, Dolmiere, Ladret and Nicolas, "The blur effect" (2007), turned round.
    """
    pixels = grey.astype(np.float32)
    shares = []
    for axis, size in ((0, (1, _BLUR)), (1, (_BLUR, 1))):
        before = np.abs(np.diff(pixels, axis=axis))
        after = np.abs(np.diff(image.blurred(pixels, *size), axis=axis))
        total = float(before.sum())
        if total > 0.0:
            shares.append(float(np.maximum(0.0, before - after).sum()) / total)
    return 100.0 * min(shares, default=0.0)  # motion and astigmatism blur one way only


def tilt(grey: Pixels) -> float | None:
    """By how many degrees the camera is turned clockwise, from edges that stand upright in the world: poles, walls.

    A line is fitted through their angles over where they are from left to right, since a camera that looks down sees
    them fan out; its value in the middle is the tilt. None where too few are in view.
    """
    if grey.shape[1] >= 2 * _ENOUGH_WIDE:
        grey = image.resize(grey, grey.shape[1] // 2, grey.shape[0] // 2)
    height, width = grey.shape
    found = image.segments(grey, _LONG * height)
    across, down = found[:, 2] - found[:, 0], found[:, 3] - found[:, 1]
    turned = np.where(down < 0, -1.0, 1.0)
    angles = np.degrees(np.arctan2(across * turned, np.maximum(1e-6, np.abs(down))))
    upright = np.abs(angles) < _UPRIGHT
    lengths = np.hypot(across, down)[upright].astype(np.float64)
    if lengths.sum() < _ENOUGH * height:
        return None
    places = ((found[:, 0] + found[:, 2])[upright] / width - 1.0).astype(np.float64)
    return _middle(places, angles[upright].astype(np.float64), lengths)


def _middle(places: NDArray[np.float64], angles: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """The value at 0 of the line through ``angles`` over ``places``; outliers count less and less (Cauchy weights)."""
    used, value = weights, 0.0
    for _ in range(_ROUNDS):
        matrix = np.stack([np.ones_like(places), places], 1) * np.sqrt(used)[:, None]
        ridge = np.diag([0.0, 0.05 * used.sum()])  # few edges on one side tell nothing of a slope
        solved = np.linalg.solve(matrix.T @ matrix + ridge, matrix.T @ (np.sqrt(used) * angles))
        value = float(solved[0])
        used = weights / (1 + ((angles - solved[0] - solved[1] * places) / 1.5) ** 2)
    return value
