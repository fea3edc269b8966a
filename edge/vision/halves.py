"""Half-size pictures of frames, made once for all who need them."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from edge.vision.values import Pixels

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

    def of(self, pixels: Pixels) -> Pixels:
        """Half of ``pixels`` by area averaging, or as the camera made it. It is only good until ``during`` ends."""
        frame = self._frame
        place = None if frame is None else _place(pixels, frame)
        if frame is None or place is None:
            return self._halved(pixels, None)
        x, y = place
        height, width = pixels.shape[:2]
        odd = (x | y | width | height | frame.shape[0] | frame.shape[1]) % 2
        if pixels.shape != frame.shape and (odd or self._given):
            return self._halved(pixels, None)
        return self._whole(frame)[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]

    def _whole(self, frame: Pixels) -> Pixels:
        with self._lock:
            if self._half is None:
                self._half = self._own = self._halved(frame, self._own)
            return self._half


def _place(part: Pixels, frame: Pixels) -> tuple[int, int] | None:
    """Where in ``frame`` (x, y) its view ``part`` begins; None when it is no view of it."""
    if part is frame:
        return 0, 0
    if (part.base is not frame and (part.base is None or part.base is not frame.base)) or part.strides != frame.strides:
        return None
    start = part.__array_interface__["data"][0] - frame.__array_interface__["data"][0]
    y, rest = divmod(start, frame.strides[0])
    x = rest // frame.strides[1]
    inside = 0 <= y <= frame.shape[0] - part.shape[0] and 0 <= x <= frame.shape[1] - part.shape[1]
    return (x, y) if inside else None
