"""Groups of shots to calibrate and to evaluate the reader by: none of them, and no face of type, was trained with.

A group is what the camera hands to ``vote``: a few pictures of one plate with corners as a detector gives
them. Real groups are neighbouring frames of one drive; drawn ones photos of one mounted plate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.plate_reader import real
from models.plate_reader.data import Pixels, Synthetic, detected
from models.plate_reader.negatives import not_a_plate
from models.plategen import fetch_fonts
from models.plategen.draw import draw
from models.plategen.render import expose, mount, photograph, without_colour

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Group:
    """``shots`` are (pixels grey ``(h, w)``, corners ``(4, 2)``); ``text`` is ``""`` for no plate."""

    shots: tuple[tuple[Pixels, Floats], ...]
    text: str
    source: str


def drawn(seed: int, count: int, country: str | None = None, at_least: float = 0.2) -> list[Group]:
    """Plates in kept-back typefaces, one to four shots each, of difficulties between ``at_least`` and 1."""
    fonts = fetch_fonts.load(kept_back=True)
    groups = []
    for number in range(count):
        rng = np.random.default_rng([seed, 11, number])
        mounted = without_colour(rng, mount(rng, draw(rng, fonts, country), fonts))
        shots = []
        for _ in range(int(rng.choice([1, 1, 2, 3, 4]))):
            difficulty = float(rng.uniform(at_least, 1))
            photo = photograph(rng, mounted, difficulty)
            shots.append((photo.pixels[..., 0], detected(rng, photo.corners, difficulty)))
        groups.append(Group(tuple(shots), mounted.plate.text, "drawn"))
    return groups


def singles(seed: int, count: int, country: str | None = None, difficulty: float = 1.0) -> list[Group]:
    """Single photos of plates in kept-back typefaces; difficulties up to ``difficulty``, mostly near it."""
    world = Synthetic(fetch_fonts.load(kept_back=True), seed, country, reuse=1)
    groups = []
    for number in range(count):
        hard = difficulty * float(np.sqrt(np.random.default_rng([seed, 12, number]).random()))
        rng, photo = world.photo(number, hard)
        shot = (photo.pixels[..., 0], detected(rng, photo.corners, hard))
        groups.append(Group((shot,), photo.plate.text, "drawn"))
    return groups


def photographed(part: str, seed: int, count: int) -> list[Group]:
    """Real plates of ``part`` with moved corners, in worse light and smaller; one to four shots of a plate."""
    crops = real.plates(part)
    by_plate: dict[str, list[real.Crop]] = {}
    for crop in crops:
        by_plate.setdefault(crop.text, []).append(crop)
    groups = []
    for number in range(count):
        rng = np.random.default_rng([seed, 13, number])
        first = crops[int(rng.integers(len(crops)))]
        same = by_plate[first.text]
        chosen = [first] + [same[int(rng.integers(len(same)))] for _ in range(int(rng.choice([0, 0, 1, 2])))]
        groups.append(Group(tuple(_retaken(rng, crop) for crop in chosen), first.text, "photo"))
    return groups


def _retaken(rng: np.random.Generator, crop: real.Crop) -> tuple[Pixels, Floats]:
    difficulty = float(rng.uniform(0, 0.5))
    sides = rng.uniform((-0.06, -0.14, -0.06, -0.14), (0.03, 0.08, 0.03, 0.08)).astype(np.float32)
    pixels = expose(rng, crop.pixels[..., None].astype(np.float32), difficulty)[..., 0]
    return pixels, crop.corners(sides)


def nothing(seed: int, count: int, part: str = "dev") -> list[Group]:
    """Signs, badges, grilles, and cuts of real frames of ``part`` away from every known plate."""
    fonts = fetch_fonts.load(kept_back=True)
    frames = real.empty_frames(part)
    groups = []
    for number in range(count):
        rng = np.random.default_rng([seed, 14, number])
        pixels: Pixels | None = None
        if rng.random() < 0.5:
            frame, boxes = frames[int(rng.integers(len(frames)))]
            pixels = real.elsewhere(rng, frame, boxes)
        if pixels is None:
            pixels = expose(rng, not_a_plate(rng, fonts), float(rng.random()))[..., 0]
        height, width = pixels.shape
        inset = rng.uniform(0, 0.15, 4) * (width, height, width, height)
        x0, y0, x1, y1 = inset[0], inset[1], width - inset[2], height - inset[3]
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
        groups.append(Group(((pixels, corners),), "", "nothing"))
    return groups
