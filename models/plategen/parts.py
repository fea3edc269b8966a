"""What stands on a plate besides its characters: band, emblems, seals, screws, dirt.

Canvases are ``float32 (height, width, 3)``, BGR, 0 to 255; colours are BGR triples, or a single value on a
canvas of one channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plategen.fonts import Face, Mask

Canvas = NDArray[np.float32]
Colour = tuple[float, ...]

WHITE: Colour = (240, 242, 240)
BLACK: Colour = (22, 22, 22)
_BLUE: Colour = (150, 60, 10)
_RED: Colour = (45, 35, 190)
_GOLD: Colour = (60, 200, 235)
_CYRILLIC = dict(
    zip("ABCDEFGHIJKLMNOPRSTUVZČĆĐŠŽ", "АБЦДЕФГХИЈКЛМНОПРСТУВЗЧЋЂШЖ", strict=True)
)


def mix(rng: np.random.Generator, colour: Colour, spread: float = 18.0) -> Colour:
    """``colour`` moved by a little, alike in all channels and each for itself."""
    shift = rng.normal(0, spread) + rng.normal(0, spread / 4, 3)
    return tuple(float(np.clip(c + s, 0, 255)) for c, s in zip(colour, shift, strict=True))


def paste(canvas: Canvas, mask: Mask, x: int, y: int, colour: Colour) -> None:
    """Paints ``colour`` through ``mask`` with its top left corner at ``x, y``; clipped to the canvas."""
    height, width = mask.shape
    left, top = max(0, x), max(0, y)
    right, bottom = min(canvas.shape[1], x + width), min(canvas.shape[0], y + height)
    if right <= left or bottom <= top:
        return
    alpha = mask[top - y : bottom - y, left - x : right - x, None] * np.float32(1 / 255)
    area = canvas[top:bottom, left:right]
    area += alpha * (np.asarray(colour, np.float32) - area)


def fit(mask: Mask, width: float, height: float) -> Mask:
    """``mask`` scaled to ``width`` by ``height`` pixels."""
    size = (max(1, round(width)), max(2, round(height)))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)


def words(canvas: Canvas, face: Face, text: str, box: tuple[float, float, float, float], colour: Colour) -> None:
    """``text`` on one line within ``box`` (x0, y0, x1, y1), squeezed when it is too long."""
    x0, y0, x1, y1 = box
    height = y1 - y0
    masks = [None if c == " " else face.glyph(c) for c in text]
    widths = [height * 0.4 if m is None else height * (m.shape[1] / m.shape[0] + 0.15) for m in masks]
    squeeze = min(1.0, (x1 - x0) / max(1.0, sum(widths)))
    x = x0 + (x1 - x0 - squeeze * sum(widths)) / 2
    for mask, width in zip(masks, widths, strict=True):
        if mask is not None:
            paste(canvas, fit(mask, (width - 0.15 * height) * squeeze, height), round(x), round(y0), colour)
        x += width * squeeze


def band(canvas: Canvas, rng: np.random.Generator, face: Face, code: str, x0: int, x1: int) -> None:
    """The blue band with stars or a flag and the country's code, from column ``x0`` to ``x1``."""
    height, width = canvas.shape[0], x1 - x0
    ground = mix(rng, _BLUE if rng.random() < 0.85 else _RED, 25)
    canvas[1 : height - 1, x0:x1] = ground
    bright = mix(rng, _GOLD if rng.random() < 0.6 else WHITE, 20)
    middle, y, radius = (x0 + x1) / 2, height * rng.uniform(0.24, 0.38), width * rng.uniform(0.24, 0.36)
    style = rng.random()
    if style < 0.6:
        for angle in np.arange(12) * np.pi / 6:
            centre = (round(middle + radius * np.cos(angle)), round(y + radius * np.sin(angle)))
            cv2.circle(canvas, centre, max(1, width // 22), bright, -1)
    elif style < 0.85:
        top = round(y - radius * 0.7)
        for i, stripe in enumerate((_RED, _BLUE, WHITE) if rng.random() < 0.5 else (WHITE, _BLUE, _RED)):
            step = max(2, round(radius * 0.5))
            cv2.rectangle(canvas, (x0 + 2, top + i * step), (x1 - 3, top + (i + 1) * step), stripe, -1)
    size = height * rng.uniform(0.14, 0.26) * (0.8 if len(code) > 2 else 1.0)
    size = min(size, width * 0.8)
    if code:
        top_y = height * rng.uniform(0.6, 0.74)
        words(canvas, face, code, (x0 + 1.5, top_y, x1 - 1.5, top_y + size), mix(rng, WHITE, 10))


def emblem(
    canvas: Canvas, rng: np.random.Generator, face: Face, box: tuple[float, float, float, float], under: str = ""
) -> None:
    """Arms, a seal or stickers within ``box``; ``under`` is small Cyrillic beneath a Serbian shield."""
    x0, y0, x1, y1 = box
    room = min(x1 - x0, (y1 - y0) * 0.8)
    radius = max(2, round(room * rng.uniform(0.3, 0.48)))
    x, y = round((x0 + x1) / 2), round((y0 + y1) / 2)
    colour: Colour = mix(rng, ((45, 35, 190), (150, 60, 10), (200, 200, 200), (70, 140, 40))[int(rng.integers(4))], 30)
    style = rng.random()
    if under:
        style = 0.0
        colour = mix(rng, _RED, 25)
        y = round(y0 + (y1 - y0) * 0.38)
    if style < 0.35:
        shape = np.array([[-1, -1], [1, -1], [1, 0.3], [0, 1.2], [-1, 0.3]]) * [radius * 0.8, radius] + [x, y]
        cv2.fillPoly(canvas, [np.asarray(shape, np.int32)], colour)
        if under:
            _cross(canvas, x, y, radius)
            small = (y1 - y0) * rng.uniform(0.16, 0.24)
            text = "".join(_CYRILLIC.get(c, c) for c in under)
            words(canvas, face, text, (x0, y1 - small, x1, y1), mix(rng, BLACK, 15))
    elif style < 0.6:
        cv2.circle(canvas, (x, y), radius, colour, -1)
    elif style < 0.85:
        gap = round((y1 - y0) * rng.uniform(0.2, 0.27))
        for sign in (-1, 1):
            cv2.circle(canvas, (x, y + sign * gap), max(2, min(radius, gap - 1)), mix(rng, colour, 40), -1)
    else:
        cv2.circle(canvas, (x, y), radius, colour, max(1, radius // 4))
    _speckle(canvas, rng, x, y, radius)


def _cross(canvas: Canvas, x: int, y: int, radius: int) -> None:
    arm, thick = max(1, round(radius * 0.55)), max(1, radius // 5)
    cv2.line(canvas, (x - arm, y), (x + arm, y), WHITE, thick)
    cv2.line(canvas, (x, y - arm), (x, y + arm), WHITE, thick)


def _speckle(canvas: Canvas, rng: np.random.Generator, x: int, y: int, radius: int) -> None:
    for _ in range(int(rng.integers(0, 5))):
        u, v = (int(n) for n in rng.integers(-radius // 2, radius // 2 + 1, 2))
        tone = float(rng.uniform(20, 250))
        cv2.rectangle(canvas, (x + u, y + v), (x + u + 2, y + v + 2), (tone, tone, tone), -1)


def wear(canvas: Canvas, rng: np.random.Generator, amount: float) -> None:
    """Screws, spots and dirt; ``amount`` 0 to 1."""
    height, width = canvas.shape[:2]
    for _ in range(int(rng.choice([0, 0, 0, 1, 2]))):
        at = (int(rng.integers(4, width - 4)), round(height * float(rng.choice([0.1, 0.5, 0.9]))))
        tone = float(rng.uniform(20, 240))
        cv2.circle(canvas, at, max(1, height // 24), (tone, tone, tone), -1)
    for _ in range(int(rng.poisson(1.5 * amount))):
        at = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        cv2.circle(canvas, at, int(rng.integers(1, max(2, height // 14))), (60.0, 70.0, 80.0), -1)
    if rng.random() < 0.35 * amount:
        film = cv2.resize(rng.uniform(0, 1, (4, 9)).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
        if rng.random() < 0.5:
            film = film * np.linspace(0, 1, height, dtype=np.float32)[:, None]
        mud = np.array(mix(rng, (85, 105, 120), 20), np.float32)
        alpha = np.clip(film * float(rng.uniform(0.2, 0.75)), 0, 0.8)[..., None]
        canvas += alpha * (mud - canvas)


def rim(canvas: Canvas, colour: Colour, inset: int, thickness: int) -> None:
    """The raised edge of the plate."""
    height, width = canvas.shape[:2]
    cv2.rectangle(canvas, (inset, inset), (width - 1 - inset, height - 1 - inset), colour, thickness)


def sign(canvas: Canvas, kind: str, x0: float, x1: float, middle: float, height: float, colour: Colour) -> None:
    """A printed hyphen or dot between ``x0`` and ``x1`` around the row's ``middle``."""
    half = (x1 - x0) * (0.36 if kind == "-" else 0.2)
    thick = max(1.0, height * (0.055 if kind == "-" else 0.05))
    x = (x0 + x1) / 2
    first, last = (round(x - half), round(middle - thick)), (round(x + half), round(middle + thick))
    cv2.rectangle(canvas, first, last, colour, -1)


def colours(rng: np.random.Generator, kind: str) -> tuple[Colour, Colour]:
    """Ink and paper of a ``kind`` of plate."""
    table: dict[str, Sequence[Colour]] = {
        "police": (WHITE, (150, 70, 20)),
        "agricultural": (WHITE, (70, 130, 30)) if rng.random() < 0.7 else (BLACK, WHITE),
        "moped": (BLACK, (40, 200, 240)),
        "yellow": (BLACK, (40, 195, 240)),
        "oversize": (WHITE, (45, 40, 190)),
        "diplomatic": (_GOLD, (30, 30, 30)),
        "temporary": (_RED if rng.random() < 0.5 else BLACK, WHITE),
        "red ink": ((50, 40, 160), WHITE),
    }
    ink, paper = table.get(kind, (BLACK, WHITE))
    return mix(rng, ink, 12), mix(rng, paper, 14)
