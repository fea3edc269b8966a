"""Non-maximum suppression: many boxes on one object become one. Pure functions, for faces and plates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.vision.values import Detection, Floats, Kind

CONTAINED = 0.7
"""A box is dropped when this share of the smaller of the two boxes lies inside the other."""


def merge(detections: Sequence[Detection], iou: float = 0.3) -> list[Detection]:
    """``detections`` of any regions of one frame without duplicates, best score first.

    Greedy, within each kind: a box yields to a better-scored one when their intersection over union
    reaches ``iou`` (0 to 1), or when one of the two mostly contains the other (a face cut by the edge
    of a tile, a tile's view of part of a plate). Equal scores keep their order.
    """
    kept: list[Detection] = []
    for kind in Kind:
        same = [d for d in detections if d.kind is kind]
        if same:
            boxes = np.array([d.box for d in same], np.float32)
            scores = np.array([d.score for d in same])
            kept += [same[i] for i in survivors(boxes, scores, iou)]
    return sorted(kept, key=lambda d: -d.score)


def survivors(boxes: Floats, scores: NDArray[np.floating], iou: float) -> list[int]:
    """Indices of the boxes that stay, best score first; ``boxes`` is ``(n, 4)`` as x0, y0, x1, y1."""
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return [int(n) for n in order]
    over_union, over_smaller = overlaps(boxes[order, None], boxes[order])
    clash = ((over_union >= iou) | (over_smaller >= CONTAINED)).tolist()
    kept: list[int] = []
    for n, row in enumerate(clash):
        if not any(row[better] for better in kept):
            kept.append(n)
    return [int(order[n]) for n in kept]


def overlaps(box: Floats, others: Floats) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Intersection of ``box`` ``(4,)`` with each of ``others`` ``(n, 4)``: over the union, over the smaller area.

    ``box`` may also be ``(m, 1, 4)``, for each of several; then the results are ``(m, n)``.
    """
    sides = np.maximum(np.minimum(box[..., 2:], others[:, 2:]) - np.maximum(box[..., :2], others[:, :2]), 0)
    shared = sides[..., 0] * sides[..., 1]
    area, areas = _area(box), _area(others)
    tiny = np.finfo(np.float32).tiny  # an empty box overlaps nothing
    return shared / np.maximum(area + areas - shared, tiny), shared / np.maximum(np.minimum(area, areas), tiny)


def _area(boxes: Floats) -> NDArray[np.floating]:
    sides = np.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])
