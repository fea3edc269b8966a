"""Detection: runs the detectors where the scheduler says and joins what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from edge.vision.look import Glance
from edge.vision.nms import merge
from edge.vision.values import Detection, Frame, Kind, Pixels, Region

_EDGE = 2.0  # pixels: what touches a tile's inner edge is cut off, and whole in the next tile


class Detector(Protocol):
    """Finds objects of one kind in one region of a frame; detections are in full-frame pixels."""

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]: ...


class Detect:
    """All detectors together. Detections come out free of duplicates, best first."""

    def __init__(self, detectors: Mapping[Kind, Detector]) -> None:
        self._detectors = dict(detectors)

    def __call__(self, frame: Frame, glances: Sequence[Glance]) -> list[Detection]:
        found: list[Detection] = []
        for glance in glances:
            seen = self._detectors[glance.kind].detect(frame.pixels, glance.region)
            found += [d for d in seen if not _cut(d, glance.region, frame)]
        return merge(found)


def _cut(detection: Detection, region: Region, frame: Frame) -> bool:
    box = detection.box
    return (
        (region.x0 > 0 and box.x0 < region.x0 + _EDGE)
        or (region.y0 > 0 and box.y0 < region.y0 + _EDGE)
        or (region.x1 < frame.width and box.x1 > region.x1 - _EDGE)
        or (region.y1 < frame.height and box.y1 > region.y1 - _EDGE)
    )
