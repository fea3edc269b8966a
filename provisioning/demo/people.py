"""Pedestrians: a small skeleton that walks, dressed in flat limbs that turn to the camera."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from provisioning.demo.actors import Colour, Walker
from provisioning.demo.photos import head
from provisioning.demo.raster import Panel, Points, Sprite

_SCALE = 420  # pixels of a coat's picture per metre
_HEAD = 0.24  # metres from crown to chin
_STRIDE = 1.35  # metres of two steps
_COAT = (0.46, 0.66)  # width and height of the coat's picture in metres
_UP = np.array([0.0, 1.0, 0.0])


class Model:
    """One pedestrian's pictures; ``panels`` poses them."""

    def __init__(self, walker: Walker) -> None:
        self._walker = walker
        self._leg, self._sleeve = Sprite(_limb(walker.trousers)), Sprite(_limb(walker.coat))
        self._shoe, self._hand = Sprite(_limb((34, 30, 28))), Sprite(_limb((196, 158, 132)))
        self._coat = Sprite(_coat(walker.coat, walker.collar, bool(walker.person)))
        self._collar = Sprite(_collar(walker.coat, walker.collar))
        self._shadow = Sprite(_shadow())
        if walker.person:
            picture, self._face, (crown, chin) = head(walker.person)
            self._metre = (chin - crown) / _HEAD
            self._chin = chin
        else:
            picture = _hood(walker.hood)
            self._face, self._metre, self._chin = (0.0, 0.0, 0.0, 0.0), 200 / _HEAD, 230
        self._size = picture.size
        self._head = Sprite(picture)

    def panels(self, x: float, z: float, heading: tuple[float, float], walked: float) -> list[Panel]:
        """The pedestrian at ``x, z`` going along the unit vector ``heading``, after ``walked`` metres."""
        phase = 2 * np.pi * walked / _STRIDE
        ahead = np.array([heading[0], 0.0, heading[1]])
        side = np.array([heading[1], 0.0, -heading[0]])
        hips, legs = self._legs(phase, ahead, side)
        at = np.array([x, 0.0, z]) + side * 0.018 * np.sin(phase)
        front = np.array([-x, 0.0, -z]) / max(1e-6, float(np.hypot(x, z)))
        parts = [(self._flat(self._shadow, at, side, ahead), -9.0)]
        for sprite, a, b, widths in legs:
            parts.append((_between(sprite, at + a, at + b, widths, front), float(np.dot(a + b, front)) / 2 - 1))
        across = np.array([-front[2], 0.0, front[0]])  # to the right of the picture
        parts.append((self._upright(self._coat, at + _UP * (hips - 0.12), across, _COAT), 0.02))
        for sprite, a, b, widths in self._arms(phase, hips, ahead, side):
            parts.append((_between(sprite, at + a, at + b, widths, front), float(np.dot(a + b, front)) / 2 + 0.1))
        panels = [panel for panel, _ in sorted(parts, key=lambda part: part[1])]
        panels.append(Panel(self._head, self._head_corners(at, hips, across, phase)))
        if self._walker.person:
            panels.append(self._upright(self._collar, at + _UP * (hips + 0.46), across, (0.3, 0.13)))
        return panels

    def face_corners(self, x: float, z: float, heading: tuple[float, float], walked: float) -> Points:
        """World corners of the face's box, brow to chin; only for a person with a face."""
        phase = 2 * np.pi * walked / _STRIDE
        ahead, side = np.array([heading[0], 0.0, heading[1]]), np.array([heading[1], 0.0, -heading[0]])
        hips, _ = self._legs(phase, ahead, side)
        at = np.array([x, 0.0, z]) + side * 0.018 * np.sin(phase)
        across = np.array([z, 0.0, -x]) / max(1e-6, float(np.hypot(x, z)))
        a, b, _, d = self._head_corners(at, hips, across, phase)
        x0, y0, x1, y1 = self._face
        width, height = self._size
        spots = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        return np.array([a + (b - a) * u / width + (d - a) * v / height for u, v in spots])

    def _legs(
        self, phase: float, ahead: Points, side: Points
    ) -> tuple[float, list[tuple[Sprite, Points, Points, tuple[float, float]]]]:
        """Height of the hips such that the lower foot stands on the ground, and the legs' pieces."""
        tall = self._walker.tall
        bone = 0.245 * tall
        chains = []
        for foot, turn in ((-1, 0.0), (1, np.pi)):
            swing = 0.4 * np.sin(phase + turn)
            bend = 0.12 + 0.75 * max(0.0, float(np.cos(phase + turn))) ** 2
            hip = side * 0.085 * foot
            knee = hip + bone * (ahead * np.sin(swing) - _UP * np.cos(swing))
            ankle = knee + bone * (ahead * np.sin(swing - bend) - _UP * np.cos(swing - bend))
            toe = ankle + 0.16 * (ahead * np.cos(swing - bend + 0.2) + _UP * np.sin(swing - bend + 0.2)) - _UP * 0.05
            chains.append((hip, knee, ankle, toe))
        hips = 0.08 - min(float(ankle[1]) for _, _, ankle, _ in chains)
        lift = _UP * hips
        pieces = []
        for hip, knee, ankle, toe in chains:
            pieces.append((self._shoe, ankle + lift - _UP * 0.03, toe + lift, (0.1, 0.1)))
            pieces.append((self._leg, knee + lift, ankle + lift, (0.15, 0.12)))
            pieces.append((self._leg, hip + lift, knee + lift, (0.19, 0.15)))
        return hips, pieces

    def _arms(
        self, phase: float, hips: float, ahead: Points, side: Points
    ) -> list[tuple[Sprite, Points, Points, tuple[float, float]]]:
        bone = 0.165 * self._walker.tall
        pieces = []
        for arm, turn in ((-1, np.pi), (1, 0.0)):
            swing = 0.34 * np.sin(phase + turn)
            shoulder = side * 0.18 * arm + _UP * (hips + 0.435)
            out = side * 0.13 * arm
            elbow = shoulder + bone * (ahead * np.sin(swing) - _UP * np.cos(swing) + out)
            bent = swing + 0.3
            hand = elbow + bone * 0.92 * (ahead * np.sin(bent) - _UP * np.cos(bent) + out * 0.4)
            pieces.append((self._hand, hand, hand + (hand - elbow) * 0.3, (0.075, 0.07)))
            pieces.append((self._sleeve, elbow, hand, (0.11, 0.1)))
            pieces.append((self._sleeve, shoulder, elbow, (0.13, 0.115)))
        return pieces

    def _head_corners(self, at: Points, hips: float, across: Points, phase: float) -> Points:
        """The head nods and rolls a little with each step."""
        chin = at + _UP * (hips + 0.575)
        roll = 0.03 * np.sin(phase)
        right = across * np.cos(roll) + _UP * np.sin(roll)
        up = _UP * np.cos(roll) - across * np.sin(roll)
        width, height = (value / self._metre for value in self._size)
        below = height - self._chin / self._metre
        foot, top = chin - up * below, chin + up * (height - below)
        return np.array(
            [top - right * width / 2, top + right * width / 2, foot + right * width / 2, foot - right * width / 2]
        )

    @staticmethod
    def _upright(sprite: Sprite, foot: Points, across: Points, size: tuple[float, float]) -> Panel:
        half, top = across * size[0] / 2, foot + _UP * size[1]
        return Panel(sprite, np.array([top - half, top + half, foot + half, foot - half]))

    @staticmethod
    def _flat(sprite: Sprite, at: Points, side: Points, ahead: Points) -> Panel:
        corners = [at + 0.34 * ahead - 0.34 * side, at + 0.34 * ahead + 0.34 * side,
                   at - 0.34 * ahead + 0.34 * side, at - 0.34 * ahead - 0.34 * side]  # fmt: skip
        return Panel(sprite, np.array(corners))


def _between(sprite: Sprite, a: Points, b: Points, widths: tuple[float, float], front: Points) -> Panel:
    """A limb from ``a`` to ``b``, as wide as ``widths`` there, turned to whoever looks from ``front``."""
    along = b - a
    length = float(np.linalg.norm(along))
    across = np.cross(front, along / max(1e-6, length))
    norm = float(np.linalg.norm(across))
    across = across / norm if norm > 0.05 else np.cross(front, _UP)
    more = along / max(1e-6, length)
    a, b = a - more * widths[0] * 0.45, b + more * widths[1] * 0.45
    left, right = across * widths[0] / 2, across * widths[1] / 2
    return Panel(sprite, np.array([a - left, a + left, b + right, b - right]))


def _limb(colour: Colour) -> Image.Image:
    """A capsule lit from the side."""
    width, height = 72, 220
    light = 0.62 + 0.5 * np.sin(np.linspace(0.35, np.pi - 0.1, width)) ** 1.4
    folds = 1 + 0.05 * np.sin(np.linspace(0, 22, height) + np.sin(np.linspace(0, 9, height)) * 2)
    shade = np.clip(folds[:, None, None] * light[None, :, None] * np.array(colour), 0, 255).astype(np.uint8)
    picture = Image.fromarray(shade).convert("RGBA")
    mask = Image.new("L", (2 * width, 2 * height), 0)
    ImageDraw.Draw(mask).rounded_rectangle((3, 3, 2 * width - 4, 2 * height - 4), width - 4, 255)
    picture.putalpha(mask.resize((width, height)))
    return picture


def _coat(colour: Colour, collar: Colour, buttons: bool) -> Image.Image:
    width, height = (round(metres * _SCALE) for metres in _COAT)
    across = np.linspace(-1, 1, width)
    light = 0.72 + 0.36 * np.sqrt(np.clip(1 - (across * 0.92 + 0.12) ** 2, 0, 1))
    down = np.linspace(1.05, 0.88, height)
    wrinkle = 1 + 0.03 * np.sin(across[None, :] * 9 + np.linspace(0, 7, height)[:, None] * 2)
    shade = np.clip((wrinkle * down[:, None] * light[None, :])[..., None] * np.array(colour), 0, 255).astype(np.uint8)
    picture = Image.fromarray(shade).convert("RGBA")
    pen = ImageDraw.Draw(picture)
    dark = tuple(int(value * 0.55) for value in colour)
    if buttons:
        pen.polygon([(width * 0.36, 0), (width * 0.5, height * 0.3), (width * 0.64, 0)], (*collar, 255))
        pen.line([(width * 0.34, 0), (width * 0.5, height * 0.31), (width * 0.66, 0)], (*dark, 255), 5)
        pen.line((width * 0.5, height * 0.3, width * 0.5, height), (*dark, 255), 4)
        for row in range(3):
            y = height * (0.42 + 0.17 * row)
            pen.ellipse((width * 0.5 + 8, y - 5, width * 0.5 + 18, y + 5), (*dark, 255))
        for x0, x1 in ((0.2, 0.36), (0.64, 0.8)):
            pen.line((x0 * width, height * 0.72, x1 * width, height * 0.74), (*dark, 255), 4)
    else:
        pen.line((width * 0.5, height * 0.1, width * 0.5, height), (*dark, 255), 3)
    mask = Image.new("L", (2 * width, 2 * height), 0)
    outline = [(0.36, 0.0), (0.64, 0.0), (0.8, 0.045), (0.93, 0.12), (0.95, 0.3), (0.86, 0.5), (0.85, 0.75),
               (0.89, 1.0), (0.11, 1.0), (0.15, 0.75), (0.14, 0.5), (0.05, 0.3), (0.07, 0.12),
               (0.2, 0.045)]  # fmt: skip
    ImageDraw.Draw(mask).polygon([(x * 2 * width, y * 2 * height) for x, y in outline], 255)
    picture.putalpha(mask.resize((width, height)).filter(ImageFilter.GaussianBlur(2)))
    return picture


def _collar(coat: Colour, collar: Colour) -> Image.Image:
    """Collar and lapels, over the foot of the neck."""
    picture = Image.new("RGBA", (260, 112))
    pen = ImageDraw.Draw(picture)
    light = tuple(min(255, int(value * 1.12)) for value in coat)
    pen.polygon([(84, 22), (130, 62), (176, 22), (186, 44), (130, 104), (74, 44)], (*collar, 255))
    pen.polygon([(80, 16), (58, 44), (92, 86), (128, 108), (96, 58)], (*light, 255))
    pen.polygon([(180, 16), (202, 44), (168, 86), (132, 108), (164, 58)], (*light, 255))
    return picture.filter(ImageFilter.GaussianBlur(1.2))


def _hood(colour: Colour) -> Image.Image:
    """A head seen from behind in the hood of its coat: nothing that could be taken for a face."""
    picture = Image.new("RGBA", (200, 270))
    pen = ImageDraw.Draw(picture)
    outline = [(100, 28), (140, 36), (168, 66), (178, 110), (174, 170), (166, 214), (176, 268), (24, 268), (34, 214),
               (26, 170), (22, 110), (32, 66), (60, 36)]  # fmt: skip
    pen.polygon(outline, (*colour, 255))
    for x, light in ((100, 0.82), (101, 0.7), (102, 0.9)):
        pen.line((x, 30, x, 268), (*(int(value * light) for value in colour), 255), 2)
    pen.line([(34, 214), (100, 232), (166, 214)], (*(int(value * 0.78) for value in colour), 255), 4)
    return picture.filter(ImageFilter.GaussianBlur(1.5))


def _shadow() -> Image.Image:
    alpha = Image.new("L", (80, 80), 0)
    ImageDraw.Draw(alpha).ellipse((18, 18, 62, 62), 170)
    picture = Image.new("RGBA", alpha.size, (10, 10, 12, 0))
    picture.putalpha(alpha.filter(ImageFilter.GaussianBlur(8)))
    return picture
