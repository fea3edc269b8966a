"""Pictures that a detector may take for plates and a reader must not read: their target is no text at all."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plategen.fonts import Fonts
from models.plategen.parts import fit, paste, words

Floats = NDArray[np.float32]

_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = "ABCDEFGHIJKLMNOPRSTUVZ"
_WORDS = (
    "www.", "taxi", "GmbH", "d.o.o.", "STOP", "TDI", "Quattro", "hybrid", "4x4", "Turbo", "Service", "tel:", "Centar",
    "School", "Exit", "P+R", "km/h", "Auto", "Garage", "Line", "Bus", "Sale", "-50%", "Open", "Hotel", "Markt",
)


def background(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Smooth ``float32 (height, width, 1)`` surface with a few edges."""
    canvas = np.full((height, width), rng.uniform(10, 240), np.float32)
    cells = (int(rng.integers(2, 8)), int(rng.integers(2, 10)))
    canvas += cv2.resize(rng.uniform(-60, 60, cells).astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(0, 6))):
        x0, y0, x1, y1 = (int(v) for v in rng.uniform(-0.2, 1.2, 4) * (width, height, width, height))
        tone = float(rng.uniform(0, 255))
        if rng.random() < 0.5:
            cv2.line(canvas, (x0, y0), (x1, y1), tone, int(rng.integers(1, 8)), cv2.LINE_AA)
        else:
            cv2.rectangle(canvas, (x0, y0), (x1, y1), tone, -1)
    return canvas[..., None]


def text_sign(rng: np.random.Generator, fonts: Fonts, height: int, width: int) -> Floats:
    """Telephone numbers, addresses, slogans, model names: text that no plate carries."""
    canvas = background(rng, height, width)
    if rng.random() < 0.5:
        canvas[:] = rng.uniform(0, 255)
    lines = int(rng.choice([1, 1, 2, 3, 4]))
    face = fonts.pick(rng)
    tone = float((canvas.mean() + rng.uniform(70, 190)) % 255)
    for i in range(lines):
        size = height / lines * rng.uniform(0.35, 0.7)
        top = height * (i + 0.5) / lines - size / 2
        left = width * rng.uniform(0.02, 0.3)
        words(canvas, face, _phrase(rng), (left, top, width * rng.uniform(0.7, 0.98), top + size), (tone,))
    return canvas


def _phrase(rng: np.random.Generator) -> str:
    style = rng.random()
    if style < 0.3:
        digits = "".join(str(d) for d in rng.integers(0, 10, int(rng.integers(9, 13))))
        cut = int(rng.integers(2, 5))
        return f"{digits[:cut]}{'/ -'[int(rng.integers(3))]}{digits[cut : cut + 3]} {digits[cut + 3 :]}"
    if style < 0.55:
        return " ".join(_WORDS[int(i)] for i in rng.integers(0, len(_WORDS), int(rng.integers(1, 3))))
    letters = _LOWER if style < 0.85 else _UPPER
    size = int(rng.integers(4, 14) if letters is _LOWER else rng.integers(10, 18))
    text = "".join(letters[int(i)] for i in rng.integers(0, len(letters), size))
    return text.capitalize() if rng.random() < 0.4 else text


def badge(rng: np.random.Generator, fonts: Fonts, height: int, width: int) -> Floats:
    """Makers' emblems: rings, ovals, crosses, one or two chrome letters."""
    canvas = background(rng, height, width)
    tone = float(rng.uniform(0, 255))
    middle, size = (width // 2, height // 2), int(height * rng.uniform(0.2, 0.45))
    thick = int(rng.integers(1, max(2, size // 3)))
    style = int(rng.integers(4))
    if style == 0:
        step = round(size * rng.uniform(1.1, 1.6))
        for i in range(int(rng.integers(1, 6))):
            cv2.circle(canvas, (middle[0] + (i - 2) * step, middle[1]), size, tone, thick, cv2.LINE_AA)
    elif style == 1:
        cv2.ellipse(canvas, middle, (round(size * rng.uniform(1, 3)), size), 0, 0, 360, tone, thick, cv2.LINE_AA)
        cv2.line(canvas, (middle[0] - size, middle[1]), (middle[0] + size, middle[1]), tone, thick)
    elif style == 2:
        points = np.array(middle) + rng.uniform(-1.5, 1.5, (int(rng.integers(3, 7)), 2)) * size
        cv2.polylines(canvas, [np.asarray(points, np.int32)], True, tone, thick, cv2.LINE_AA)
    else:
        mask = fonts.pick(rng).glyph(_UPPER[int(rng.integers(len(_UPPER)))])
        paste(canvas, fit(mask, size * 1.5, size * 2), middle[0] - size, middle[1] - size, (tone,))
        cv2.circle(canvas, middle, round(size * 1.7), tone, max(1, thick // 2), cv2.LINE_AA)
    return canvas


def grille(rng: np.random.Generator, _: Fonts, height: int, width: int) -> Floats:
    """Bars, slats and meshes; lamps between them."""
    canvas = background(rng, height, width)
    step, share = int(rng.integers(4, 22)), rng.uniform(0.2, 0.8)
    x, y = np.arange(width)[None], np.arange(height)[:, None]
    style = int(rng.integers(4))
    phase = (y, x, x + y, (x % (2 * step)) // step * step + y)[style]
    bars = np.broadcast_to((phase % step) < step * share, (height, width))
    canvas[..., 0] += np.where(bars, np.float32(rng.uniform(-120, 120)), np.float32(0))
    if rng.random() < 0.3:
        at = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(canvas, at, int(height * rng.uniform(0.1, 0.5)), float(rng.uniform(100, 255)), -1, cv2.LINE_AA)
    return canvas


_MAKERS: tuple[Callable[[np.random.Generator, Fonts, int, int], Floats], ...] = (text_sign, text_sign, badge, grille)


def not_a_plate(rng: np.random.Generator, fonts: Fonts) -> Floats:
    """One picture ``float32 (h, w, 1)``, grey 0 to 255, of something that is no plate."""
    width = int(rng.integers(70, 300))
    height = max(16, round(width / rng.uniform(1.2, 5.5)))
    return _MAKERS[int(rng.integers(len(_MAKERS)))](rng, fonts, height, width)
