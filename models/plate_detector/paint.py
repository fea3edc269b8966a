"""What is not a plate: painted cars, badges, lamps, grilles, lettering and signs.

Street frames alone teach a detector that anything with letters on a car is a plate. These pictures show
it the things that outrank plates when it has not seen them up close. All coordinates are pixels of the
canvas, ``float32`` BGR ``(height, width, 3)``; boxes are ``x0, y0, x1, y1``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plategen.fonts import Fonts

Canvas = NDArray[np.float32]
Rng = np.random.Generator
Bounds = tuple[float, float, float, float]

_LETTERS = "ABCDEFGHIJKLMNOPRSTUVXZ"
_WORDS = (
    "TDI", "TSI", "GTI", "CDI", "HDI", "4x4", "quattro", "4MATIC", "xDrive", "AWD", "HYBRID", "electric", "Turbo",
    "1.9", "2.0", "16V", "GT", "RS", "SPORT", "Combi", "Wagon", "Octavia", "Corsa", "Astra", "Golf", "Polo", "Clio",
    "Fiesta", "Focus", "Fabia", "Punto", "Panda", "Yaris", "Corolla", "Civic", "Duster", "Logan", "Ibiza",
)  # fmt: skip
_SIGNS = (
    "TAXI", "STOP", "POLICIJA", "AUTO SERVIS", "www.auto-centar.rs", "Tel. 011/245-678", "064 123 4567", "HOTEL",
    "PARKING", "EXIT 24", "ZONA 2", "Apoteka", "PEKARA", "BUS 37", "Na prodaju", "A1 E75", "BEBA U AUTU", "0900 55 66",
    "Auto-skola", "+381 21 555 333", "Pizza", "ULICA", "24h", "Leasing", "Rent a car", "BANKA", "Servis 0-24", "P",
)  # fmt: skip
_HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX)


@dataclass
class Car:
    """A painted front or rear: ``recess`` is where its plate belongs, ``junk`` are boxes of what is none."""

    pixels: NDArray[np.uint8]
    recess: Bounds
    junk: list[Bounds] = field(default_factory=list)


def text_mask(rng: Rng, fonts: Fonts, text: str, height: int) -> NDArray[np.float32]:
    """``text`` as coverage 0-1 of about ``height`` pixels: a plate typeface for capitals, plain strokes otherwise."""
    if text.isupper() and text.isalnum() and rng.random() < 0.6:
        face = fonts.pick(rng)
        gap = np.zeros((96, int(rng.uniform(4, 30))), np.uint8)
        glyphs = [cv2.resize(g, (max(1, g.shape[1]), 96)) for g in (face.glyph(c) for c in text)]
        mask = np.hstack([part for glyph in glyphs for part in (glyph, gap)])
    else:
        style, width = _HERSHEY[rng.integers(4)], int(rng.integers(2, 9))
        (w, h), base = cv2.getTextSize(text, style, 2.5, width)
        mask = np.zeros((h + base + 16, w + 12), np.uint8)
        cv2.putText(mask, text, (6, h + 8), style, 2.5, 255, width, cv2.LINE_AA)
    width = max(2, round(mask.shape[1] * height / mask.shape[0] * rng.uniform(0.8, 1.25)))
    small = cv2.resize(mask, (width, max(2, height)), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


def blend(canvas: Canvas, mask: NDArray[np.float32], x: int, y: int, colour: NDArray[np.float32]) -> Bounds:
    """Lays ``colour`` (one colour or a picture of the mask's size) over ``canvas`` with top left at ``x, y``."""
    height, width = mask.shape
    x0, y0, x1, y1 = max(0, x), max(0, y), min(canvas.shape[1], x + width), min(canvas.shape[0], y + height)
    if x1 > x0 and y1 > y0:
        part = mask[y0 - y : y1 - y, x0 - x : x1 - x, None]
        if colour.ndim == 3:
            colour = colour[y0 - y : y1 - y, x0 - x : x1 - x]
        canvas[y0:y1, x0:x1] += (colour - canvas[y0:y1, x0:x1]) * part
    return (x, y, x + width, y + height)


def _colour(rng: Rng, low: float = 20, high: float = 240, tint: float = 0.25) -> NDArray[np.float32]:
    return (rng.uniform(low, high) * rng.uniform(1 - tint, 1, 3)).astype(np.float32)


def lettering(canvas: Canvas, rng: Rng, fonts: Fonts, x: int, y: int, height: int) -> Bounds:
    """A model name or badge text straight on the body, with a rim of light like chrome."""
    text = str(rng.choice(_WORDS)) if rng.random() < 0.7 else "".join(rng.choice(list(_LETTERS), rng.integers(1, 8)))
    mask = text_mask(rng, fonts, text, height)
    shade = _colour(rng, 0, 60) if rng.random() < 0.6 else _colour(rng, 180, 255, 0.1)
    blend(canvas, mask, x + 1, y + 1, shade)
    return blend(canvas, mask, x, y, _colour(rng, 120, 250, 0.1) if rng.random() < 0.7 else _colour(rng, 10, 90))


def panel(canvas: Canvas, rng: Rng, fonts: Fonts, x: int, y: int, width: int) -> Bounds:
    """A sign, sticker or dealer's strip: lettered, of a colour or shape that plates do not have."""
    lines = [str(rng.choice(_SIGNS)) for _ in range(rng.integers(1, 4))]
    ratio = rng.uniform(0.4, 2.2) if len(lines) > 1 else rng.choice([rng.uniform(1, 2.5), rng.uniform(6.5, 14)])
    height = max(4, int(width / ratio))
    paper = _colour(rng, 20, 250, 0.9 if rng.random() < 0.6 else 0.2)
    bright = paper.mean() > 110
    ink = _colour(rng, 0, 70, 0.9) if bright else _colour(rng, 150, 255, 0.9)
    mask = np.zeros((height, width), np.float32)
    radius = int(rng.integers(0, max(1, min(height, width) // 3)))
    cv2.rectangle(mask, (radius, 0), (width - 1 - radius, height - 1), 1.0, -1)
    cv2.rectangle(mask, (0, radius), (width - 1, height - 1 - radius), 1.0, -1)
    box = blend(canvas, mask, x, y, paper)
    row = height / len(lines)
    for n, line in enumerate(lines):
        letters = text_mask(rng, fonts, line, max(3, int(row * rng.uniform(0.45, 0.8))))
        if letters.shape[1] > 0.92 * width:
            size = (max(2, int(0.92 * width)), letters.shape[0])
            letters = np.asarray(cv2.resize(letters, size, interpolation=cv2.INTER_AREA), np.float32)
        left = x + int((width - letters.shape[1]) * rng.uniform(0.2, 0.8))
        blend(canvas, letters, left, y + int(n * row + (row - letters.shape[0]) / 2), ink)
    return box


def badge(canvas: Canvas, rng: Rng, fonts: Fonts, x: int, y: int, size: int) -> Bounds:
    """A maker's emblem: rings, a shield, a disc with letters; sometimes rings in a row."""
    rings = int(rng.choice([1, 1, 1, 2, 4]))
    width, height = int(size * (1 + 0.7 * (rings - 1))), size
    mask = np.zeros((height, width), np.float32)
    stroke = max(1, size // int(rng.integers(6, 14)))
    for n in range(rings):
        centre = (int(size / 2 + 0.7 * n * size), size // 2)
        axes = (max(2, size // 2 - stroke), max(2, int((size // 2 - stroke) * rng.uniform(0.7, 1))))
        cv2.ellipse(mask, centre, axes, 0, 0, 360, 1.0, stroke, cv2.LINE_AA)
    if rings == 1 and rng.random() < 0.6:
        cv2.ellipse(mask, (size // 2, size // 2), (size // 3, size // 3), 0, 0, 360, 0.7, -1, cv2.LINE_AA)
    box = blend(canvas, mask, x, y, _colour(rng, 90, 250, 0.15))
    if rings == 1 and rng.random() < 0.7:
        text = "".join(rng.choice(list(_LETTERS), rng.integers(1, 4)))
        letters = text_mask(rng, fonts, text, max(3, size // 3))
        blend(canvas, letters, x + (size - letters.shape[1]) // 2, y + size // 3, _colour(rng, 0, 120, 0.6))
    return box


def lamp(canvas: Canvas, rng: Rng, x: int, y: int, width: int, height: int) -> Bounds:
    """A head, tail or fog lamp, or a reflector: bright core, ribs, coloured glass."""
    mask = np.zeros((height, width), np.float32)
    if rng.random() < 0.5:
        cv2.ellipse(
            mask, (width // 2, height // 2), (max(1, width // 2 - 1), max(1, height // 2 - 1)), 0, 0, 360, 1.0, -1
        )
    else:
        jitter = rng.uniform(0, 0.25, (4, 2)) * [[1, 1], [-1, 1], [-1, -1], [1, -1]]
        points = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) + jitter) * [width - 1, height - 1]
        cv2.fillConvexPoly(mask, points.astype(np.int32), 1.0, cv2.LINE_AA)
    glass = np.array([(30, 20, 200), (230, 230, 235), (40, 140, 230), (60, 40, 90)][rng.integers(4)], np.float32)
    light = cv2.resize(
        rng.uniform(0.4, 1.3, (3, 4)).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    if rng.random() < 0.4:
        ribs = int(rng.integers(3, 12))
        light = light * (0.85 + 0.25 * np.sin(np.arange(width) * ribs * 2 * np.pi / width)).astype(np.float32)
    picture = glass * light[..., None]
    if rng.random() < 0.5:
        core = np.zeros((height, width), np.float32)
        cv2.circle(core, (int(width * rng.uniform(0.3, 0.7)), height // 2), max(1, height // 4), 1.0, -1)
        picture += cv2.GaussianBlur(core, (0, 0), max(1, height / 6))[..., None] * 200
    return blend(canvas, mask, x, y, np.clip(picture, 0, 255))


def grille(canvas: Canvas, rng: Rng, x: int, y: int, width: int, height: int) -> Bounds:
    """Bars or a mesh, dark with lighter edges."""
    picture = np.ones((height, width, 3), np.float32) * _colour(rng, 5, 70, 0.1)
    pitch = max(2, int(height / rng.integers(2, 9)))
    bar = _colour(rng, 40, 230, 0.1)
    for at in range(0, height, pitch):
        picture[at : at + max(1, pitch // int(rng.integers(2, 5)))] = bar
    if rng.random() < 0.4:
        for at in range(0, width, int(pitch * rng.uniform(1, 4)) + 1):
            picture[:, at : at + max(1, pitch // 4)] = bar * 0.8
    return blend(canvas, np.ones((height, width), np.float32), x, y, picture)


def distract(canvas: Canvas, rng: Rng, fonts: Fonts, size: int) -> Bounds:
    """One thing that is not a plate, about ``size`` pixels wide, somewhere on ``canvas``; returns its box."""
    height, width = canvas.shape[:2]
    x, y = int(rng.uniform(-0.3 * size, width - 0.5 * size)), int(rng.uniform(0, height))
    kind = rng.random()
    if kind < 0.35:
        return panel(canvas, rng, fonts, x, y, size)
    if kind < 0.6:
        return lettering(canvas, rng, fonts, x, y, max(4, int(size * rng.uniform(0.12, 0.35))))
    if kind < 0.75:
        return badge(canvas, rng, fonts, x, y, max(6, size // 2))
    if kind < 0.9:
        return lamp(canvas, rng, x, y, max(6, size), max(4, int(size * rng.uniform(0.2, 0.8))))
    return grille(canvas, rng, x, y, max(8, size), max(6, int(size * rng.uniform(0.15, 0.5))))


def car(rng: Rng, fonts: Fonts, backdrop: NDArray[np.uint8], width: int = 768, height: int = 512) -> Car:
    """A simple front or rear that fills most of the picture, over a crop of ``backdrop``."""
    canvas = np.asarray(cv2.resize(backdrop, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    paint = _colour(rng, 15, 245, 0.6 if rng.random() < 0.4 else 0.08)
    span = rng.uniform(0.55, 1.1) * width
    left, top = (width - span) / 2, rng.uniform(-0.15, 0.25) * height
    floor = height * rng.uniform(0.85, 1.1)
    _body(canvas, rng, paint, (left, top, left + span, floor))
    middle, tall = width / 2 + rng.normal(0, 0.02 * width), floor - top
    plate_width = span * rng.uniform(0.2, 0.36)
    plate_height = plate_width / rng.uniform(3.6, 4.7)
    at = top + tall * rng.uniform(0.45, 0.85)
    recess = (middle - plate_width / 2, at, middle + plate_width / 2, at + plate_height)
    junk = _fittings(canvas, rng, fonts, (left, top, span, tall), recess)
    canvas *= cv2.resize(rng.uniform(0.7, 1.15, (3, 4)).astype(np.float32), (width, height))[..., None]
    canvas = np.asarray(cv2.GaussianBlur(canvas, (0, 0), rng.uniform(0.5, 1.4)), np.float32)
    return Car(np.clip(canvas, 0, 255).astype(np.uint8), recess, junk)


def _body(canvas: Canvas, rng: Rng, paint: NDArray[np.float32], box: Bounds) -> None:
    x0, y0, x1, y1 = box
    height, width = canvas.shape[:2]
    slope = rng.uniform(0.05, 0.2) * (x1 - x0)
    waist = y0 + (y1 - y0) * rng.uniform(0.3, 0.5)
    outline = np.array([[x0 + slope, y0], [x1 - slope, y0], [x1, waist], [x1, y1], [x0, y1], [x0, waist]], np.int32)
    mask = np.zeros((height, width), np.float32)
    cv2.fillPoly(mask, [outline], 1.0, cv2.LINE_AA)
    light = cv2.resize(
        rng.uniform(0.6, 1.25, (5, 3)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC
    )
    blend(canvas, mask, 0, 0, np.clip(paint * light[..., None], 0, 255))
    pane = np.array(
        [[x0 + 1.4 * slope, y0 + 8], [x1 - 1.4 * slope, y0 + 8], [x1 - slope, waist - 10], [x0 + slope, waist - 10]]
    )
    glass = np.zeros((height, width), np.float32)
    cv2.fillPoly(glass, [pane.astype(np.int32)], 0.9, cv2.LINE_AA)
    blend(canvas, glass, 0, 0, _colour(rng, 15, 120, 0.2))
    for _ in range(rng.integers(2, 6)):  # seams and the bumper's edge
        y = int(rng.uniform(waist, y1))
        shade = tuple(float(v) for v in paint * rng.uniform(0.3, 0.8))
        cv2.line(
            canvas, (int(x0), y), (int(x1), y + int(rng.normal(0, 6))), shade, int(rng.integers(1, 5)), cv2.LINE_AA
        )
    if rng.random() < 0.5:
        lower = int(y0 + (y1 - y0) * rng.uniform(0.75, 0.9))
        canvas[max(0, lower) :, max(0, int(x0)) : max(0, int(x1))] *= rng.uniform(0.2, 0.7)


def _fittings(
    canvas: Canvas, rng: Rng, fonts: Fonts, body: tuple[float, float, float, float], recess: Bounds
) -> list[Bounds]:
    left, top, span, tall = body
    x0, y0, x1, y1 = recess
    width, high = x1 - x0, y1 - y0
    if rng.random() < 0.6:
        grow = rng.uniform(1.05, 1.5)
        cv2.rectangle(
            canvas,
            (int(x0 - width * (grow - 1) / 2), int(y0 - high * rng.uniform(0, 0.6))),
            (int(x1 + width * (grow - 1) / 2), int(y1 + high * rng.uniform(0.05, 0.4))),
            tuple(float(v) for v in _colour(rng, 10, 120, 0.2)),
            -1,
        )
    junk: list[Bounds] = []
    lamp_y = int(top + tall * rng.uniform(0.38, 0.6))
    size = (int(span * rng.uniform(0.1, 0.24)), int(tall * rng.uniform(0.06, 0.22)))
    state = rng.bit_generator.state  # both lamps alike
    junk.append(lamp(canvas, rng, int(left + 0.02 * span), lamp_y, *size))
    rng.bit_generator.state = state
    junk.append(lamp(canvas, rng, int(left + 0.98 * span - size[0]), lamp_y, *size))
    if rng.random() < 0.5:
        grille_width = int(span * rng.uniform(0.25, 0.6))
        grille_top = int(y0 - tall * rng.uniform(0.1, 0.25))
        tall_grille = max(6, int(min(tall * rng.uniform(0.05, 0.15), y0 - grille_top - 4)))
        junk.append(grille(canvas, rng, int((x0 + x1 - grille_width) / 2), grille_top, grille_width, tall_grille))
    emblem = int(span * rng.uniform(0.04, 0.1))
    emblem_y = int(y0 - high * 0.3 - emblem - tall * rng.uniform(0.01, 0.15))
    junk.append(badge(canvas, rng, fonts, int((x0 + x1 - emblem) / 2), emblem_y, max(8, emblem)))
    for _ in range(rng.integers(0, 4)):
        at = left + span * rng.choice([rng.uniform(0.05, 0.25), rng.uniform(0.7, 0.85)])
        y = int(rng.choice([y0 - high * rng.uniform(0.6, 2.5), y1 + high * rng.uniform(0.3, 1.5)]))
        junk.append(lettering(canvas, rng, fonts, int(at), y, max(6, int(high * rng.uniform(0.2, 0.8)))))
    for _ in range(rng.integers(0, 3)):
        x, y = int(left + span * rng.uniform(0.1, 0.8)), int(top + tall * rng.uniform(0.02, 0.3))
        junk.append(panel(canvas, rng, fonts, x, y, int(span * rng.uniform(0.06, 0.2))))
    return junk
