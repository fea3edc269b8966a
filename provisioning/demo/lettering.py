"""Text and Serbian plates as pictures, in the one typeface that comes with Matplotlib's wheel."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from edge.errors import VidikError

Colour = tuple[int, int, int]

MILLIMETRES = (520, 113)
"""Width and height of a plate."""

_INK: Colour = (22, 22, 24)
_SHIELD = 108  # pixels of a plate that the shield takes, and the hyphen
_HYPHEN = 48
_CYRILLIC = {
    "BG": "БГ", "NS": "НС", "NI": "НИ", "KG": "КГ", "SU": "СУ", "ŠA": "ША", "ČA": "ЧА", "PA": "ПА",
}  # fmt: skip


def package_file(package: str, relative: str) -> Path:
    """A file that an installed package brings. Raises VidikError when the package is not there."""
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        path = Path(folder) / relative
        if path.is_file():
            return path
    raise VidikError(
        f"{relative} of the package {package} is missing: install the extra 'demo' (pip install 'vidik[demo]')"
    )


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold with letters ``size`` pixels high (of the em)."""
    return ImageFont.truetype(str(package_file("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf")), size)


def text(words: str, colour: Colour, height: int, squeeze: float = 1.0) -> Image.Image:
    """``words`` on transparent ground, cropped; capitals are ``height`` pixels high."""
    face = font(round(height / 0.73))
    x0, y0, x1, y1 = (round(v) for v in face.getbbox(words))
    out = Image.new("RGBA", (max(1, x1 - x0), max(1, y1 - y0)), (*colour, 0))
    ImageDraw.Draw(out).text((-x0, -y0), words, (*colour, 255), face)
    return out.resize((max(1, round(out.width * squeeze)), out.height), Image.Resampling.LANCZOS)


def plate(registration: str) -> Image.Image:
    """A Serbian plate, 2 pixels a millimetre, from its text with signs: ``"BG 1234-AB"``."""
    scale = 2
    width, height = MILLIMETRES[0] * scale, MILLIMETRES[1] * scale
    out = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(out)
    pen.rounded_rectangle((0, 0, width - 1, height - 1), 18, (238, 238, 234), (20, 20, 20), 5)
    pen.rounded_rectangle((6, 6, 86, height - 7), 12, (20, 55, 140))
    band = text("SRB", (245, 245, 245), 30, 0.85)
    out.alpha_composite(band, (46 - band.width // 2, height - 60))
    area, rest = registration.split(" ")
    numbers, letters = rest.split("-")
    share = min(108.0, (width - 24 - 98 - _SHIELD - _HYPHEN) / (len(area) + len(numbers) + len(letters)))
    at = _row(out, area, 98, share)
    _shield(out, pen, round(at + (_SHIELD - 84) / 2), _CYRILLIC.get(area, area))
    at = _row(out, numbers, at + _SHIELD, share)
    pen.rectangle((at + 8, height // 2 - 8, at + _HYPHEN - 8, height // 2 + 8), _INK)
    _row(out, letters, at + _HYPHEN, share)
    return out


def _row(out: Image.Image, characters: str, left: float, share: float) -> float:
    """Characters side by side, 75 mm high, each centred in ``share`` pixels; returns where the last one's end."""
    base = out.height // 2 + 75
    for index, char in enumerate(characters):
        glyph = text(char, _INK, 150, 0.64)
        size = (min(glyph.width, round(share) - 12), 174 if char in "ČĆŠŽ" else 150)
        glyph = glyph.resize(size, Image.Resampling.LANCZOS)
        out.alpha_composite(glyph, (round(left + share * (index + 0.5) - glyph.width / 2), base - glyph.height))
    return left + share * len(characters)


def _shield(out: Image.Image, pen: ImageDraw.ImageDraw, left: int, cyrillic: str) -> None:
    outline = [(left, 44), (left + 84, 44), (left + 84, 100), (left + 42, 134), (left, 100)]
    pen.polygon(outline, (190, 30, 40), (120, 20, 25), 3)
    pen.rectangle((left + 36, 50, left + 48, 124), (240, 240, 240))
    pen.rectangle((left + 6, 74, left + 78, 86), (240, 240, 240))
    code = text(cyrillic, _INK, 38, 0.8)
    out.alpha_composite(code, (left + 42 - code.width // 2, 148))
