"""Non-maximum suppression: many boxes on one object become one. Pure functions, for faces and plates."""

from __future__ import annotations

from collections.abc import Sequence

from edge.vision.values import Box, Detection, Kind

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
        kept += [same[i] for i in survivors([d.box for d in same], [d.score for d in same], iou)]
    return sorted(kept, key=lambda d: -d.score)


def survivors(boxes: Sequence[Box], scores: Sequence[float], iou: float) -> list[int]:
    """Indices of the boxes that stay, best score first."""
    kept: list[int] = []
    for n in sorted(range(len(boxes)), key=lambda n: -scores[n]):
        if not any(_clash(boxes[n], boxes[better], iou) for better in kept):
            kept.append(n)
    return kept


def _clash(box: Box, other: Box, iou: float) -> bool:
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    if width <= 0 or height <= 0:
        return False  # as an empty box does, which overlaps nothing
    shared, area, others = width * height, box.area, other.area
    return shared >= iou * (area + others - shared) or shared >= CONTAINED * min(area, others)
