"""How readable a plate's crop is: decides which pictures of a plate are kept for reading."""

from __future__ import annotations

import math

from edge.vision import image
from edge.vision.values import Detection, Floats, Pixels

_WIDTH, _HEIGHT = 128, 32
_HALF = 0.35  # detail at which the score reaches one half; typical for a plate 100 px wide in focus


def plate_quality(crop: Pixels, corners: Floats, detection: Detection) -> float:
    """Quality 0 to 100 of the plate with ``corners`` ``(4, 2)`` in ``crop`` (BGR).

    The plate is straightened to a fixed size, so that one figure covers resolution, focus and motion
    blur: the energy of fine detail (Laplacian) against the contrast there is. Low contrast counts less.
    """
    strip = image.grey(image.warp_quad(crop, corners, _WIDTH, _HEIGHT))
    contrast = image.deviation(strip)
    detail = math.sqrt(image.sharpness(strip)) / (contrast + 4.0)
    visible = min(1.0, contrast / 25.0)
    return 100.0 * visible * detection.score * detail / (detail + _HALF)
