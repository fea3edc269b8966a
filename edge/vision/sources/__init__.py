"""Where frames come from: :func:`open_source` chooses the kind that suits a path."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from edge import config
from edge.errors import VidikError
from edge.vision.sources.base import FrameSource, MemorySource, Paced, Skip, Source
from edge.vision.sources.folder import PHOTO_SUFFIXES, PhotoSource
from edge.vision.sources.gstreamer import GstCamera
from edge.vision.sources.live import Camera, Condition, LiveSource, State
from edge.vision.sources.picamera import PiCamera
from edge.vision.sources.v4l2 import V4l2Camera
from edge.vision.sources.video import VideoSource

__all__ = [
    "PHOTO_SUFFIXES",
    "Camera",
    "Condition",
    "FrameSource",
    "LiveSource",
    "MemorySource",
    "Paced",
    "PhotoSource",
    "Skip",
    "Source",
    "State",
    "VideoSource",
    "open_source",
]


_V4L2 = 81  # major number of the kernel's video devices


def open_source(
    spec: str, *, wall_start: float = 0.0, interval: float = 5.0, pace: bool = False,
    camera: config.Camera | None = None, idle: Callable[[], None] = lambda: None,
) -> FrameSource:  # fmt: skip
    """Opens a folder of photos, one photo, a video file or a camera.

    Cameras are ``picamera:0`` (a Raspberry Pi's, by number), ``/dev/video0`` (V4L2), ``gst:`` and a GStreamer
    pipeline without its sink, or ``link:`` and the socket of the camera link, which brings network cameras. They are
    opened by the first loop over the source, and again whenever they are lost.

    ``wall_start`` is the wall time of the first frame (seconds since the epoch, UTC); ``interval`` is the
    time between two photos on the frame clock, in seconds; ``pace`` holds a file back to real time; ``camera`` says
    how a camera is to be set; ``idle`` is called again and again while a camera has nothing to show.
    Raises VidikError when nothing there can be opened.
    """
    found = camera_of(spec, config.Camera() if camera is None else camera)
    if found is not None:
        return LiveSource(found, wall_start, idle)
    source = _open(spec, wall_start, interval)
    return Paced(source) if pace else source


def camera_of(spec: str, settings: config.Camera) -> Camera | None:
    """The camera that ``spec`` names, None when it names a file. Raises VidikError."""
    kind, _, rest = spec.partition(":")
    if kind == "picamera" and rest.isdigit():
        return PiCamera(settings, int(rest))
    if kind == "gst" and rest.strip():
        return GstCamera(rest.strip(), 1 / settings.fps)
    if kind == "link" and rest:
        return GstCamera(link=Path(rest), interval=1 / settings.fps)
    if "://" in spec:
        raise VidikError(
            f"cannot open {spec}: the vision process has no network. Let the camera link fetch it: put the address "
            'into the table [link] and give its socket here, as in source = "link:run/link" (docs/configuration.md)'
        )
    return V4l2Camera(spec, settings) if _is_device(spec) else None


def _is_device(spec: str) -> bool:
    try:
        found = Path(spec).stat()
    except OSError:
        return spec.startswith("/dev/video")  # not there yet: it may be plugged in later
    if not stat.S_ISCHR(found.st_mode):
        return False
    if os.major(found.st_rdev) != _V4L2:
        raise VidikError(f"cannot open the camera {spec}: it is no video device; give one such as /dev/video0")
    return True


def _open(spec: str, wall_start: float, interval: float) -> Source:
    path = Path(spec).expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise VidikError(f"cannot open {spec}: {error.strerror}; check the path and its permissions") from error
    if stat.S_ISDIR(mode):
        return PhotoSource.of_folder(path, wall_start, interval)
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return PhotoSource([path], wall_start, interval)
    return VideoSource(str(path), wall_start)
