"""The values that flow through the vision process.

Coordinates are pixels of the full frame, x to the right, y down, origin at the top left corner of the
top left pixel. Boxes are ``x0, y0, x1, y1`` (right and bottom edges exclusive). Pixels are ``uint8``
BGR, shape ``(height, width, 3)``. Times come from the frame, never from the system clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]


class Kind(Enum):
    """What a detection, a track or a report is about. There is no other kind, on purpose."""

    PLATE = "plate"
    FACE = "face"

    __hash__ = object.__hash__  # there is but one of each; that of Enum is many times slower


class Box(NamedTuple):
    """Axis-aligned box in full-frame pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2

    def iou(self, other: Box) -> float:
        """Intersection over union, 0 to 1."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        if width <= 0 or height <= 0:
            return 0.0
        shared = width * height
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture and when it was taken.

    ``monotonic`` is seconds on a clock that never jumps; ``wall`` is seconds since the epoch, UTC.
    ``index`` counts the frames the source delivered, from 0.
    """

    pixels: Pixels
    index: int
    monotonic: float
    wall: float

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])


@dataclass(frozen=True, slots=True)
class Masked:
    """A picture that people may see: no face, plate or privacy zone that was found is in it any more.

    Nothing else can be encoded. Only ``edge.vision.aim.mask`` makes one; a test sees to it.
    """

    pixels: Pixels


class Region(NamedTuple):
    """A part of the frame that the scheduler asks the detectors to examine: full-frame pixel integers."""

    x0: int
    y0: int
    x1: int
    y1: int


@dataclass(frozen=True, slots=True)
class Detection:
    """One object in one frame.

    ``points`` is ``float32 (n, 2)`` in full-frame pixels: for a plate its 4 corners (top left, top right,
    bottom right, bottom left, as the text reads); for a face 4 landmarks (the eye on the image's left,
    the eye on its right, nose tip, mouth centre). ``score`` is 0 to 1.
    """

    kind: Kind
    box: Box
    score: float
    points: Floats


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Shot:
    """A crop that may be read later, with what is needed to judge it. Lives in memory only.

    ``crop`` is a copy cut from the frame with a margin; ``points`` are the detection's points in the
    crop's own pixels; ``quality`` is 0 to 100.
    """

    crop: Pixels
    points: Floats
    box: Box
    quality: float
    monotonic: float
    wall: float


@dataclass(frozen=True, slots=True)
class PlateText:
    """A plate as read: ``confidence`` is the probability that ``text`` is exactly right.

    ``text`` is upper case A-Z, 0-9 and Č Ć Đ Š Ž without spaces or hyphens; ``alternates`` are the
    next likely texts with theirs, best first, at most 3; ``country`` is ISO 3166-1 alpha-2 or "".
    """

    text: str
    confidence: float
    alternates: tuple[tuple[str, float], ...] = ()
    country: str = ""


@dataclass(frozen=True, slots=True)
class FaceTemplate:
    """A unit-norm face embedding, quantised: ``vector`` is ``int8 (128,)``, real value ``vector * scale``."""

    vector: NDArray[np.int8]
    scale: float
    quality: float
