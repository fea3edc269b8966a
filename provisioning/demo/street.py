"""The street itself: sky, houses with shops, road, pavements, trees. Painted once, then only looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from provisioning.demo import lettering
from provisioning.demo.raster import Camera, Panel, Pixels, Points, Sprite, cloud, draw, shrink

Colour = tuple[int, int, int]
Floats = NDArray[np.float32]

NEAR_KERB = -0.95  # x in metres; the camera stands at 0, on the near pavement
FAR_KERB = -6.9
HOUSES = -9.2
END = 95.0

_SCALE = 60  # pixels of a façade's picture per metre
_WALLS: Sequence[Colour] = ((196, 178, 150), (168, 174, 176), (206, 196, 176), (178, 142, 120), (188, 186, 160))
_SHOPS = (
    "PEKARA 24h",
    "APOTEKA 011-243",
    "AUTO DELOVI",
    "KAFE STARI GRAD",
    "MENJAČNICA",
    "CVEĆARA RUŽA",
    "SERVIS 381 64 55",
)


def paint(camera: Camera, rng: np.random.Generator) -> Pixels:
    """The empty street as ``camera`` sees it."""
    frame = _ground_and_sky(camera, rng)
    for panel in _houses(rng) + _furniture(rng):
        layer = draw(camera, [panel], cull=False)
        if layer is not None:
            layer.onto(frame)
    return frame


def lamp_post(x: float, z: float) -> list[Panel]:
    """A lamp post on the near kerb: it stands between the camera and the cars behind it."""
    picture = Image.new("RGBA", (24, 600))
    pen = ImageDraw.Draw(picture)
    for column in range(3, 21):
        tone = round(58 + 50 * np.sin((column - 3) / 17 * np.pi) ** 2)
        pen.line((column, 0, column, 600), (tone, tone + 4, tone + 2, 255))
    pen.rectangle((0, 560, 23, 599), (48, 52, 50, 255))
    pen.rectangle((2, 250, 21, 330), (196, 190, 170, 255))
    return [_upright(Sprite(picture), x, z, 0.17, 4.3)]


def _upright(sprite: Sprite, x: float, z: float, width: float, height: float, base: float = 0.0) -> Panel:
    low, high = base, base + height
    x0, x1 = x - width / 2, x + width / 2
    return Panel(sprite, np.array([[x0, high, z], [x1, high, z], [x1, low, z], [x0, low, z]], float))


def _ground_and_sky(camera: Camera, rng: np.random.Generator) -> Pixels:
    width, height = 2 * camera.width, 2 * camera.height
    columns, rows = np.meshgrid((np.arange(width) + 0.5) / 2, (np.arange(height) + 0.5) / 2)
    x, z = camera.ground(columns, rows)
    out = _sky(rng, height, width)
    seen = np.isfinite(z) & (z > 0)
    out[seen] = _ground(x[seen], z[seen], rng)
    return np.clip(shrink(out, camera.width, camera.height), 0, 255).astype(np.uint8)


def _sky(rng: np.random.Generator, height: int, width: int) -> Floats:
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = np.array([226, 196, 158], np.float32) * (1 - down) + np.array([240, 232, 222], np.float32) * down
    white = np.clip(0.5 + 0.4 * cloud(rng, height, width, 300) + 0.1 * cloud(rng, height, width, 60), 0, 1.3)[..., None]
    return np.asarray(sky + white * (np.array([246, 246, 246], np.float32) - sky) * 0.6, np.float32)


def _texture(rng: np.random.Generator) -> Floats:
    side = 1024
    fine = rng.standard_normal((side, side)).astype(np.float32)
    return np.asarray(fine * 0.6 + cloud(rng, side, side, 8) * 0.6 + cloud(rng, side, side, 90) * 0.9, np.float32)


def _ground(x: Points, z: Points, rng: np.random.Generator) -> Floats:
    """Colours ``(n, 3)`` of the points ``x, z`` of the road and the pavements."""
    grain = _texture(rng)
    noise = grain[(z * 60).astype(int) % 1024, (x * 60).astype(int) % 1024] / (1 + z / 12)
    tone = np.full(x.shape, 92.0) + 7 * noise
    lane = np.abs(np.abs((x + 3.02) % 1.95 - 0.975) - 0.45)
    tone -= 7 * np.exp(-((lane / 0.16) ** 2))  # where tyres polish the asphalt
    tone += np.where((np.abs(x + 4.6) < 0.7) & (np.abs(z - 17) < 4), -14, 0)  # a mended trench
    hole = np.hypot(x + 2.75, z - 8.6)
    tone = np.where(hole < 0.33, 62 + 18 * ((x * 14).astype(int) % 2), tone)
    paint_worn = 176 + 9 * noise
    dashes = (np.abs(x + 2.85) < 0.06) & (z % 5 < 2.4)
    parking = (np.abs(x + 4.7) < 0.05) & (z % 1.2 < 0.7)
    zebra = (z > 25) & (z < 28.5) & (x > FAR_KERB) & (x < NEAR_KERB) & ((x + 7) % 1.0 < 0.5)
    tone = np.where(dashes | parking | zebra, paint_worn, tone)
    out = np.stack([tone * 1.0, tone * 0.985, tone * 0.96], 1)
    paved = (x > NEAR_KERB + 0.14) | (x < FAR_KERB - 0.14)
    joint = ((x % 0.4) < 0.018) | ((z % 0.4) < 0.018)
    slab = 138 + 9 * noise + 7 * np.sin(np.floor(x / 0.4) ** 2 * 12.9 + np.floor(z / 0.4) * (78.2 + np.floor(x / 0.4)))
    slab = slab - 26 * joint / (1 + z / 10)
    out = np.where(paved[:, None], slab[:, None] * np.array([0.95, 0.985, 1.0]), out)
    kerb = ((x > NEAR_KERB) & ~paved) | ((x < FAR_KERB) & ~paved)
    out = np.where(kerb[:, None], (168 + 6 * noise - 30 * ((z % 1.0) < 0.02))[:, None], out)
    gutter = np.minimum(np.abs(x - NEAR_KERB + 0.05), np.abs(x - FAR_KERB - 0.05))
    out *= (1 - 0.35 * np.exp(-((gutter / 0.09) ** 2)))[:, None]
    out *= (1 - 0.3 * np.exp(-np.clip(x - HOUSES, 0, 9) / 0.5))[:, None]
    haze = 1 - np.exp(-np.clip(z, 0, 300) / 220)
    return np.asarray(out * (1 - haze[:, None]) + haze[:, None] * np.array([214, 208, 200]), np.float32)


def _houses(rng: np.random.Generator) -> list[Panel]:
    panels: list[Panel] = []
    across = _facade(rng, 34, 12.5, 5)
    panels.append(_upright(Sprite(_hazy(across, 0.35)), -5, END, 34, 12.5))
    z, index, row = 9.0, 0, []
    while z < END:
        long, high = float(rng.uniform(9, 13)), float(rng.uniform(9.5, 13.5))
        picture = _hazy(_facade(rng, long, high, index), min(0.35, z / 260))
        for part in range(4):  # a long wall in perspective needs several sizes of its picture
            piece = picture.crop((part * picture.width // 4, 0, (part + 1) * picture.width // 4 + 1, picture.height))
            near, far = z + long * part / 4, z + long * (part + 1) / 4 + 0.02
            corners = np.array([[HOUSES, high, near], [HOUSES, high, far], [HOUSES, 0, far], [HOUSES, 0, near]])
            row.append(Panel(Sprite(piece), corners))
        z, index = z + long, index + 1
    return panels + row[::-1]


def _hazy(picture: Image.Image, amount: float) -> Image.Image:
    return Image.blend(picture, Image.new("RGBA", picture.size, (205, 212, 220, 255)), amount)


def _facade(rng: np.random.Generator, long: float, high: float, index: int) -> Image.Image:
    size = (round(long * _SCALE), round(high * _SCALE))
    wall = np.array(_WALLS[index % len(_WALLS)], np.float32)
    stain = cloud(rng, size[1], size[0], 40) * 3 + cloud(rng, size[1], size[0], 220) * 6
    base = np.clip(wall + stain[..., None] + rng.normal(0, 2, (size[1], size[0], 1)), 0, 255).astype(np.uint8)
    picture = Image.fromarray(base).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    street_floor = round((high - 4.0) * _SCALE)
    pen.rectangle((0, 0, size[0], 26), tuple(int(v * 0.8) for v in wall))
    pen.rectangle((0, 26, size[0], 32), tuple(int(v * 0.55) for v in wall))
    for top in range(75, street_floor - 120, round(3.1 * _SCALE)):
        for left in range(50, size[0] - 110, round(2.3 * _SCALE)):
            _window(pen, rng, left, top, wall)
    pen.rectangle((0, street_floor, size[0], street_floor + 10), tuple(int(v * 0.75) for v in wall))
    _shop(picture, rng, street_floor + 14, index)
    return picture


def _window(pen: ImageDraw.ImageDraw, rng: np.random.Generator, left: int, top: int, wall: Floats) -> None:
    wide, high = 72, 108
    pen.rectangle(
        (left - 7, top - 9, left + wide + 7, top + high + 5), tuple(int(v) for v in np.minimum(wall + 26, 255))
    )
    glass = int(rng.integers(48, 96))
    pen.rectangle((left, top, left + wide, top + high), (glass, glass + 8, glass + 16))
    pen.polygon([(left, top), (left + 50, top), (left, top + 80)], (glass + 40, glass + 50, glass + 58))
    if rng.random() < 0.45:
        pen.rectangle((left, top, left + wide, top + int(rng.integers(20, 80))), (205, 200, 186))
    for x in (left, left + wide // 2, left + wide):
        pen.line((x, top, x, top + high), (232, 230, 224), 5)
    pen.line((left, top + 34, left + wide, top + 34), (232, 230, 224), 4)
    pen.rectangle((left - 11, top + high + 5, left + wide + 11, top + high + 13), (150, 146, 138))


def _shop(picture: Image.Image, rng: np.random.Generator, top: int, index: int) -> None:
    pen = ImageDraw.Draw(picture)
    width, bottom = picture.size
    hue: Colour = ((38, 92, 60), (140, 32, 40), (32, 58, 110), (120, 84, 30), (60, 60, 66))[index % 5]
    for left in range(20, width - 200, 330):
        right = min(left + 300, width - 16)
        pen.rectangle((left, top + 62, right, bottom - 24), (44, 50, 56))
        high, low = top + 62, bottom - 24
        pen.polygon([(left + 12, low), (left + 120, high), (left + 190, high), (left + 82, low)], (78, 88, 96))
        for shelf in range(2):
            foot = bottom - 30 - 46 * shelf
            pen.line((left + 10, foot, right - 10, foot), (88, 84, 78), 4)
            for x in range(left + 16, right - 30, 26):
                tint = tuple(int(v) for v in 50 + 60 * rng.random() + 55 * rng.random(3))
                pen.rectangle((x, foot - int(rng.integers(8, 36)), x + int(rng.integers(10, 22)), foot), tint)
        pen.rectangle((left, top + 62, right, bottom - 24), outline=(205, 205, 200), width=6)
    pen.rectangle((14, top, width - 14, top + 56), hue)
    words = lettering.text(_SHOPS[index % len(_SHOPS)], (244, 240, 226), 32)
    picture.alpha_composite(words, (max(0, (width - words.width) // 2), top + 12))
    pen.rectangle((0, bottom - 20, width, bottom), (96, 94, 90))


def _furniture(rng: np.random.Generator) -> list[Panel]:
    panels = [_upright(_tree(rng), -8.0, z, 4.2, 7.2) for z in (72.0, 59.0, 44.0)]
    panels.append(_upright(_sign("APOTEKA", (30, 120, 70)), -8.6, 33, 1.1, 0.9, 2.8))
    panels.append(_upright(_tree(rng), -8.0, 29.0, 4.2, 7.2))
    panels.append(_upright(_sign("RENT A CAR\n011 334-2211", (190, 150, 30)), -8.4, 21.0, 1.5, 1.0, 2.4))
    panels.append(_upright(Sprite(Image.new("RGBA", (8, 200), (70, 74, 72, 255))), -8.4, 21.02, 0.09, 2.4))
    return panels


def _sign(words: str, ground: Colour) -> Sprite:
    lines = words.split("\n")
    picture = Image.new("RGBA", (300, 180 if len(lines) == 1 else 200), (*ground, 255))
    ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=(235, 235, 230), width=8)
    for row, line in enumerate(lines):
        drawn = lettering.text(line, (250, 250, 245), 40)
        drawn = drawn.resize((min(drawn.width, 264), drawn.height))
        y = round((row + 0.5) * picture.height / len(lines) - drawn.height / 2)
        picture.alpha_composite(drawn, ((picture.width - drawn.width) // 2, y))
    return Sprite(picture)


def _tree(rng: np.random.Generator) -> Sprite:
    wide, high = 440, 600
    picture = Image.new("RGBA", (wide, high))
    pen = ImageDraw.Draw(picture)
    pen.polygon([(208, 240), (232, 240), (240, 600), (200, 600)], (74, 62, 50, 255))
    for _ in range(900):
        angle, reach = rng.uniform(0, 2 * np.pi), np.sqrt(rng.random())
        x, y = 220 + 190 * reach * np.cos(angle), 190 + 165 * reach * np.sin(angle)
        light = 1.15 - 0.75 * (y / 360) + rng.normal(0, 0.12)
        size = rng.uniform(6, 20)
        green = tuple(int(np.clip(v * light, 0, 255)) for v in (74, 104, 48))
        pen.ellipse((x - size, y - size * 0.8, x + size, y + size * 0.8), (*green, 255))
    return Sprite(picture.filter(ImageFilter.GaussianBlur(1.2)))
