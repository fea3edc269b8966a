"""V4L2 cameras: USB cameras, and all others that the kernel shows as ``/dev/video*``."""

from __future__ import annotations

import logging

from edge import config
from edge.vision.image import Capture
from edge.vision.sources.live import CameraLost, Picture

_NO_STAMP = 0.0
_AUTO_EXPOSURE, _EXPOSURE, _GAIN, _SATURATION = "AUTO_EXPOSURE", "EXPOSURE", "GAIN", "SATURATION"
_MANUAL, _AUTOMATIC = 1, 3  # of exposure: manual, aperture priority
_EXPOSURE_UNIT = 100  # microseconds
_log = logging.getLogger(__name__)


class V4l2Camera:
    """The camera at ``path``, asked for the size and rate of ``settings``; it may choose others near them.

    Time stamps are the driver's, of the start or the end of exposure (monotonic clock).
    """

    def __init__(self, path: str, settings: config.Camera) -> None:
        self.name = f"the camera {path}"
        self.interval = 1 / settings.fps
        self._path, self._settings = path, settings
        self._capture: Capture | None = None
        self._due = False  # there are settings that the camera does not have yet
        self._colours: float | None = None  # saturation before it was taken away

    def open(self) -> None:
        settings = self._settings
        capture = Capture(self._path, True, (settings.width, settings.height), settings.fps)
        if not capture.opened:
            capture.release()
            raise CameraLost(
                f"cannot open the camera {self._path}: check that it is there and that no other program uses it, "
                "and group video."
            )
        self._due = False
        if settings.exposure_us is not None or settings.gain is not None or settings.monochrome:
            self._apply(capture, settings)
        self._capture = capture
        if 0 < capture.fps <= 1000:
            self.interval = 1 / capture.fps

    def read(self) -> Picture | None:
        capture = self._capture
        if capture is not None and self._due:
            self._due = False
            self._apply(capture, self._settings)
        if capture is None or not capture.grab():
            raise CameraLost(f"the camera {self._path} stopped delivering frames: check its cable.")
        pixels = capture.retrieve()
        stamp = capture.position()
        return None if pixels is None else Picture(pixels, stamp if stamp > _NO_STAMP else None)

    def adjust(self, settings: config.Camera) -> None:
        """Takes effect in the thread that reads, before the next picture."""
        self._settings, self._due = settings, True

    def _apply(self, capture: Capture, settings: config.Camera) -> None:
        wanted = [(_AUTO_EXPOSURE, float(_AUTOMATIC if settings.exposure_us is None else _MANUAL))]
        if settings.exposure_us is not None:
            wanted.append((_EXPOSURE, max(1, round(settings.exposure_us / _EXPOSURE_UNIT))))
        if settings.gain is not None:
            wanted.append((_GAIN, settings.gain))
        if settings.monochrome:
            self._colours = capture.control(_SATURATION) if self._colours is None else self._colours
            wanted.append((_SATURATION, 0.0))
        elif self._colours is not None:
            wanted.append((_SATURATION, self._colours))
        refused = [name.lower() for name, value in wanted if not capture.set_control(name, value)]
        if refused:
            _log.warning("%s does not take %s", self.name, ", ".join(refused))

    def close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()
