"""Cars as bodies of flat panels: a side profile, drawn out to the car's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from provisioning.demo import car_paint, lettering
from provisioning.demo.actors import Car
from provisioning.demo.raster import Panel, Points, Sprite

FRAME = (0.545, 0.155)  # metres: the holder around a plate of 0.52 x 0.113


@dataclass(frozen=True)
class Body:
    """Outline in metres: ``(behind the front, above the road)``; heights of the two plates' middles."""

    wide: float
    bonnet: Sequence[tuple[float, float]]  # from the bumper's top edge to the windscreen's foot
    roof: tuple[tuple[float, float], tuple[float, float]]
    boot: Sequence[tuple[float, float]]  # from the rear window's foot to the rear bumper's top edge
    long: float
    wheels: tuple[float, float]
    front_plate: float
    rear_plate: float
    closed: bool = False  # a van: no side windows behind the driver


BODIES = {
    "hatchback": Body(1.72, ((0.05, 0.76), (0.98, 1.0)), ((1.72, 1.46), (3.2, 1.44)), ((3.92, 1.02), (4.0, 0.94)), 4.05,
                      (0.75, 3.3), 0.47, 0.72),
    "saloon": Body(1.76, ((0.05, 0.74), (1.12, 0.98)), ((1.9, 1.42), (3.05, 1.4)), ((3.75, 1.04), (4.5, 1.0)), 4.55,
                   (0.82, 3.6), 0.46, 0.74),
    "van": Body(1.86, ((0.05, 0.92), (0.62, 1.18)), ((1.25, 1.98), (4.75, 1.98)), ((4.82, 1.2), (4.85, 0.92)), 4.9,
                (0.8, 3.9), 0.52, 0.82, closed=True),
}  # fmt: skip

_SILL = 0.2
_BEVEL = (0.30, 0.20)  # the corners of bumpers: metres inwards, metres along


class Model:
    """One car's panels in its own coordinates: right of the driver, above the road, behind the front."""

    def __init__(self, car: Car) -> None:
        self.body = BODIES[car.shape]
        self._panels: list[tuple[Sprite, Points]] = []
        self._half = self.body.wide / 2
        self._inner = self._half - 0.13  # the roof is narrower than the body
        paint = car_paint.Paint(car.colour)
        self._wheels(paint)
        self._sides(car, paint)
        self._front(car, paint)
        self._back(car, paint)
        roof = self.body.roof
        self._across(Sprite(paint.roof()), roof[0], roof[1], self._inner, self._inner)
        if car.taxi:
            self._taxi_sign()
        self._plates(car)
        self._shadow = Sprite(_shadow())

    def _add(self, sprite: Sprite, corners: Sequence[tuple[float, float, float]]) -> None:
        self._panels.append((sprite, np.array(corners, float)))

    def _across(
        self, sprite: Sprite, low: tuple[float, float], high: tuple[float, float], near: float, far: float
    ) -> None:
        """A panel over the width, its picture's foot towards the front, at ``low`` = (behind, above)."""
        (s0, h0), (s1, h1) = low, high
        self._add(sprite, ((far, h1, s1), (-far, h1, s1), (-near, h0, s0), (near, h0, s0)))

    def _wheels(self, paint: car_paint.Paint) -> None:
        tyre = Sprite(paint.tread())
        for s in self.body.wheels:
            for side in (-1, 1):
                outer, inner = side * (self._half - 0.03), side * (self._half - 0.24)
                left, right = max(outer, inner), min(outer, inner)
                for at, (a, b) in ((s - 0.2, (left, right)), (s + 0.2, (right, left))):
                    self._add(tyre, ((a, 0.5, at), (b, 0.5, at), (b, 0.03, s), (a, 0.03, s)))

    def _sides(self, car: Car, paint: car_paint.Paint) -> None:
        body, parts = self.body, 6
        lower = paint.side(body.long, body.wheels, body.bonnet, body.boot, body.closed)
        glass = paint.cabin(body.bonnet[-1], body.roof, body.boot[0], body.closed)
        high = lower.height / car_paint.SCALE
        floor = min(body.bonnet[-1][1], body.boot[0][1])
        for side in (-1, 1):
            whole, upper = lower.copy(), glass.copy()
            if side > 0:
                whole, upper = (picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for picture in (lower, glass))
            if car.side_text:
                car_paint.write(upper if body.closed else whole, car.side_text, 0.3 if body.closed else 0.16)
            for part in range(parts):
                left, right = part * whole.width // parts, min((part + 1) * whole.width // parts + 2, whole.width)
                s0, s1 = left / car_paint.SCALE, right / car_paint.SCALE
                if side > 0:
                    s0, s1 = body.long - s0, body.long - s1
                x = side * self._half
                piece = Sprite(whole.crop((left, 0, right, whole.height)))
                self._add(piece, ((x, high, s0), (x, high, s1), (x, 0, s1), (x, 0, s0)))
            s0, s1 = body.bonnet[-1][0], body.boot[0][0]
            s0, s1 = (s0, s1) if side < 0 else (s1, s0)
            top, foot = side * self._inner, side * self._half
            roof = body.roof[0][1]
            self._add(Sprite(upper), ((top, roof, s0), (top, roof, s1), (foot, floor, s1), (foot, floor, s0)))

    def _front(self, car: Car, paint: car_paint.Paint) -> None:
        body = self.body
        foot, screen = body.bonnet
        self._across(Sprite(paint.screen()), screen, body.roof[0], self._half - 0.03, self._inner)
        self._across(Sprite(paint.bonnet(body.wide, _BEVEL)), (0.0, foot[1]), screen, self._half, self._half - 0.02)
        slope = (screen[1] - foot[1]) / screen[0]
        self._bumper(paint.front(body.wide, foot[1] - _SILL, car.badge), foot[1], 0.0, 1, slope * _BEVEL[1])

    def _back(self, car: Car, paint: car_paint.Paint) -> None:
        body = self.body
        window, edge = body.boot
        half, inner = self._half, self._inner
        (s0, h0), (s1, h1) = body.roof[1], window
        glass = Sprite(paint.screen(rear=True))
        self._add(glass, ((-inner, h0, s0), (inner, h0, s0), (half - 0.03, h1, s1), (-half + 0.03, h1, s1)))
        (s0, h0), (s1, h1) = window, (body.long, edge[1])
        lid = Sprite(paint.bonnet(body.wide, _BEVEL))
        self._add(lid, ((-half, h0, s0), (half, h0, s0), (half, h1, s1), (-half, h1, s1)))
        slope = (window[1] - edge[1]) / (body.long - window[0])
        rise = slope * min(_BEVEL[1], body.long - window[0])
        self._bumper(paint.back(body.wide, edge[1] - _SILL, car.badge), edge[1], body.long, -1, rise)

    def _bumper(self, picture: Image.Image, top: float, at: float, facing: int, rise: float) -> None:
        """Front (``facing`` 1) or back (-1): a flat middle and two corners that fall back and reach ``rise`` higher."""
        inwards, along = _BEVEL
        cut = round(inwards * car_paint.SCALE)
        middle, edge = self._half - inwards, at + facing * along
        width = picture.width
        pieces = (
            (picture.crop((0, 0, cut + 2, picture.height)), (self._half, edge, top + rise), (middle - 0.006, at, top)),
            (picture.crop((width - cut - 2, 0, width, picture.height)), (-middle + 0.006, at, top),
             (-self._half, edge, top + rise)),
            (picture.crop((cut, 0, width - cut, picture.height)), (middle, at, top), (-middle, at, top)),
        )  # fmt: skip
        for piece, (x0, s0, h0), (x1, s1, h1) in pieces:
            near, far = facing * x0, facing * x1
            self._add(Sprite(piece), ((near, h0, s0), (far, h1, s1), (far, _SILL, s1), (near, _SILL, s0)))

    def _taxi_sign(self) -> None:
        """A lit box across the roof."""
        sign, (s, foot) = Sprite(car_paint.taxi_sign()), self.body.roof[0]
        for at, x in ((s + 0.3, 0.26), (s + 0.42, -0.26)):
            self._add(sign, ((x, foot + 0.15, at), (-x, foot + 0.15, at), (-x, foot - 0.02, at), (x, foot - 0.02, at)))

    def _plates(self, car: Car) -> None:
        holder = Sprite(_holder(car.plate, car.dealer))
        for height, at, facing in (
            (self.body.front_plate, -0.02, 1),
            (self.body.rear_plate, self.body.long + 0.02, -1),
        ):
            x = facing * FRAME[0] / 2
            top, foot = height + 0.113 / 2 + 0.012, height + 0.113 / 2 + 0.012 - FRAME[1]
            self._add(holder, ((x, top, at), (-x, top, at), (-x, foot, at), (x, foot, at)))

    def panels(self, x: float, z: float, heading: tuple[float, float]) -> list[Panel]:
        """The car with its middle at ``x, z``, driving along the unit vector ``heading`` (x, z); back to front."""
        out = []
        for sprite, local in self._panels:
            out.append(Panel(sprite, self._placed(local, x, z, heading)))
        # stable: of panels equally far, the one added later lies on top
        out.sort(key=lambda panel: -round(float(np.hypot(*panel.corners[:, ::2].mean(0))), 1))
        return [self._shadow_panel(x, z, heading), *out]

    def plate_corners(self, x: float, z: float, heading: tuple[float, float], towards: bool) -> Points:
        """World corners ``(4, 3)`` of the plate that faces the camera."""
        facing, at, height = (
            (1, -0.02, self.body.front_plate) if towards else (-1, self.body.long + 0.02, self.body.rear_plate)
        )
        half, top, foot = facing * 0.26, height + 0.0565, height - 0.0565
        local = np.array([[half, top, at], [-half, top, at], [-half, foot, at], [half, foot, at]])
        return self._placed(local, x, z, heading)

    def _placed(self, local: Points, x: float, z: float, heading: tuple[float, float]) -> Points:
        ahead = self.body.long / 2 - local[:, 2]
        right = (heading[1], -heading[0])
        return np.stack(
            [
                x + ahead * heading[0] + local[:, 0] * right[0],
                local[:, 1],
                z + ahead * heading[1] + local[:, 0] * right[1],
            ],
            1,
        )

    def _shadow_panel(self, x: float, z: float, heading: tuple[float, float]) -> Panel:
        half, s0, s1 = self._half + 0.25, -0.3, self.body.long + 0.3
        flat = np.array([[half, 0.01, s1], [-half, 0.01, s1], [-half, 0.01, s0], [half, 0.01, s0]])
        return Panel(self._shadow, self._placed(flat, x, z, heading))


def _shadow() -> Image.Image:
    alpha = Image.new("L", (110, 240), 0)
    alpha.paste(215, (18, 18, 92, 222))
    alpha = alpha.filter(ImageFilter.GaussianBlur(9))
    picture = Image.new("RGBA", alpha.size, (10, 10, 12, 0))
    picture.putalpha(alpha)
    return picture


def _holder(registration: str, dealer: str) -> Image.Image:
    """The plate in its black holder, 2 pixels a millimetre."""
    picture = Image.new("RGBA", (round(FRAME[0] * 2000), round(FRAME[1] * 2000)), (18, 18, 20, 255))
    plate = lettering.plate(registration)
    picture.alpha_composite(plate, ((picture.width - plate.width) // 2, 24))
    if dealer:
        words = lettering.text(dealer, (215, 215, 210), 26)
        picture.alpha_composite(words, ((picture.width - words.width) // 2, picture.height - 44))
    return picture
