"""Draws the face of one plate, as it leaves the press: no car around it, no perspective, no weather.

Geometry in millimetres follows the national standards (520 x 113 and 340 x 200 in most of Europe, 75 mm
characters), each moved a little, because mounting frames, pressings and wear differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.vision.plate_formats import COUNTRIES, SIGNS
from models.plategen import parts
from models.plategen.fonts import Face, Fonts, Mask
from models.plategen.formats import Serial, country_at_random, serial

Pixels = NDArray[np.uint8]

_SHAPES = {  # width, height in mm of two rows
    "square": ((340, 200), (280, 200), (300, 200), (340, 220), (240, 190), (220, 170)),
    "agricultural": ((260, 190), (240, 180), (340, 200)),
    "moped": ((140, 114), (150, 120), (200, 150)),
}
_SAME_O = 0.3  # share of plates that print O and 0 alike


@dataclass(frozen=True)
class Character:
    """One character and its box in pixels of the plate's face."""

    char: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class Plate:
    """``pixels`` is the face alone, ``uint8`` BGR ``(height, width, 3)``; ``rows`` read from the top."""

    pixels: Pixels
    text: str
    country: str
    rows: tuple[tuple[Character, ...], ...]


@dataclass(frozen=True)
class _Item:
    """Something in a row: a character with its mask, or a sign; ``width`` in pixels, before squeezing."""

    char: str
    width: float
    mask: Mask | None


@dataclass(frozen=True)
class _Style:
    face: Face
    weight: int
    ink: parts.Colour
    emblems: bool
    width: float  # of a character, as a share of its height
    gap: float
    mono: float  # 0 keeps each letter's own width, 1 makes all alike
    same_o: str


def draw(rng: np.random.Generator, fonts: Fonts, country: str | None = None, scale: float = 0.6) -> Plate:
    """A plate with a random serial of ``country`` (alpha-2, ``""`` for none in particular, ``None`` for any).

    ``scale`` is pixels per millimetre. Raises ``KeyError`` for an unknown country.
    """
    country = country_at_random(rng) if country is None else country
    return _face(rng, fonts, country, serial(rng, country), scale)


def draw_text(
    country: str, text: str, rng: np.random.Generator, fonts: Fonts, scale: float = 0.6, kind: str = "car"
) -> Plate:
    """A plate of ``country`` that carries the given ``text``.

    ``text`` may hold the signs of ``formats`` (``*`` emblem, space, ``-``, ``.``) and ``/`` for a second row.
    Raises ``KeyError`` for an unknown country.
    """
    return _face(rng, fonts, country, Serial(tuple(text.split("/")), kind), scale)


def _face(rng: np.random.Generator, fonts: Fonts, country: str, content: Serial, scale: float) -> Plate:
    two = len(content.rows) > 1
    width, height = _size(rng, country, content, scale)
    ink, paper = parts.colours(rng, content.kind)
    if content.kind == "car" and rng.random() < 0.03:
        ink, paper = paper, parts.mix(rng, (60, 60, 60), 30)
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = paper
    above, below = (float(v) for v in rng.normal(0, 6, 2))
    canvas += np.linspace(above, below, height, dtype=np.float32)[:, None, None]
    small_print = fonts.pick(rng)
    left, right = _bands(canvas, rng, small_print, country, content, two)
    style = _style(rng, fonts.pick(rng), ink, not content.free)
    rows = []
    for i, row in enumerate(content.rows):
        char_height = height * (rng.uniform(0.33, 0.4) if two else rng.uniform(0.62, 0.74))
        middle = height * ((0.27, 0.73)[i] if two else 0.5) + rng.normal(0, 0.012 * height)
        under = row.split("*")[0] if country == "RS" and "*" in row else ""
        rows.append(_row(canvas, rng, style, small_print, row, (left, right, middle, char_height), under))
    if rng.random() < 0.8:
        rim = ink if rng.random() < 0.6 else parts.mix(rng, paper, 40)
        parts.rim(canvas, rim, int(rng.integers(0, 3)), int(rng.choice([1, 1, 2, 3])))
    parts.wear(canvas, rng, 0.5)
    pixels = np.clip(canvas, 0, 255).astype(np.uint8)
    return Plate(pixels, content.text, country, tuple(rows))


def _size(rng: np.random.Generator, country: str, content: Serial, scale: float) -> tuple[int, int]:
    if len(content.rows) > 1:
        shapes = _SHAPES.get(content.kind, _SHAPES["square"])
        width, height = shapes[int(rng.integers(len(shapes)))]
    elif content.kind == "moped":
        width, height = 250, 90
    else:
        width, height = 520, 113
        short = len(content.text) <= 7 and rng.random() < (0.3 if country in ("IT", "CH", "") else 0.06)
        if short:
            width = int(rng.integers(330, 460))
    jitter = rng.normal(1, 0.012, 2)
    return round(width * scale * jitter[0]), round(height * scale * jitter[1])


def _bands(
    canvas: parts.Canvas, rng: np.random.Generator, face: Face, country: str, content: Serial, two: bool
) -> tuple[float, float]:
    """Paints the bands; returns where the characters may stand, in columns."""
    height, width = canvas.shape[:2]
    unit = height / (200 if two else 113)
    left, right = 7 * unit, width - rng.uniform(6, 14) * unit
    code = COUNTRIES[country].band
    plain = content.kind in ("plain", "moped", "diplomatic") and rng.random() < 0.8
    if not code and rng.random() < 0.6:
        bands = [c.band for c in COUNTRIES.values() if c.band]
        code = bands[int(rng.integers(len(bands)))]
    if plain or not code or rng.random() < 0.08:
        return left, right
    size = round(rng.uniform(38, 48) * unit)
    start = round(rng.uniform(0, 3) * unit)
    parts.band(canvas, rng, face, code, start, start + size)
    left = start + size + rng.uniform(3, 12) * unit
    if country in ("FR", "IT", "PT", "AL", "UA", "BE") and rng.random() < 0.75 and not two:
        parts.band(canvas, rng, face, f"{rng.integers(10, 99)}" if rng.random() < 0.6 else "", width - size, width)
        right = width - size - 5 * unit
    return left, right


def _style(rng: np.random.Generator, face: Face, ink: parts.Colour, has_format: bool) -> _Style:
    same = ("O", "0")[int(rng.integers(2))] if has_format and rng.random() < _SAME_O else ""
    return _Style(
        face=face,
        weight=int(rng.choice([0, 0, 0, 0, 1, 2, 3, -1, -2])),
        ink=ink,
        emblems=bool(rng.random() < 0.85),
        width=float(rng.uniform(0.48, 0.66)),
        gap=float(rng.uniform(0.06, 0.17)),
        mono=float(rng.choice([0.0, 0.0, 0.5, 0.8])),
        same_o=same,
    )


def _items(rng: np.random.Generator, style: _Style, row: str, height: float) -> list[_Item]:
    signs = {"*": rng.uniform(0.35, 1.0), " ": rng.uniform(0.25, 0.6), "-": rng.uniform(0.28, 0.5), ".": 0.25}
    items = []
    for char in row:
        if char in SIGNS:
            items.append(_Item(char, float(signs[char]) * height, None))
            continue
        mask = style.face.glyph(style.same_o if style.same_o and char in "O0" else char, style.weight)
        natural = mask.shape[1] / max(1, style.face.glyph("H").shape[0]) / 0.55
        if char not in "I1":
            natural = (1 - style.mono) * natural + style.mono
        items.append(_Item(char, float(np.clip(natural, 0.2, 1.4)) * style.width * height, mask))
    return items


def _row(
    canvas: parts.Canvas, rng: np.random.Generator, style: _Style, small_print: Face, row: str,
    place: tuple[float, float, float, float], under: str,
) -> tuple[Character, ...]:
    left, right, middle, height = place
    items = _items(rng, style, row, height)
    gap = style.gap * height
    total = sum(i.width + gap for i in items) - gap
    room = right - left
    squeeze = min(1.0, room / total) if rng.random() < 0.4 else float(np.clip(room / total, 0, 1.3))
    x = left + rng.uniform(0.2, 0.8) * max(0.0, room - squeeze * total)
    written = []
    for item in items:
        end = x + item.width * squeeze
        if item.mask is None:
            if item.char == "*" and style.emblems:
                box = (x - gap / 4, middle - height / 2, end + gap / 4, middle + height / 2)
                parts.emblem(canvas, rng, small_print, box, under)
            elif item.char in "-.":
                parts.sign(canvas, item.char, x, end, middle, height, style.ink)
        else:
            written.append(_write(canvas, rng, style, item, (x, end, middle, height)))
        x = end + gap * squeeze
    return tuple(written)


def _write(
    canvas: parts.Canvas, rng: np.random.Generator, style: _Style, item: _Item, place: tuple[float, float, float, float]
) -> Character:
    x0, x1, middle, height = place
    top, bottom = middle - height / 2, middle + height / 2
    if item.char in "ČĆŠŽ" and rng.random() < 0.6:
        top -= height * 0.16  # the mark stands above the line of the others, or the letter is lowered to fit
    assert item.mask is not None
    parts.paste(canvas, parts.fit(item.mask, x1 - x0, bottom - top), round(x0), round(top), style.ink)
    return Character(item.char, x0, top, x1, bottom)
