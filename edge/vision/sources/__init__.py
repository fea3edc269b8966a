"""Where frames come from: :func:`open_source` chooses the kind that suits a path."""

from __future__ import annotations

import stat
from pathlib import Path

from edge.errors import VidikError
from edge.vision.sources.base import FrameSource, MemorySource, Paced, Skip, Source
from edge.vision.sources.folder import PHOTO_SUFFIXES, PhotoSource
from edge.vision.sources.video import VideoSource

__all__ = [
    "PHOTO_SUFFIXES",
    "FrameSource",
    "MemorySource",
    "Paced",
    "PhotoSource",
    "Skip",
    "Source",
    "VideoSource",
    "open_source",
]


def open_source(spec: str, *, wall_start: float = 0.0, interval: float = 5.0, pace: bool = False) -> FrameSource:
    """Opens a folder of photos, one photo, a video file or a camera (``/dev/video0``).

    ``wall_start`` is the wall time of the first frame (seconds since the epoch, UTC); ``interval`` is the
    time between two photos on the frame clock, in seconds; ``pace`` holds a file back to real time.
    Raises VidikError when nothing there can be opened.
    """
    source = _open(spec, wall_start, interval)
    return Paced(source) if pace else source


def _open(spec: str, wall_start: float, interval: float) -> Source:
    if "://" in spec:
        raise VidikError(f"cannot open {spec}: streams from the network are not supported; give a file or /dev/video0")
    path = Path(spec).expanduser()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise VidikError(f"cannot open {spec}: {error.strerror}; check the path and its permissions") from error
    if stat.S_ISDIR(mode):
        return PhotoSource.of_folder(path, wall_start, interval)
    if stat.S_ISCHR(mode):
        return VideoSource(str(path), wall_start, device=True)
    if path.suffix.lower() in PHOTO_SUFFIXES:
        return PhotoSource([path], wall_start, interval)
    return VideoSource(str(path), wall_start)
