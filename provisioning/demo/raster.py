"""Drawing sprites into a picture by perspective, and writing films: the demo's only user of OpenCV.

World coordinates are metres: x to the right, y up from the road, z away from the camera, which stands at
``(0, height, 0)``. Sprites and layers are premultiplied BGRA, ``uint8``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge.errors import VidikError

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

NEAR = 0.4  # metres: nothing is drawn closer


@dataclass(frozen=True)
class Camera:
    """A camera looking along z, tipped down by ``pitch`` radians; ``centre`` is its principal point in pixels."""

    width: int
    height: int
    focal: float
    centre: tuple[float, float]
    stands: float
    pitch: float

    def project(self, points: Points) -> tuple[Points, Points]:
        """World points ``(n, 3)`` to pixels ``(n, 2)`` and depths ``(n,)`` in metres."""
        x, y, z = points[:, 0], points[:, 1] - self.stands, points[:, 2]
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        depth = z * cos - y * sin
        down = -y * cos - z * sin
        safe = np.maximum(depth, 1e-3)
        pixels = np.stack([self.centre[0] + self.focal * x / safe, self.centre[1] + self.focal * down / safe], 1)
        return pixels, depth

    def ground(self, columns: Points, rows: Points) -> tuple[Points, Points]:
        """Where the rays through pixels meet the road: x and z in metres; NaN above the horizon."""
        right = (columns - self.centre[0]) / self.focal
        down = (rows - self.centre[1]) / self.focal
        cos, sin = np.cos(self.pitch), np.sin(self.pitch)
        falls = down * cos + sin
        with np.errstate(divide="ignore", invalid="ignore"):
            reach = np.where(falls > 1e-6, self.stands / falls, np.nan)
        return right * reach, (cos - down * sin) * reach


class Sprite:
    """A picture with transparency at halving sizes, so that it can be drawn small without glitter."""

    def __init__(self, picture: Image.Image) -> None:
        rgba = np.asarray(picture.convert("RGBA"), np.uint8)
        alpha = rgba[..., 3:].astype(np.uint16)
        colour = (rgba[..., 2::-1].astype(np.uint16) * alpha + 127) // 255
        level = np.concatenate([colour, alpha], 2).astype(np.uint8)
        self.levels: list[Pixels] = [level]
        while min(level.shape[:2]) > 3:
            size = ((level.shape[1] + 1) // 2, (level.shape[0] + 1) // 2)
            level = np.asarray(cv2.resize(level, size, interpolation=cv2.INTER_AREA), np.uint8)
            self.levels.append(level)

    def for_size(self, width: float, height: float) -> Pixels:
        """The smallest level that is not much coarser than ``width`` x ``height`` pixels on the screen."""
        for level in reversed(self.levels):
            if level.shape[1] >= 0.85 * width and level.shape[0] >= 0.85 * height:
                return level
        return self.levels[0]


@dataclass(frozen=True)
class Panel:
    """A sprite on a flat quadrilateral: world corners ``(4, 3)`` top left, top right, bottom right, bottom left."""

    sprite: Sprite
    corners: Points


class Layer:
    """One actor on transparent ground: the part ``x0:x1, y0:y1`` of the frame."""

    def __init__(self, box: tuple[int, int, int, int]) -> None:
        self.x0, self.y0, self.x1, self.y1 = box
        self.pixels: Pixels = np.zeros((self.y1 - self.y0, self.x1 - self.x0, 4), np.uint8)

    def put(self, sprite: Sprite, corners: Points) -> None:
        """Draws ``sprite`` on the quadrilateral of frame pixels ``corners`` ``(4, 2)``, over what is there."""
        low = np.maximum(np.floor(corners.min(0)).astype(int) - 1, (self.x0, self.y0))
        high = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, (self.x1, self.y1))
        if (high <= low).any():
            return
        edges = np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1)
        level = sprite.for_size(max(edges[0], edges[2]), max(edges[1], edges[3]))
        height, width = level.shape[:2]
        source = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) - 0.5
        matrix = cv2.getPerspectiveTransform(source, (corners - low - 0.5).astype(np.float32))
        size = (int(high[0] - low[0]), int(high[1] - low[1]))
        drawn = np.asarray(cv2.warpPerspective(level, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
        part = self.pixels[low[1] - self.y0 : high[1] - self.y0, low[0] - self.x0 : high[0] - self.x0]
        part[:] = _over(drawn, part)

    def smear(self, dx: float, dy: float) -> None:
        """Blurs along a movement of ``(dx, dy)`` pixels during the exposure."""
        reach = int(np.ceil(max(abs(dx), abs(dy)) / 2))
        if np.hypot(dx, dy) < 0.5:
            return
        kernel = np.zeros((2 * reach + 3, 2 * reach + 3), np.float32)
        for share in np.linspace(-0.5, 0.5, 16):  # the way of one point, spread over the pixels it crosses
            x, y = reach + 1 + share * dx, reach + 1 + share * dy
            column, row = int(x), int(y)
            u, v = x - column, y - row
            kernel[row : row + 2, column : column + 2] += np.outer((1 - v, v), (1 - u, u)).astype(np.float32)
        self.pixels = np.asarray(cv2.filter2D(self.pixels, -1, kernel / kernel.sum()), np.uint8)

    def onto(self, frame: Pixels) -> None:
        """Draws the layer over ``frame`` ``(h, w, 3)``."""
        part = frame[self.y0 : self.y1, self.x0 : self.x1]
        part[:] = _over(self.pixels, part)[..., :3]

    def cover(self, box: tuple[float, float, float, float]) -> float:
        """Share of ``box`` that the layer hides, 0 to 1."""
        x0, y0, x1, y1 = (round(v) for v in box)
        hidden = self.pixels[
            max(0, y0 - self.y0) : max(0, y1 - self.y0), max(0, x0 - self.x0) : max(0, x1 - self.x0), 3
        ]
        return float(hidden.sum() / 255 / max(1, (x1 - x0) * (y1 - y0)))


def _over(top: Pixels, below: Pixels) -> Pixels:
    clear = (255 - top[..., 3:]).astype(np.uint16)
    channels = below.shape[2]
    mixed = top[..., :channels] + (below * clear + 127) // 255
    return np.minimum(mixed, 255).astype(np.uint8)


def draw(camera: Camera, panels: list[Panel], cull: bool) -> Layer | None:
    """The panels in the order given, on a layer of their own; None when nothing of them is in the frame.

    With ``cull`` a panel seen from behind is left out. Panels closer than ``NEAR`` are left out.
    """
    placed: list[tuple[Sprite, Points]] = []
    for panel in panels:
        corners, depth = camera.project(panel.corners)
        if depth.min() < NEAR or (cull and _turned_away(corners)):
            continue
        placed.append((panel.sprite, corners))
    if not placed:
        return None
    every = np.concatenate([corners for _, corners in placed])
    low = np.maximum(np.floor(every.min(0)).astype(int) - 4, 0)
    high = np.minimum(np.ceil(every.max(0)).astype(int) + 5, (camera.width, camera.height))
    if (high <= low).any():
        return None
    layer = Layer((int(low[0]), int(low[1]), int(high[0]), int(high[1])))
    for sprite, corners in placed:
        layer.put(sprite, corners)
    return layer


def _turned_away(corners: Points) -> bool:
    a, b = corners[2] - corners[0], corners[3] - corners[1]
    return bool(a[0] * b[1] - a[1] * b[0] <= 0)


def shrink(pixels: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Area average of ``pixels`` ``(h, w, n)``."""
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def soften(pixels: Pixels, sigma: float) -> Pixels:
    """Gaussian blur, as of a lens."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def cloud(rng: np.random.Generator, height: int, width: int, coarse: int) -> NDArray[np.float32]:
    """Smooth noise of unit range ``(height, width)`` whose blobs are about ``coarse`` pixels."""
    small = rng.standard_normal((height // coarse + 2, width // coarse + 2)).astype(np.float32)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)


class Grain:
    """Sensor noise: a prepared field, shifted anew for every frame."""

    def __init__(self, rng: np.random.Generator, width: int, height: int, sigma: float) -> None:
        self._rng = rng
        field = rng.normal(0, sigma, (height + 64, width + 64, 1)) + rng.normal(
            0, sigma / 2, (height + 64, width + 64, 3)
        )
        self._field = np.round(field).astype(np.int16)

    def onto(self, frame: Pixels) -> Pixels:
        y, x = self._rng.integers(0, 64, 2)
        noise = self._field[y : y + frame.shape[0], x : x + frame.shape[1]]
        return np.asarray(cv2.add(frame, noise, dtype=cv2.CV_8U), np.uint8)


class Film:
    """Writes frames as MPEG-4 video, which every build of OpenCV can write and read."""

    def __init__(self, path: Path, width: int, height: int, fps: float) -> None:
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
        if not self._writer.isOpened():
            raise VidikError(f"cannot write the film {path}: check that its folder exists and may be written")

    def add(self, frame: Pixels) -> None:
        self._writer.write(frame)

    def close(self) -> None:
        self._writer.release()
