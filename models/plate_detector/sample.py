"""Training samples: a view into a source, plates pasted and repainted, distractions, light; and the targets."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plate_detector import light, paint
from models.plate_detector.data import Boxes, Source
from models.plate_detector.net import HEIGHT_UNIT, STRIDE, WIDTH_UNIT
from models.plate_detector.paste import Quad, box_of, paste, pose
from models.plategen.fonts import Fonts

Pixels = NDArray[np.uint8]
Canvas = NDArray[np.float32]
Rng = np.random.Generator
Bounds = tuple[float, float, float, float]

_SMALLEST, _LARGEST = 14.0, 520.0  # plate widths in a sample's pixels; others are neither plate nor background


@dataclass
class Sample:
    """``pixels`` with the plates in it: loose boxes, each with its corners where they are known."""

    pixels: Pixels
    plates: list[tuple[Bounds, Quad | None]]
    ignore: list[Bounds]
    junk: list[Bounds] = field(default_factory=list)  # what is no plate, but might be taken for one


@dataclass
class Studio:
    """Everything samples are made of."""

    frames: list[Source]
    photos: list[Source]
    cars: list[Source]
    faces: list[Pixels]
    fonts: Fonts

    def sample(self, rng: Rng, width: int, height: int) -> Sample:
        """One sample of ``width`` x ``height`` pixels; the same for the same state of ``rng``."""
        source = self._source(rng)
        matrix = _view(rng, source, width, height)
        scene = _Scene(rng, self, source, matrix, width, height)
        scene.known_plates()
        if rng.random() < 0.3:
            for _ in range(rng.integers(1, 4)):
                scene.distraction()
        for _ in range(rng.choice([0, 0, 1, 1, 2]) if scene.plates else rng.choice([0, 0, 1, 2, 3])):
            scene.pasted_plate()
        pixels = light.expose(np.clip(scene.canvas, 0, 255).astype(np.uint8), rng)
        return Sample(pixels, scene.plates, scene.ignore, scene.junk)

    def _source(self, rng: Rng) -> Source:
        kind = rng.random()
        pool = self.frames if kind < 0.62 else self.cars if kind < 0.82 or not self.photos else self.photos
        return pool[rng.integers(len(pool))]


def _view(rng: Rng, source: Source, width: int, height: int) -> NDArray[np.float32]:
    """2x3 affine from the source's full-size pixels to the sample's."""
    wide, tall = source.size
    fit = min(width / wide, height / tall)
    if rng.random() < 0.25:  # the whole picture, letterboxed as on the camera
        return np.array([[fit, 0, 0], [0, fit, 0]], np.float32)
    spots = source.plates
    if len(source.hard) and rng.random() < 0.3:
        spots = source.hard
    centre = np.array([rng.uniform(0, wide), rng.uniform(0, tall)])
    scale = float(np.exp(rng.uniform(np.log(fit * 0.8), np.log(max(1.6, fit)))))
    offset = np.zeros(2)
    if len(spots) and rng.random() < 0.8:
        x0, y0, x1, y1 = spots[rng.integers(len(spots))]
        aim = np.exp(rng.uniform(np.log(16), np.log(0.68 * width)))
        scale = float(np.clip(aim / (x1 - x0), 0.8 * fit, 2.6))
        centre = np.array([x0 + x1, y0 + y1]) / 2
        free = np.array([max(8.0, width / 2 - 0.55 * (x1 - x0) * scale), 0.42 * height])
        offset = rng.uniform(-free, free)
    turn = np.deg2rad(rng.normal(0, 2.5))
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if rng.random() < 0.5:
        linear[0] *= -1  # mirrored: text is then a mirror image, which a detector need not mind
    shift = np.array([width, height]) / 2 + offset - linear @ centre
    if rng.random() < 0.9:
        shift = _inside(rng, linear, shift, (wide, tall), (width, height))
    return np.concatenate([linear, shift[:, None]], 1).astype(np.float32)


def _inside(
    rng: Rng, linear: NDArray[np.float64], shift: NDArray[np.float64], given: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.float64]:
    """``shift`` changed so that the view does not look past the source where the source is large enough."""
    corners = np.array([[0, 0], [given[0], 0], [given[0], given[1]], [0, given[1]]]) @ linear.T + shift
    low, high = corners.min(0), corners.max(0)
    for axis in (0, 1):
        if high[axis] - low[axis] >= size[axis]:
            shift[axis] -= max(0.0, low[axis]) + min(0.0, high[axis] - size[axis])
        else:
            shift[axis] += rng.uniform(0, size[axis] - (high[axis] - low[axis])) - low[axis]
    return shift


@dataclass
class _Scene:
    rng: Rng
    studio: Studio
    source: Source
    matrix: NDArray[np.float32]
    width: int
    height: int
    plates: list[tuple[Bounds, Quad | None]] = field(default_factory=list)
    ignore: list[Bounds] = field(default_factory=list)
    junk: list[Bounds] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scale = float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))
        level = 0 if self.scale > 0.6 else 1 if self.scale > 0.3 else 2
        matrix = self.matrix * np.array([[2**level, 2**level, 1]], np.float32)
        border = cv2.BORDER_CONSTANT if self.rng.random() < 0.7 else cv2.BORDER_REPLICATE
        picture = cv2.warpAffine(self.source.levels[level], matrix, (self.width, self.height), borderMode=border)
        self.canvas: Canvas = picture.astype(np.float32)
        self.ignore = [_bounds(self._moved(box)) for box in self.source.ignore]
        self.junk = [_bounds(self._moved(box)) for box in self.source.hard]

    def _moved(self, box: Boxes) -> Quad:
        x0, y0, x1, y1 = box
        return self._through(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32))

    def _through(self, points: Quad) -> Quad:
        quad = points @ self.matrix[:, :2].T + self.matrix[:, 2]
        if np.linalg.det(self.matrix[:, :2]) < 0:
            quad = quad[[1, 0, 3, 2]]  # mirrored: left and right change places
        return np.asarray(quad, np.float32)

    def known_plates(self) -> None:
        """The source's own plates: kept, repainted with another face, or painted over."""
        turn = abs(float(self.matrix[1, 0])) / self.scale
        for n, box in enumerate(self.source.plates):
            moved = self._moved(box)
            (x0, y0), (x1, y1) = moved.min(0), moved.max(0)
            slack = 0.4 * turn * (box[2] - box[0]) * self.scale  # a turned box is looser than its plate
            bounds = (float(x0), float(y0 + slack), float(x1), float(y1 - slack))
            visible = min(self.width, x1) - max(0, x0), min(self.height, y1) - max(0, y0)
            if min(visible) <= 0:
                continue
            whole = visible[0] > 0.75 * (x1 - x0) and visible[1] > 0.65 * (y1 - y0)
            if not whole or not _SMALLEST <= x1 - x0 <= _LARGEST:
                self.ignore.append(bounds)
                continue
            choice = self.rng.random()
            if self.source.recess:
                if choice < 0.85:
                    self._fill(bounds, mild=choice < 0.6)
            elif choice < 0.42:
                self._fill(bounds, mild=True)
            elif choice < 0.46:
                self._erase(bounds)
            else:
                quad = self.source.quads.get(n)
                self.plates.append((bounds, None if quad is None else self._through(quad)))

    def _fill(self, bounds: Bounds, mild: bool) -> None:
        """A synthetic plate in the place of the one in ``bounds``."""
        face = self._face()
        x0, y0, x1, y1 = bounds
        aspect = face.shape[1] / face.shape[0]
        width = 0.93 * (x1 - x0) * (1.0 if aspect > 3 else self.rng.uniform(0.5, 0.8))
        if aspect < 3:
            self._erase(bounds)
        quad = pose(self.rng, aspect, ((x0 + x1) / 2, (y0 + y1) / 2), width, mild)
        stretch = (y1 - y0) / max(1.0, float(np.ptp(quad[:, 1])))
        if 1.05 < stretch < 2 and aspect > 3:  # cover what was there
            middle = (y0 + y1) / 2
            quad[:, 1] = (quad[:, 1] - middle) * min(0.96 * stretch, 1.3) + middle
        paste(self.canvas, self.rng, face, quad)
        self.plates.append((box_of(quad), quad))

    def _erase(self, bounds: Bounds) -> None:
        """Smears the surroundings over ``bounds``, as if the plate had been taken off."""
        x0, y0, x1, y1 = (round(v) for v in bounds)
        high = y1 - y0
        x0, y0, x1, y1 = max(0, x0 - 2), max(0, y0 - 2), min(self.width, x1 + 2), min(self.height, y1 + 2)
        above = self.canvas[max(0, y0 - max(2, high // 4)) : max(1, y0), x0:x1]
        below = self.canvas[min(self.height - 1, y1) : y1 + max(2, high // 4), x0:x1]
        ramp = np.linspace(0, 1, max(1, y1 - y0), dtype=np.float32)[:, None, None]
        fill = above.mean(0)[None] * (1 - ramp) + below.mean(0)[None] * ramp
        self.canvas[y0:y1, x0:x1] = cv2.blur(fill, (max(1, high // 3), 1)).reshape(fill.shape)

    def distraction(self) -> None:
        size = int(np.exp(self.rng.uniform(np.log(16), np.log(0.6 * self.width))))
        box = paint.distract(self.canvas, self.rng, self.studio.fonts, size)
        self.junk.append(box)
        hidden = [p for p in self.plates if _touch(p[0], box)]
        self.plates = [p for p in self.plates if not _touch(p[0], box)]
        self.ignore += [p[0] for p in hidden]

    def pasted_plate(self) -> None:
        face = self._face()
        aspect = face.shape[1] / face.shape[0]
        width = float(np.exp(self.rng.uniform(np.log(16), np.log(0.68 * self.width)))) * (1 if aspect > 3 else 0.6)
        centre = self.rng.uniform(0.45 * width, self.width - 0.45 * width), self.rng.uniform(10, self.height - 10)
        quad = pose(self.rng, aspect, centre, width)
        x0, y0, x1, y1 = bounds = box_of(quad)
        slack = 0.06 * (y1 - y0)
        if any(_touch((x0 - 5, y0 - 5, x1 + 5, y1 + 5), b) for b in [*(p[0] for p in self.plates), *self.ignore]):
            return
        if y0 < -slack or y1 > self.height + slack or x1 - x0 < _SMALLEST:
            return
        paste(self.canvas, self.rng, face, quad)
        self.plates.append((bounds, quad))

    def _face(self) -> Pixels:
        return self.studio.faces[self.rng.integers(len(self.studio.faces))]


def _bounds(quad: Quad) -> Bounds:
    (x0, y0), (x1, y1) = quad.min(0), quad.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def _touch(a: Bounds, b: Bounds) -> bool:
    return a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1]


def target(sample: Sample) -> dict[str, NDArray[np.float32]]:
    """What the network should answer, on its own grid: maps as ``net.Net`` returns them, and their weights."""
    high, wide = sample.pixels.shape[0] // STRIDE, sample.pixels.shape[1] // STRIDE
    heat, weight, corner_weight = (np.zeros((high, wide), np.float32) for _ in range(3))
    known = np.ones((high, wide), np.float32)
    box, corners = np.zeros((4, high, wide), np.float32), np.zeros((8, high, wide), np.float32)
    for x0, y0, x1, y1 in sample.ignore:
        rows = slice(max(0, int(y0 // STRIDE)), max(0, int(y1 // STRIDE) + 1))
        known[rows, max(0, int(x0 // STRIDE)) : max(0, int(x1 // STRIDE) + 1)] = 0
    across, down = np.arange(wide, dtype=np.float32)[None], np.arange(high, dtype=np.float32)[:, None]
    for (x0, y0, x1, y1), quad in sorted(sample.plates, key=lambda p: p[0][0] - p[0][2]):
        width, height = x1 - x0, y1 - y0
        cx, cy = (x0 + x1) / 2 / STRIDE, (y0 + y1) / 2 / STRIDE
        ix, iy = int(np.clip(cx, 0, wide - 1)), int(np.clip(cy, 0, high - 1))
        sx, sy = max(0.5, 0.09 * width / STRIDE), max(0.45, 0.09 * height / STRIDE)
        bell = np.exp(-((across - ix) ** 2) / (2 * sx**2) - (down - iy) ** 2 / (2 * sy**2))
        heat = np.maximum(heat, bell)
        inner = (bell > 0.4) & (abs(across - ix) <= 2) & (abs(down - iy) <= 1)
        known[iy, ix] = heat[iy, ix] = 1
        box[0][inner] = np.broadcast_to(cx - across - 0.5, inner.shape)[inner]
        box[1][inner] = np.broadcast_to(cy - down - 0.5, inner.shape)[inner]
        box[2][inner], box[3][inner] = np.log(width / WIDTH_UNIT), np.log(height / HEIGHT_UNIT)
        weight[inner], corner_weight[inner] = bell[inner], 0
        if quad is not None:
            square = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            corners[:, inner] = ((quad - square) / [width, height]).reshape(8, 1)
            corner_weight[inner] = bell[inner]
    maps = {"heat": heat, "known": known, "box": box, "weight": weight, "corners": corners}
    return {k: np.asarray(v, np.float32) for k, v in {**maps, "corner_weight": corner_weight}.items()}
