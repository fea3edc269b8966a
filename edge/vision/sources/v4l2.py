"""V4L2 cameras: USB cameras, and all others that the kernel shows as ``/dev/video*``."""

from __future__ import annotations

from edge import config
from edge.vision.image import Capture
from edge.vision.sources.live import CameraLost, Picture

_NO_STAMP = 0.0


class V4l2Camera:
    """The camera at ``path``, asked for the size and rate of ``settings``; it may choose others near them.

    Time stamps are the driver's, of the start or the end of exposure (monotonic clock).
    """

    def __init__(self, path: str, settings: config.Camera) -> None:
        self.name = f"the camera {path}"
        self.interval = 1 / settings.fps
        self._path, self._settings = path, settings
        self._capture: Capture | None = None

    def open(self) -> None:
        settings = self._settings
        capture = Capture(self._path, True, (settings.width, settings.height), settings.fps)
        if not capture.opened:
            capture.release()
            raise CameraLost(
                f"cannot open the camera {self._path}: check that it is there and that no other program uses it, "
                "and group video."
            )
        self._capture = capture
        if 0 < capture.fps <= 1000:
            self.interval = 1 / capture.fps

    def read(self) -> Picture | None:
        capture = self._capture
        if capture is None or not capture.grab():
            raise CameraLost(f"the camera {self._path} stopped delivering frames: check its cable.")
        pixels = capture.retrieve()
        stamp = capture.position()
        return None if pixels is None else Picture(pixels, stamp if stamp > _NO_STAMP else None)

    def close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()
