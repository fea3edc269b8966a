"""Training samples for the reader: synthetic plates, real ones and things that are no plates.

All that a step sees follows from the seed and the step's number, so that a resumed training goes on
exactly where it would have gone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.vision.plate_reader import ALPHABET
from edge.vision.plate_strip import HEIGHT, WIDTH, quads, strip
from models.plate_reader import real
from models.plate_reader.negatives import not_a_plate
from models.plategen.draw import Plate, draw
from models.plategen.fonts import Fonts
from models.plategen.render import Mounted, Photo, expose, mount, photograph, without_colour

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

STEPS = WIDTH // 4
INDEX = {char: i + 1 for i, char in enumerate(ALPHABET)}
_HALF = 0.3  # a character claims the columns within this share of its width from its centre
_REUSE = 5  # photos taken of each drawn plate
_POOL = 320


@dataclass(frozen=True)
class Sample:
    """``pixels`` ``uint8 (HEIGHT, WIDTH)``; ``columns`` the class of each step, or ``None`` when unknown."""

    pixels: Pixels
    text: str
    columns: NDArray[np.int64] | None


def detected(rng: np.random.Generator, corners: Floats, difficulty: float) -> Floats:
    """``corners`` as a detector would give them: a little off each, or just a loose upright box."""
    size = np.array([np.ptp(corners[:, 0]), np.hypot(*(corners[3] - corners[0]))])
    out = corners.astype(np.float64)
    if rng.random() < 0.2 * difficulty:
        (x0, y0), (x1, y1) = out.min(0), out.max(0)
        out = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    loose = 0.02 + 0.07 * difficulty
    extra = rng.uniform(1, 2.5) if rng.random() < 0.3 else 1.0
    left, right = rng.uniform(-0.02 - 0.03 * difficulty, loose * min(extra, 1.6), 2) * size[0]
    top, bottom = rng.uniform(-0.05 - 0.07 * difficulty, 2.2 * loose * extra, 2) * size[1]
    out += np.array([[-left, -top], [right, -top], [right, bottom], [-left, bottom]])
    out += rng.normal(0, 1, (4, 2)) * size * (0.004 + 0.012 * difficulty, 0.01 + 0.045 * difficulty)
    return out.astype(np.float32)


def columns(photo: Photo, corners: Floats) -> NDArray[np.int64]:
    """Class of each time step of the strip cut from ``photo`` at ``corners``: 0 between characters."""
    target = np.zeros(STEPS, np.int64)
    parts = quads(corners)
    rows = photo.plate.rows
    for r, row in enumerate(rows):
        part = parts[r] if len(parts) > 1 else parts[0]
        square = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
        matrix = cv2.getPerspectiveTransform(part, square) @ photo.matrix
        ends = np.array([[[c.x0, (c.y0 + c.y1) / 2], [c.x1, (c.y0 + c.y1) / 2]] for c in row], np.float64)
        across = cv2.perspectiveTransform(ends.reshape(1, -1, 2), matrix)[0, :, 0].reshape(-1, 2)
        if len(parts) > 1:
            across = across / 2 + r / 2
        for char, (start, end) in zip(row, across, strict=True):
            centre, half = (start + end) / 2 * STEPS, (end - start) * _HALF * STEPS
            first, last = int(np.ceil(centre - half - 0.5)), int(np.floor(centre + half - 0.5))
            if last < first:
                first = last = int(centre)
            target[max(0, first) : max(0, last + 1)] = INDEX[char.char]
    return target


class Synthetic:
    """Plates from the generator: sample ``n`` is the same whenever it is asked for, in any order of steps."""

    def __init__(
        self, fonts: Fonts, seed: int, country: str | None = None, reuse: int = _REUSE,
        wanted: Callable[[Plate], bool] | None = None,
    ) -> None:
        """``reuse`` photos are taken of each plate; only plates that are ``wanted`` come."""
        self.fonts, self.seed, self.country, self.reuse, self.wanted = fonts, seed, country, reuse, wanted
        self._mounted: dict[int, Mounted] = {}

    def _plate(self, number: int) -> Mounted:
        if number not in self._mounted:
            rng = np.random.default_rng([self.seed, 1, number])
            plate = draw(rng, self.fonts, self.country)
            while self.wanted is not None and not self.wanted(plate):
                plate = draw(rng, self.fonts, self.country)
            mounted = mount(rng, plate, self.fonts)
            self._mounted[number] = without_colour(rng, mounted)
            for old in [k for k in self._mounted if k < number - _POOL]:
                del self._mounted[old]
        return self._mounted[number]

    def photo(self, number: int, difficulty: float) -> tuple[np.random.Generator, Photo]:
        """Photo ``number`` of this world, and the generator to go on with."""
        rng = np.random.default_rng([self.seed, 2, number])
        recent = max(0, number // self.reuse - int(rng.integers(0, _POOL)) if self.reuse > 1 else number)
        return rng, photograph(rng, self._plate(recent), difficulty)

    def sample(self, number: int, difficulty: float) -> Sample:
        """One strip with its text and columns."""
        rng, photo = self.photo(number, difficulty)
        corners = detected(rng, photo.corners, difficulty)
        two = len(photo.plate.rows) > 1
        if two != (len(quads(corners)) > 1):  # seen so narrow that one row looks like two, or the reverse
            return self.sample(number + 1_000_003, difficulty)
        pixels = photo.pixels[..., 0]
        if rng.random() < 0.012:
            return Sample(strip(pixels, _half_missed(rng, corners)), "", np.zeros(STEPS, np.int64))
        return Sample(strip(pixels, corners), photo.plate.text, columns(photo, corners))


def demanding(plate: Plate) -> bool:
    """Whether ``plate`` has two rows or letters with marks, which are rare and hard."""
    return len(plate.rows) > 1 or any(c in "ČĆĐŠŽ" for c in plate.text)


def _half_missed(rng: np.random.Generator, corners: Floats) -> Floats:
    """Corners that show no more than about half of the plate: nothing that should be reported."""
    along = (corners[1] - corners[0] + corners[2] - corners[3]) / 2
    down = (corners[3] - corners[0] + corners[2] - corners[1]) / 2
    if rng.random() < 0.6:
        shift = along * rng.choice([-1, 1]) * rng.uniform(0.45, 0.9)
    else:
        shift = down * rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
    return np.asarray(corners + shift, np.float32)


class Real:
    """Augmented crops of photographed plates: half the time by plate, half by crop."""

    def __init__(self, crops: list[real.Crop]) -> None:
        self.crops = crops
        self._by_plate: dict[str, list[int]] = {}
        for i, crop in enumerate(crops):
            self._by_plate.setdefault(crop.text, []).append(i)
        self._plates = list(self._by_plate)

    def sample(self, rng: np.random.Generator, difficulty: float = 0.3) -> Sample:
        """One strip; the position of its characters is not known."""
        index = int(rng.integers(len(self.crops)))
        if rng.random() < 0.5:
            same = self._by_plate[self._plates[int(rng.integers(len(self._plates)))]]
            index = same[int(rng.integers(len(same)))]
        crop = self.crops[index]
        sides = rng.uniform((-0.07, -0.16, -0.07, -0.16), (0.06, 0.15, 0.06, 0.15))  # the boxes are loose already
        corners = crop.corners(sides.astype(np.float32))
        middle, turn = corners.mean(0), np.deg2rad(rng.normal(0, 1.5))
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        corners = (corners - middle) @ rotation.T + middle + rng.normal(0, 0.006 * crop.width, (4, 2))
        pixels = crop.pixels
        scale = max(60 / crop.width, rng.uniform(0.55, 1.0))
        if scale < 0.95:
            pixels = np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
            corners = corners * scale
        changed = expose(rng, pixels[..., None].astype(np.float32), difficulty * float(rng.random()))
        return Sample(strip(changed[..., 0], corners.astype(np.float32)), crop.text, None)


class Negatives:
    """Strips without a plate: drawn ones and cuts of real frames."""

    def __init__(self, fonts: Fonts, frames: list[tuple[Pixels, list[tuple[int, int, int, int]]]]) -> None:
        self.fonts, self.frames = fonts, frames

    def sample(self, rng: np.random.Generator, difficulty: float) -> Sample:
        """One strip with no text."""
        pixels: Pixels | None = None
        if self.frames and rng.random() < 0.4:
            frame, boxes = self.frames[int(rng.integers(len(self.frames)))]
            pixels = real.elsewhere(rng, frame, boxes)
        if pixels is None:
            pixels = expose(rng, not_a_plate(rng, self.fonts), difficulty)[..., 0]
        height, width = pixels.shape
        inset = rng.uniform(0.0, 0.15, 4) * (width, height, width, height)
        x0, y0, x1, y1 = inset[0], inset[1], width - inset[2], height - inset[3]
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) + rng.normal(0, 0.02, (4, 2)) * (width, height)
        return Sample(strip(pixels, corners.astype(np.float32)), "", np.zeros(STEPS, np.int64))


@dataclass(frozen=True)
class Batch:
    """``x`` ``uint8 (n, HEIGHT, WIDTH)``, the texts, and the columns of the samples that have them."""

    x: Pixels
    texts: list[str]
    columns: NDArray[np.int64]
    known: NDArray[np.int64]


def collate(samples: list[Sample]) -> Batch:
    """A batch of ``samples``, in their order."""
    known = [i for i, s in enumerate(samples) if s.columns is not None]
    target = np.array([samples[i].columns for i in known], np.int64).reshape(len(known), STEPS)
    pixels = np.stack([s.pixels for s in samples]).reshape(len(samples), HEIGHT, WIDTH)
    return Batch(pixels, [s.text for s in samples], target, np.array(known, np.int64))
