"""Where something moves: a coarse comparison of each frame with the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.vision.values import Frame, Region

CELL = 16  # pixels between two samples: a face worth finding has a few of them
_CHANGE = 14  # levels that a sample must change by to count: above noise at night
_GREEN = 1  # the channel that is compared: most of what one sees of a picture
_EVERYWHERE = 0.4  # share of moving samples from which the camera or the light has moved, not the objects


class Motion:
    """Remembers the last frame's samples, a few thousand numbers from which no picture can be made out."""

    def __init__(self) -> None:
        self._before: NDArray[np.int16] | None = None
        self._moving: NDArray[np.bool_] = np.zeros((0, 0), np.bool_)

    def update(self, frame: Frame) -> None:
        """Compares ``frame`` with the one before; a change of size starts anew."""
        half = CELL // 2
        samples = frame.pixels[half::CELL, half::CELL, _GREEN].astype(np.int16)
        before, self._before = self._before, samples
        if before is None or before.shape != samples.shape:
            self._moving = np.zeros(samples.shape, np.bool_)
            return
        moving = np.abs(samples - before) >= _CHANGE
        if np.count_nonzero(moving) > _EVERYWHERE * moving.size:  # tells no place from another
            moving[:] = False
        self._moving = moving

    def inside(self, region: Region) -> int:
        """How many samples in ``region`` have changed."""
        x0, y0, x1, y1 = (side // CELL for side in region)
        return int(np.count_nonzero(self._moving[y0:y1, x0:x1]))
