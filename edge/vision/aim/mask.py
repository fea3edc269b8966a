"""What people must not see is blanked: faces, plates and privacy zones. The only maker of ``Masked`` pictures.

Detectors miss things. So everything is blanked of which they are only faintly sure, generously, and for a second after
it was seen last; and the picture is shrunk to a third, so that what they still miss is small: a plate of 80 pixels,
which the reader needs at least, is 27 wide then, and a face of 48 is 16 high.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.geometry import Point
from edge.vision import image
from edge.vision.detect import Detector
from edge.vision.look import Grid
from edge.vision.nms import merge
from edge.vision.privacy import PrivacyZones
from edge.vision.values import Detection, Frame, Kind, Masked, Region

FAINT = {Kind.PLATE: 0.05, Kind.FACE: 0.25}
"""Least scores of what is blanked: much lower than a report's (0.35 and 0.5). Lower ones blank the street itself."""

WIDEST = 640
"""Width of the picture shown, in pixels, at most; never more than a third of the frame's."""

# as when the camera works, and faces in smaller ones too: what one misses of a face of 64 pixels the other finds
_TILES = {Kind.PLATE: ((960, 552),), Kind.FACE: ((432, 432), (300, 300))}
_OVERLAP = 0.25
_MARGIN = {Kind.PLATE: (0.3, 0.6), Kind.FACE: (0.35, 0.45)}  # shares of the box added on each side, across and down
_LEAST_MARGIN = 6.0  # pixels
_HOLD = 1.0  # seconds
_LONGEST_HOLD = 64  # frames

Corners = NDArray[np.int32]


class Shown(NamedTuple):
    """A picture for people, and the detections of this frame, free of duplicates."""

    picture: Masked
    found: list[Detection]


class Mask:
    """Finds and blanks. ``detectors`` by kind, with thresholds no higher than ``FAINT``."""

    def __init__(self, detectors: dict[Kind, Detector]) -> None:
        self._detectors = detectors
        self._held: deque[tuple[float, list[Corners]]] = deque(maxlen=_LONGEST_HOLD)
        self._size = (0, 0)
        self._regions: dict[Kind, list[Region]] = {}

    def __call__(self, frame: Frame, privacy: Sequence[Sequence[Point]]) -> Shown:
        """``frame``, which stays as it is, without what nobody may see. ``privacy``: zones in fractions of it."""
        if (frame.width, frame.height) != self._size:
            self._size = frame.width, frame.height
            self._regions = {kind: regions(kind, *self._size) for kind in self._detectors}
            self._held.clear()
        with image.halves.during(frame.pixels):
            found = [
                detection
                for kind, regions_ in self._regions.items()
                for region in regions_
                for detection in self._detectors[kind].detect(frame.pixels, region)
            ]
        while self._held and not 0.0 <= frame.monotonic - self._held[0][0] <= _HOLD:
            self._held.popleft()
        self._held.append((frame.monotonic, [corners(detection) for detection in found]))
        blank = [part for _, parts in self._held for part in parts]
        return Shown(mask(frame, blank, privacy), merge(found))


def mask(frame: Frame, blank: Sequence[Corners], privacy: Sequence[Sequence[Point]]) -> Masked:
    """A small copy of ``frame`` in which the polygons ``blank`` (full-frame pixels) and ``privacy`` (fractions of the
    frame) are black."""
    copied = Frame(np.ascontiguousarray(frame.pixels).copy(), frame.index, frame.monotonic, frame.wall)
    pixels = PrivacyZones(privacy)(copied).pixels
    image.blank(pixels, blank)
    width = min(WIDEST, max(2, frame.width // 3))
    return Masked(image.resize(pixels, width, max(2, round(frame.height * width / frame.width))))


def regions(kind: Kind, width: int, height: int) -> list[Region]:
    """Where to look for ``kind``: the whole frame, and every tile of it, each once."""
    grids = [Grid(*size, _OVERLAP, coarse_share=1.0, smallest=1.0) for size in _TILES[kind]]
    tiles = [tile for grid in grids for tile in grid.tiles(width, height)]
    return list(dict.fromkeys([Region(0, 0, width, height), *tiles]))


def corners(detection: Detection) -> Corners:
    """The rectangle to blank for ``detection``: its box and its points, with a margin. ``int32 (4, 2)``."""
    box, points = detection.box, detection.points
    x0, y0 = min(box.x0, float(points[:, 0].min())), min(box.y0, float(points[:, 1].min()))
    x1, y1 = max(box.x1, float(points[:, 0].max())), max(box.y1, float(points[:, 1].max()))
    across, down = _MARGIN[detection.kind]
    dx, dy = across * (x1 - x0) + _LEAST_MARGIN, down * (y1 - y0) + _LEAST_MARGIN
    edges = np.array([[x0 - dx, y0 - dy], [x1 + dx, y0 - dy], [x1 + dx, y1 + dy], [x0 - dx, y1 + dy]])
    within = np.clip(np.rint(edges), -30_000, 30_000)  # what fillPoly takes
    return np.asarray(within, np.int32)


Masking = Callable[[Frame, Sequence[Sequence[Point]]], Shown]
