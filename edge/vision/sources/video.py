"""Video files as a frame source."""

from __future__ import annotations

from collections.abc import Iterator

from edge.errors import VidikError
from edge.vision.image import Capture
from edge.vision.sources.base import Skip, Source
from edge.vision.values import Pixels

USUAL_FPS = 25.0


class VideoSource(Source):
    """A video file of any size and frame rate.

    Times are the container's presentation times, from 0 at the first frame; where they are missing or run
    backwards, the stated frame rate carries on. Frames that the container announces and that do not decode are
    counted as corrupt when the file ends. Raises VidikError when the file cannot be opened, or when no frame of
    it decodes.
    """

    def __init__(self, path: str, wall_start: float = 0.0) -> None:
        super().__init__(wall_start)
        self._path = path
        self._capture = Capture(path)
        if not self._capture.opened:
            self._capture.release()
            raise VidikError(
                f"cannot open the video {path}: it is damaged, cut off before its index, or not a video; "
                "play it in a video player to check, or convert it again"
            )

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        stated = self._capture.fps
        step = 1 / (stated if 0 < stated <= 1000 else USUAL_FPS)
        start = elapsed = 0.0
        taken = 0
        while not self._closed and self._capture.grab():
            position = self._capture.position()
            if taken == 0:
                start = position
            else:
                elapsed = position - start if position - start > elapsed else elapsed + step
            taken += 1
            pixels = self._capture.retrieve()
            if pixels is None:
                self.skipped[Skip.CORRUPT] += 1
            else:
                yield pixels, elapsed
        if not self._closed:
            self._ended(taken)

    def _ended(self, taken: int) -> None:
        if self.delivered == 0:
            raise VidikError(f"no frame of the video {self._path} can be decoded: convert it again, or give another")
        self.skipped[Skip.CORRUPT] += max(0, self._capture.announced - taken)

    def close(self) -> None:
        if not self._closed:
            self._capture.release()
        super().close()
