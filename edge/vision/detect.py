"""Detection: runs the detectors where the scheduler says and joins what they find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from edge.vision import image
from edge.vision.look import Glance
from edge.vision.nms import merge
from edge.vision.values import Detection, Frame, Kind, Pixels, Region

_EDGE = 2.0  # pixels: what touches a tile's inner edge is cut off, and whole in the next tile


class Detector(Protocol):
    """Finds objects of one kind in one region of a frame; detections are in full-frame pixels."""

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]: ...


class Detect:
    """All detectors together. Detections come out free of duplicates, best first.

    With more than one of ``threads``, detectors of different kinds work side by side: inference and resizing leave
    the interpreter to others. The result does not depend on it.
    """

    def __init__(self, detectors: Mapping[Kind, Detector], threads: int = 1) -> None:
        self._detectors = dict(detectors)
        beside = min(threads, len(self._detectors)) - 1
        self._pool = ThreadPoolExecutor(beside, "detect") if beside > 0 else None

    def __call__(self, frame: Frame, glances: Sequence[Glance]) -> list[Detection]:
        with image.halves.during(frame.pixels):
            return merge(self._find(frame, glances))

    def _find(self, frame: Frame, glances: Sequence[Glance]) -> list[Detection]:
        kinds = list(dict.fromkeys(glance.kind for glance in glances))
        shares = [[glance for glance in glances if glance.kind is kind] for kind in kinds]
        if self._pool is None or len(shares) < 2:
            return [d for share in shares for d in self._work(frame, share)]
        beside = [self._pool.submit(self._work, frame, share) for share in shares[1:]]
        found = self._work(frame, shares[0])
        return [*found, *(d for future in beside for d in future.result())]

    def _work(self, frame: Frame, glances: Sequence[Glance]) -> list[Detection]:
        found: list[Detection] = []
        for glance in glances:
            seen = self._detectors[glance.kind].detect(frame.pixels, glance.region)
            found += [d for d in seen if not _cut(d, glance.region, frame)]
        return found


def _cut(detection: Detection, region: Region, frame: Frame) -> bool:
    box = detection.box
    return (
        (region.x0 > 0 and box.x0 < region.x0 + _EDGE)
        or (region.y0 > 0 and box.y0 < region.y0 + _EDGE)
        or (region.x1 < frame.width and box.x1 > region.x1 - _EDGE)
        or (region.y1 < frame.height and box.y1 > region.y1 - _EDGE)
    )
