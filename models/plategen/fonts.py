"""Glyph masks of the letters on a plate, from any TrueType, OpenType or WOFF files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Mask = NDArray[np.uint8]

CAP = 96  # pixels of a capital H in a stored mask
_EM = 150
_BASE = {"Č": "C", "Ć": "C", "Đ": "D", "Š": "S", "Ž": "Z"}


class FontsError(ValueError):
    """No usable font was given."""


def _family(path: Path) -> tuple[str, str]:
    """Name of the family and style: web fonts come in one file per script, which belong together."""
    return str(path.parent), re.sub(r"-latin(-ext)?-|-(cyrillic|greek)(-ext)?-", "-", path.stem)


@dataclass(frozen=True)
class Face:
    """One style of one family, in one or more files; the first that has a character draws it."""

    name: str
    files: tuple[Path, ...]

    @cached_property
    def _fonts(self) -> list[ImageFont.FreeTypeFont]:
        return [ImageFont.truetype(str(path), _EM) for path in self.files]

    @cached_property
    def _absent(self) -> dict[object, Mask]:
        return {font.path: _missing(font) for font in self._fonts}

    @cached_property
    def _masks(self) -> dict[tuple[str, int], Mask]:
        return {}

    def glyph(self, char: str, weight: int = 0) -> Mask:
        """Tight ``uint8`` mask ``(height, width)`` of ``char``; a capital H is ``CAP`` pixels high.

        ``weight`` is the pixels by which strokes grow (or shrink, negative). The five letters Č Ć Đ Š Ž
        are put together from the bare letter and a drawn mark where the face lacks them; any other
        missing character gives an empty ``(CAP, 1)`` mask.
        """
        key = (char, weight)
        if key not in self._masks:
            self._masks[key] = _thicken(self.glyph(char), weight) if weight else self._make(char)
        return self._masks[key]

    def _make(self, char: str) -> Mask:
        for font in self._fonts:
            mask = _raster(font, char)
            if mask is not None and not np.array_equal(mask, self._absent[font.path]):
                return mask
        if char in _BASE:
            return _marked(self.glyph(_BASE[char]), char)
        return np.zeros((CAP, 1), np.uint8)


class Fonts:
    """The faces a generator may choose from, built from any list of font files."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        groups: dict[tuple[str, str], list[Path]] = {}
        for path in sorted(Path(p) for p in paths):
            groups.setdefault(_family(path), []).append(path)
        # the plain Latin file draws first: file names of the extended script sort before it
        self.faces = [Face(k[1], tuple(sorted(v, key=lambda p: "-ext-" in p.name))) for k, v in groups.items()]
        if not self.faces:
            raise FontsError("No font file was given; pass at least one TrueType file, e.g. DejaVuSans-Bold.ttf.")

    def stressed(self, pattern: str, times: int) -> Fonts:
        """The same faces, with those whose name matches ``pattern`` picked ``times`` as often."""
        out = Fonts({f for face in self.faces for f in face.files})
        out.faces = [f for face in self.faces for f in [face] * (times if re.search(pattern, face.name) else 1)]
        return out

    def pick(self, rng: np.random.Generator) -> Face:
        """A face at random, each as likely as any other."""
        return self.faces[int(rng.integers(len(self.faces)))]

    def named(self, pattern: str) -> Fonts:
        """Only the faces whose name matches the regular expression ``pattern``."""
        return Fonts(f for face in self.faces if re.search(pattern, face.name) for f in face.files)


def _raster(font: ImageFont.FreeTypeFont, char: str) -> Mask | None:
    cap = font.getbbox("H")
    left, top, right, bottom = font.getbbox(char)
    if right <= left or bottom <= top or cap[3] <= cap[1]:
        return None
    width, height = int(right - left) + 4, int(bottom - top) + 4
    picture = Image.new("L", (width, height), 0)
    ImageDraw.Draw(picture).text((2 - left, 2 - top), char, font=font, fill=255)
    mask = np.asarray(picture, np.uint8)
    ys, xs = np.nonzero(mask > 60)
    if not len(xs):
        return None
    mask = mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    scale = CAP / float(cap[3] - cap[1])
    size = (max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale)))
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.uint8)


def _missing(font: ImageFont.FreeTypeFont) -> Mask:
    """What the font draws for a character that it does not have."""
    mask = _raster(font, "\U000f1234")
    return np.zeros((1, 1), np.uint8) if mask is None else mask


def _thicken(mask: Mask, weight: int) -> Mask:
    size = 2 * abs(weight) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    padded = cv2.copyMakeBorder(mask, size, size, size, size, cv2.BORDER_CONSTANT, value=0)
    out = cv2.dilate(padded, kernel) if weight > 0 else cv2.erode(padded, kernel)
    ys, xs = np.nonzero(out > 60)
    if not len(xs):
        return mask
    return np.asarray(out[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1], np.uint8)


def _marked(base: Mask, char: str) -> Mask:
    """``base`` with the caron, the acute accent or the bar of ``char``."""
    height, width = base.shape
    stroke = max(6, height // 8)
    if char == "Đ":
        out = cv2.copyMakeBorder(base, 0, 0, stroke, 0, cv2.BORDER_CONSTANT, value=0)
        y = height // 2
        cv2.rectangle(out, (0, y - stroke // 2 + 1), (stroke + width // 2, y + stroke // 2 - 1), 255, -1)
        return np.asarray(out, np.uint8)
    rise = height // 4
    out = cv2.copyMakeBorder(base, rise, 0, 0, 0, cv2.BORDER_CONSTANT, value=0)
    middle, half = width // 2, min(width // 3, height // 5)
    if char == "Ć":
        line = [(middle - half // 3, rise - stroke), (middle + half, stroke // 2)]
    else:
        line = [(middle - half, stroke // 2), (middle, rise - stroke), (middle + half, stroke // 2)]
    cv2.polylines(out, [np.array(line, np.int32)], False, 255, stroke * 3 // 4, cv2.LINE_AA)
    return np.asarray(out, np.uint8)
