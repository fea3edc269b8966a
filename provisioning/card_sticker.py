"""The sticker on the pole: a QR code that leads to the camera's public page. Uses segno."""

from __future__ import annotations

import html
import io
import re

import segno

from edge.errors import VidikError
from edge.grant.words import LANGUAGES
from provisioning.card_page import sticker_words

_QUIET = 4  # modules of white around the code, ISO/IEC 18004
_WIDTH = 100.0  # millimetres of the sticker
_LINE = 5.2  # millimetres
_PNG_SCALE = 12  # pixels a module


class StickerError(VidikError):
    """No sticker can be made of this address."""


def svg(address: str, camera: str) -> bytes:
    """A sticker 100 mm wide: the code, and in every language what it is for."""
    code = _code(address)
    modules = code.symbol_size(border=_QUIET)[0]
    texts = [text for language in LANGUAGES for text in sticker_words(camera, language)]
    height = _WIDTH + _LINE * (len(texts) + 1)
    dark = [(x, y) for y, row in enumerate(code.matrix, _QUIET) for x, module in enumerate(row, _QUIET) if module]
    squares = "".join(f"M{x} {y}h1v1h-1z" for x, y in dark)
    lines = [_text(text, _WIDTH + _LINE * (row + 1), heading=row % 2 == 0) for row, text in enumerate(texts)]
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH:g}mm" height="{height:g}mm" '
        f'viewBox="0 0 {_WIDTH:g} {height:g}"><rect width="100%" height="100%" fill="#fff"/>'
        f'<path transform="scale({_WIDTH / modules:.6f})" d="{squares}"/>{"".join(lines)}</svg>\n'
    ).encode()


def png(address: str) -> bytes:
    """The code alone, for layouts of one's own."""
    out = io.BytesIO()
    _code(address).save(out, kind="png", scale=_PNG_SCALE, border=_QUIET)
    return out.getvalue()


def _text(text: str, y: float, heading: bool) -> str:
    size, weight = (4.4, 700) if heading else (3.6, 400)
    return (
        f'<text x="{_WIDTH / 2:g}" y="{y:.1f}" font-family="sans-serif" text-anchor="middle" font-size="{size}" '
        f'font-weight="{weight}">{html.escape(text)}</text>'
    )


def _code(address: str) -> segno.QRCode:
    if not re.fullmatch(r"https://[A-Za-z0-9.:\[\]-]+(/[!-~]*)?", address) or len(address) > 300:
        raise StickerError(f"{address!r} is no address for a sticker: use https and at most 300 plain characters.")
    return segno.make_qr(address, error="q", boost_error=True)  # a quarter of it may be scratched off
