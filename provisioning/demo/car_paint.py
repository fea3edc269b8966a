"""The pictures on a car's panels: paint, glass, lamps, wheels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from provisioning.demo import lettering
from provisioning.demo.actors import Colour

SCALE = 240  # pixels a metre

_BLACK = (24, 25, 28, 255)
Rgba = tuple[int, int, int, int]


class Paint:
    """Panels of one colour of paint. All pictures are RGBA, ``SCALE`` pixels a metre where they are flat."""

    def __init__(self, colour: Colour) -> None:
        self._colour = colour

    def _tone(self, light: float) -> Rgba:
        red, green, blue = (int(min(255, value * light)) for value in self._colour)
        return red, green, blue, 255

    def _sheet(self, width: float, height: float, top: float, foot: float) -> Image.Image:
        """A painted sheet whose light changes from ``top`` to ``foot``."""
        size = (max(4, round(width * SCALE)), max(4, round(height * SCALE)))
        light = np.linspace(top, foot, size[1])[:, None, None]
        rows = np.clip(np.array(self._colour) * light + 14 * np.clip(light - 1, 0, 1), 0, 255)
        return Image.fromarray(np.repeat(rows, size[0], 1).astype(np.uint8)).convert("RGBA")

    def roof(self) -> Image.Image:
        return self._sheet(1.4, 1.6, 1.25, 1.1)

    def bonnet(self, wide: float, bevel: tuple[float, float]) -> Image.Image:
        """Its corners are cut where the bumper falls back."""
        picture = self._sheet(wide, 1.0, 1.32, 1.0)
        pen = ImageDraw.Draw(picture)
        width, height = picture.size
        for x0, x1 in ((0.2, 0.27), (0.8, 0.73)):
            pen.line((x0 * width, 0, x1 * width, height), self._tone(0.86), 3)
        cut, rise = bevel[0] * SCALE, bevel[1] * SCALE
        pen.polygon([(0, height), (0, height - rise), (cut, height)], (0, 0, 0, 0))
        pen.polygon([(width, height), (width, height - rise), (width - cut, height)], (0, 0, 0, 0))
        return picture

    def screen(self, rear: bool = False) -> Image.Image:
        """Windscreen or rear window with its pillars; behind the glass seats and people are only guessed at."""
        picture = self._sheet(1.5, 0.8, 0.95, 0.85)
        width, height = picture.size
        pen = ImageDraw.Draw(picture)
        pane = [(22, 14), (width - 22, 14), (width - 16, height - 6), (16, height - 6)]
        glass = np.linspace(112, 44, height)[:, None, None] + np.array([-4, 2, 8])
        inside = Image.fromarray(np.repeat(glass, width, 1).astype(np.uint8)).convert("RGBA")
        shade = ImageDraw.Draw(inside)
        for x in (0.27, 0.73):  # head rests
            shade.rounded_rectangle((x * width - 34, height * 0.5, x * width + 34, height), 20, (26, 28, 32, 255))
        if not rear:
            shade.rectangle((width / 2 - 26, 12, width / 2 + 26, 34), _BLACK)
            shade.rectangle((0, height - 16, width, height), (34, 36, 40, 255))
        shade.polygon([(width * 0.08, 0), (width * 0.4, 0), (width * 0.22, height), (0, height)], (150, 160, 170, 255))
        inside = inside.filter(ImageFilter.GaussianBlur(5))
        mask = Image.new("L", picture.size, 0)
        ImageDraw.Draw(mask).polygon(pane, 255)
        picture.paste(inside, (0, 0), mask)
        pen.line([*pane, pane[0]], _BLACK, 5)
        return picture

    def front(self, wide: float, high: float, badge: str) -> Image.Image:
        picture = self._sheet(wide, high, 1.02, 0.62)
        pen = ImageDraw.Draw(picture)
        width, height = picture.size
        pen.rounded_rectangle((width * 0.3, height * 0.1, width * 0.7, height * 0.34), 12, _BLACK)
        for row in range(3):
            y = height * (0.15 + 0.06 * row)
            pen.line((width * 0.31, y, width * 0.69, y), (110, 112, 116, 255), 2)
        pen.rounded_rectangle((width * 0.2, height * 0.68, width * 0.8, height * 0.88), 14, _BLACK)
        pen.rectangle((0, height * 0.92, width, height), (40, 41, 44, 255))
        for side in (0, 1):
            _head_lamp(pen, width, height, side)
        _emblem(pen, badge, width / 2, height * 0.22, height * 0.09)
        pen.line((width * 0.1, height * 0.6, width * 0.9, height * 0.6), self._tone(0.7), 2)
        return picture.filter(ImageFilter.GaussianBlur(0.7))

    def back(self, wide: float, high: float, badge: str) -> Image.Image:
        picture = self._sheet(wide, high, 1.0, 0.6)
        pen = ImageDraw.Draw(picture)
        width, height = picture.size
        for side in (0, 1):
            x0, x1 = (8, width * 0.22) if side == 0 else (width * 0.78, width - 8)
            pen.rounded_rectangle((x0, height * 0.06, x1, height * 0.4), 12, (150, 18, 22, 255), (60, 8, 10, 255), 3)
            y = height * 0.27
            pen.rectangle((x0 + 10, y, x1 - 10, y + height * 0.07), (222, 150, 60, 255))
        pen.rectangle((0, height * 0.66, width, height * 0.675), self._tone(0.55))
        pen.rectangle((0, height * 0.86, width, height), (38, 39, 42, 255))
        pen.ellipse((width * 0.76, height * 0.88, width * 0.84, height * 0.98), (90, 90, 94, 255))
        _emblem(pen, badge, width / 2, height * 0.06, height * 0.05)
        return picture.filter(ImageFilter.GaussianBlur(0.7))

    def tread(self) -> Image.Image:
        picture = Image.new("RGBA", (50, 120), (26, 26, 28, 255))
        pen = ImageDraw.Draw(picture)
        for y in range(0, 120, 8):
            pen.line((4, y, 46, y + 4), (40, 40, 42, 255), 2)
        return picture

    def side(
        self, long: float, wheels: tuple[float, float], bonnet: Sequence[tuple[float, float]],
        boot: Sequence[tuple[float, float]], closed: bool,
    ) -> Image.Image:  # fmt: skip
        """The left side, front at the left, from the road up to the windows' edge."""
        high = max(bonnet[-1][1], boot[0][1])
        sheet = self._sheet(long, high, 1.0, 0.5)
        height = sheet.size[1]

        def at(point: tuple[float, float]) -> tuple[float, float]:
            return point[0] * SCALE, height - point[1] * SCALE

        outline = [
            (0.2, 0.2),
            (0.2, bonnet[0][1]),
            *bonnet[1:],
            *boot[:1],
            (long - 0.2, boot[-1][1]),
            (long - 0.2, 0.2),
        ]
        mask = Image.new("L", sheet.size, 0)
        cut = ImageDraw.Draw(mask)
        cut.polygon([at(point) for point in outline], 255)
        pen = ImageDraw.Draw(sheet)
        pen.line((at((0.3, high - 0.18)), at((long - 0.3, high - 0.16))), self._tone(1.25), 5)
        pen.rectangle((*at((0.2, 0.3)), *at((long - 0.2, 0.2))), (44, 45, 48, 255))
        for s in (bonnet[-1][0] + 0.2, bonnet[-1][0] + 1.25, bonnet[-1][0] + (1.3 if closed else 2.2)):
            pen.line((at((s, high)), at((s, 0.3))), self._tone(0.5), 3)
            pen.rectangle((*at((s + 0.8, high - 0.12)), *at((s + 0.95, high - 0.16))), self._tone(0.6))
        out = Image.new("RGBA", sheet.size)
        out.paste(sheet, (0, 0), mask)
        for s in wheels:
            _wheel(ImageDraw.Draw(out), *at((s, 0.31)))
        return out

    def cabin(
        self, foot: tuple[float, float], roof: tuple[tuple[float, float], tuple[float, float]],
        back: tuple[float, float], closed: bool,
    ) -> Image.Image:  # fmt: skip
        """Side windows and pillars of the left side, front at the left."""
        floor = min(foot[1], back[1])
        high = max(roof[0][1], roof[1][1]) - floor
        sheet = self._sheet(back[0] - foot[0], high, 0.95, 1.0)
        height = sheet.height

        def at(s: float, h: float) -> tuple[float, float]:
            return (s - foot[0]) * SCALE, height - (h - floor) * SCALE

        (s0, h0), (s1, h1) = roof
        mask = Image.new("L", sheet.size, 0)
        ImageDraw.Draw(mask).polygon(
            [at(*foot), at(s0, h0), at(s1, h1), at(*back), at(back[0], floor), at(foot[0], floor)], 255
        )
        pen = ImageDraw.Draw(sheet)
        end = s0 + 0.75 if closed else s1 + 0.2
        pane = [
            at(foot[0] + 0.25, foot[1] + 0.02),
            at(s0 + 0.06, h0 - 0.07),
            at(min(end, s1), h0 - 0.07),
            at(end, foot[1] + 0.02),
        ]
        pen.polygon(pane, (58, 64, 70, 255))
        pen.polygon(
            [pane[0], pane[1], (pane[1][0] + 90, pane[1][1]), (pane[0][0] + 150, pane[0][1])], (116, 126, 134, 255)
        )
        if not closed:
            middle = at((s0 + s1) / 2 + 0.1, 0)[0]
            pen.rectangle((middle - 9, 0, middle + 9, height), _BLACK)
        out = Image.new("RGBA", sheet.size)
        out.paste(sheet, (0, 0), mask)
        return out


def taxi_sign() -> Image.Image:
    picture = Image.new("RGBA", (260, 85), (246, 232, 160, 255))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 0, 259, 84), outline=(60, 58, 50, 255), width=4)
    words = lettering.text("TAXI", (24, 24, 24), 46)
    picture.alpha_composite(words, ((picture.width - words.width) // 2, 20))
    return picture


def write(picture: Image.Image, words: str, high: float) -> None:
    """Words ``high`` metres high in the middle of the picture of a side."""
    drawn = lettering.text(words, (24, 60, 130), round(high * SCALE))
    if drawn.width > 0.6 * picture.width:
        drawn = drawn.resize((round(0.6 * picture.width), drawn.height))
    picture.alpha_composite(drawn, ((picture.width - drawn.width) // 2, (picture.height - drawn.height) // 2))


def _head_lamp(pen: ImageDraw.ImageDraw, width: int, height: int, side: int) -> None:
    shape = [(0.03, 0.1), (0.26, 0.14), (0.24, 0.36), (0.06, 0.34), (0.015, 0.22)]
    points = [((x if side == 0 else 1 - x) * width, y * height) for x, y in shape]
    pen.polygon(points, (196, 204, 212, 255), (40, 42, 46, 255), 4)
    x, y = (0.15 if side == 0 else 0.85) * width, 0.235 * height
    pen.ellipse((x - 17, y - 15, x + 17, y + 15), (250, 250, 240, 255), (90, 94, 100, 255), 3)
    x = (0.12 if side == 0 else 0.88) * width
    pen.ellipse((x - 13, 0.7 * height, x + 13, 0.7 * height + 22), (205, 208, 210, 255), (30, 30, 32, 255), 3)


def _emblem(pen: ImageDraw.ImageDraw, badge: str, x: float, y: float, size: float) -> None:
    chrome = (214, 218, 222, 255)
    if badge == "rings":
        for step in (-1.8, -0.6, 0.6, 1.8):
            pen.ellipse((x + (step - 1) * size, y - size, x + (step + 1) * size, y + size), outline=chrome, width=4)
    elif badge == "star":
        pen.ellipse((x - size, y - size, x + size, y + size), outline=chrome, width=4)
        for turn in range(3):
            angle = 2 * np.pi * turn / 3 - np.pi / 2
            pen.line((x, y, x + size * np.cos(angle), y + size * np.sin(angle)), chrome, 5)
    else:
        pen.polygon(
            [(x, y - size * 1.2), (x + size * 0.8, y), (x, y + size * 1.2), (x - size * 0.8, y)],
            outline=chrome,
            width=5,
        )


def _wheel(pen: ImageDraw.ImageDraw, x: float, y: float) -> None:
    radius = 0.31 * SCALE
    for share, colour in (
        (1.16, _BLACK),
        (1.0, (30, 30, 32, 255)),
        (0.66, (150, 153, 158, 255)),
        (0.14, (70, 72, 76, 255)),
    ):
        pen.ellipse((x - share * radius, y - share * radius, x + share * radius, y + share * radius), colour)
    for turn in range(5):
        angle = 2 * np.pi * (turn + 0.5) / 5
        across, down = radius * np.cos(angle), radius * np.sin(angle)
        ends = (x + 0.18 * across, y + 0.18 * down, x + 0.62 * across, y + 0.62 * down)
        pen.line(ends, (70, 72, 76, 255), 11)
