"""Half-size pictures of frames, made once for all who need them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.vision.values import Pixels, Region

Halve = Callable[[Pixels, Pixels | None], Pixels]


class Halves:
    """Half-size pictures of whole frames, so that several detectors, or the camera's ISP, halve a frame once.

    The half of a part with even edges is that part of the frame's half, unless the camera made that: what small objects
    are looked for in is always averaged here.
    """

    def __init__(self, halved: Halve) -> None:
        """``halved``: half of a picture by area averaging, in a given array if that has the right shape."""
        self._halved = halved
        self._lock = threading.Lock()
        self._offered: tuple[weakref.ref[Pixels], Pixels] | None = None
        self._frame: Pixels | None = None
        self._half: Pixels | None = None
        self._given = False  # whether that is the camera's
        self._own: Pixels | None = None  # reused from frame to frame

    def put(self, frame: Pixels, half: Pixels) -> None:
        """``half`` is ``frame`` at exactly half its width and height. Raises ValueError when it is not.

        ``frame`` cannot be written to from now on: whoever blanks parts of it must do so in a copy, which then gets a
        half of its own.
        """
        if half.shape != (frame.shape[0] // 2, frame.shape[1] // 2, *frame.shape[2:]):
            raise ValueError(f"{half.shape} is not half of {frame.shape}")
        frame.flags.writeable = False
        self._offered = weakref.ref(frame), half

    @contextmanager
    def during(self, frame: Pixels) -> Iterator[None]:
        """Remembers the half of ``frame`` while this lasts; nobody may write to ``frame`` meanwhile."""
        with self._lock:
            offered = self._offered
            self._half = offered[1] if offered is not None and offered[0]() is frame else None
            self._frame, self._offered, self._given = frame, None, self._half is not None
        try:
            yield
        finally:
            with self._lock:
                self._frame = self._half = None

    def of(self, pixels: Pixels, region: Region) -> Pixels:
        """Half of the part of ``pixels`` inside ``region``, which must be in the picture, by area averaging, or as the
        camera made it. It is only good until ``during`` ends.
        """
        (x0, y0, x1, y1), (height, width) = region, pixels.shape[:2]
        whole = region == (0, 0, width, height)
        odd = (x0 | y0 | x1 | y1 | width | height) % 2
        if pixels is not self._frame or (not whole and (odd or self._given)):
            return self._halved(pixels if whole else pixels[y0:y1, x0:x1], None)
        return self._whole(pixels)[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]

    def _whole(self, frame: Pixels) -> Pixels:
        with self._lock:
            if self._half is None:
                self._half = self._own = self._halved(frame, self._own)
            return self._half
