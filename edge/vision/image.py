"""Image operations: the one place that imports OpenCV. No function here writes a picture anywhere.

The only encoder is ``jpeg``, which takes nothing but pictures that were masked.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

# Read by OpenCV while it loads. Decoders' complaints only repeat what our errors and counters say.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "50000000")  # keep equal to MAX_PIXELS

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.halves import Halves
from edge.vision.values import Floats, Masked, Pixels, Region

MAX_PIXELS = 50_000_000
"""The largest still picture :func:`decode` opens: 150 MB once decoded, more than a camera can spare."""

_SILENT = 0
if hasattr(cv2, "setLogLevel"):  # OpenCV 4
    cv2.setLogLevel(_SILENT)
else:  # OpenCV 5
    cv2.utils.logging.setLogLevel(_SILENT)
cv2.setNumThreads(1)  # one core a camera can count on; models get the others


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """``pixels`` scaled to ``(height, width, ...)``; area averaging when it shrinks, linear otherwise."""
    shrinks = width < pixels.shape[1]
    out = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(out, np.uint8)


def letterbox(pixels: Pixels, region: Region, out: Pixels) -> None:
    """The part of ``pixels`` inside ``region`` scaled to fit ``out`` ``(height, width, 3)``, kept at its top left, the
    rest black. The region must be in the picture."""
    across, down = region.x1 - region.x0, region.y1 - region.y0
    scale = fit(across, down, out.shape[1], out.shape[0])
    wide, tall = max(1, round(across * scale)), max(1, round(down * scale))
    shrink(pixels, region, wide, tall, out[:tall, :wide])
    out[tall:] = 0
    out[:, wide:] = 0


def fit(across: int, down: int, width: int, height: int) -> float:
    """The scale at which ``across`` by ``down`` pixels just fit into ``width`` by ``height``."""
    return min(width / across, height / down)


def grey(pixels: Pixels) -> Pixels:
    """BGR ``(h, w, 3)`` to grey ``(h, w)``."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), np.uint8)


def rgb(pixels: Pixels, out: Pixels | None = None) -> Pixels:
    """BGR to RGB or back, ``(h, w, 3)``; written into ``out``, which may be ``pixels``, when it is given."""
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=out), np.uint8)


def cut(pixels: Pixels, region: Region) -> Pixels:
    """The part of ``pixels`` inside ``region``, as a view; the region is clipped to the picture."""
    return pixels[max(0, region.y0) : max(0, region.y1), max(0, region.x0) : max(0, region.x1)]


def stretch(pixels: Pixels, out: Pixels) -> None:
    """``pixels`` scaled to all of ``out`` ``(height, width, ...)``, linear."""
    cv2.resize(pixels, (out.shape[1], out.shape[0]), dst=out, interpolation=cv2.INTER_LINEAR)


def warp_affine(pixels: Pixels, matrix: Floats, width: int, height: int, out: Pixels | None = None) -> Pixels:
    """``pixels`` through the 2x3 ``matrix`` (source to destination pixels), edges repeated; in ``out`` if given."""
    size, flags, border = (width, height), cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(pixels, matrix, size, dst=out, flags=flags, borderMode=border), np.uint8)


def warp_quad(pixels: Pixels, corners: Floats, width: int, height: int) -> Pixels:
    """The quadrilateral ``corners`` ``(4, 2)`` of ``pixels`` straightened to ``(height, width, ...)``.

    Corners go top left, top right, bottom right, bottom left; parts outside the picture repeat its edge.
    """
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.ascontiguousarray(corners, np.float32), target)
    out = cv2.warpPerspective(pixels, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)


def blank(pixels: Pixels, polygons: Sequence[NDArray[np.int32]]) -> None:
    """Makes everything in ``polygons`` (corners ``(n, 2)`` in pixels), edges and a pixel around included, black.

    In place: ``pixels`` must be contiguous and writeable.
    """
    for polygon in polygons:  # one by one: where polygons of one call overlap, OpenCV leaves a hole
        cv2.fillPoly(pixels, [polygon], (0, 0, 0))
        cv2.polylines(pixels, [polygon], isClosed=True, color=(0, 0, 0), thickness=3)


def sharpness(pixels: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of a grey picture: higher is sharper (Pech-Pacheco et al., 2000)."""
    return deviation(cv2.Laplacian(pixels, cv2.CV_32F)) ** 2


def deviation(values: NDArray[Any]) -> float:
    """Standard deviation of a grey picture: what ``std`` gives, several times faster."""
    return spread(values)[1]


def spread(values: NDArray[Any]) -> tuple[float, float]:
    """Mean and standard deviation of a grey picture."""
    mean, found = cv2.meanStdDev(values)
    return float(mean[0, 0]), float(found[0, 0])


def levels(grey: Pixels, gain: float, offset: float) -> Pixels:
    """A grey picture times ``gain`` plus ``offset``, rounded and clipped."""
    return np.asarray(cv2.addWeighted(grey, gain, grey, 0.0, offset), np.uint8)


def decode(data: bytes) -> Pixels | None:
    """An encoded still picture as BGR, turned upright by its EXIF orientation; None when it cannot be decoded.

    Grey becomes BGR, 16 bit becomes 8, transparency is dropped. Raises ValueError above ``MAX_PIXELS``.
    """
    if not data:
        return None
    try:
        out = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        if "CV_IO_MAX_IMAGE_PIXELS" in str(error):
            raise ValueError("too many pixels") from error
        return None
    if out is None:
        return None
    if out.shape[0] * out.shape[1] > MAX_PIXELS:  # another part loaded OpenCV before the limit above was set
        raise ValueError("too many pixels")
    return np.asarray(out, np.uint8)


class Capture:
    """An open video file or V4L2 device.

    ``fps`` is what it states (0 when it does not); ``announced`` is the number of frames its container
    states or implies by its duration (0 for a device).
    """

    def __init__(self, path: str, device: bool = False, size: tuple[int, int] | None = None, fps: float = 0) -> None:
        """``size`` (width, height) and ``fps`` are wishes that a device fulfils as well as it can."""
        self._capture = cv2.VideoCapture(path, cv2.CAP_V4L2 if device else cv2.CAP_FFMPEG)
        if size is not None:
            # few cameras send 1080p raw through USB
            self._capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if fps:
            self._capture.set(cv2.CAP_PROP_FPS, fps)
        self.opened: bool = self._capture.isOpened()
        self.fps = float(self._capture.get(cv2.CAP_PROP_FPS))
        self.announced = 0 if device else max(0, int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))

    def grab(self) -> bool:
        """Takes the next frame that decodes; False when there is none."""
        return bool(self._capture.grab())

    def retrieve(self) -> Pixels | None:
        """The frame taken last, BGR, or None when it cannot be turned into pixels."""
        done, out = self._capture.retrieve()
        return np.asarray(out, np.uint8) if done and out is not None and out.ndim == 3 else None

    def position(self) -> float:
        """Time stamp of the frame taken last, in seconds: of presentation (file) or of capture (device)."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000

    def control(self, name: str) -> float:
        """A device's control by OpenCV's name for it, 0 or -1 where it has none."""
        return float(self._capture.get(getattr(cv2, f"CAP_PROP_{name}")))

    def set_control(self, name: str, value: float) -> bool:
        """Sets a device's control; false when it does not take that."""
        return bool(self._capture.set(getattr(cv2, f"CAP_PROP_{name}"), value))

    def release(self) -> None:
        self._capture.release()


def _halved(pixels: Pixels, out: Pixels | None = None) -> Pixels:
    """Half of ``pixels``, in ``out`` if that has the right shape."""
    half = (pixels.shape[1] // 2, pixels.shape[0] // 2)
    return np.asarray(cv2.resize(pixels, half, dst=out, interpolation=cv2.INTER_AREA), np.uint8)


halves = Halves(_halved)


def shrink(pixels: Pixels, region: Region, width: int, height: int, out: Pixels | None = None) -> Pixels:
    """The part of ``pixels`` inside ``region``, which must be in the picture, scaled to ``(height, width, ...)``:
    halved while that helps, then linear. In ``out`` if it is given.

    About as good as area averaging and several times faster at ratios that are not whole numbers.
    """
    across, down = region.x1 - region.x0, region.y1 - region.y0
    if across >= 2 * width and down >= 2 * height:
        part = halves.of(pixels, region)
        while part.shape[1] >= 2 * width and part.shape[0] >= 2 * height:
            part = _halved(part)
    else:
        part = cut(pixels, region)
    if out is not None and part.shape == out.shape:
        np.copyto(out, part)
        return out
    return np.asarray(cv2.resize(part, (width, height), dst=out, interpolation=cv2.INTER_LINEAR), np.uint8)


def from_i420(planes: Pixels) -> Pixels:
    """Planar YUV 4:2:0 (I420), ``uint8 (height * 3 / 2, width)``, both sides even, to BGR ``(height, width, 3)``."""
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420), np.uint8)


def from_nv12(planes: Pixels) -> Pixels:
    """As ``from_i420``, for semi-planar YUV 4:2:0 (NV12)."""
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_NV12), np.uint8)


def jpeg(picture: Masked, quality: int) -> bytes:
    """``picture`` as JPEG, in memory. ``quality``: 0 to 100. Raises TypeError for pixels that nobody has masked."""
    if not isinstance(picture, Masked):
        raise TypeError("only masked pictures are encoded")
    done, out = cv2.imencode(".jpg", picture.pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return out.tobytes() if done else b""


def blurred(pixels: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """The mean of ``width`` by ``height`` pixels (odd numbers) around each one of a grey picture."""
    return np.asarray(cv2.blur(pixels, (width, height)), np.float32)


def segments(pixels: NDArray[np.uint8], least: float) -> Floats:
    """Straight edges of a grey picture that are at least ``least`` pixels long: ``(n, 4)``, x0, y0, x1, y1.

    The line segment detector of Grompone von Gioi, Jakubowicz, Morel and Randall (2010).
    """
    found = cv2.createLineSegmentDetector().detect(pixels)[0]
    lines = np.zeros((0, 4), np.float32) if found is None else np.asarray(found, np.float32).reshape(-1, 4)
    long = np.hypot(lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]) >= least
    return np.asarray(lines[long], np.float32)
