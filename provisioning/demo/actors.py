"""Who moves through the scene and how: plain data, so that a scenario is a list of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]
Key = tuple[float, float, float]
"""At time t (seconds) the actor's middle is at x, z (metres): ``(t, x, z)``."""


@dataclass(frozen=True)
class Path:
    """A way over the ground through key points, smooth in time; before and after them nobody is there."""

    keys: Sequence[Key]

    @property
    def begins(self) -> float:
        return self.keys[0][0]

    @property
    def ends(self) -> float:
        return self.keys[-1][0]

    def at(self, time: float) -> tuple[float, float]:
        """x and z at ``time``: cubic Hermite interpolation with finite-difference tangents."""
        times, points = np.array([key[0] for key in self.keys]), np.array([key[1:] for key in self.keys])
        if len(times) == 1:
            return float(points[0, 0]), float(points[0, 1])
        slopes = np.gradient(points, times, axis=0)
        left = int(np.clip(np.searchsorted(times, time, "right") - 1, 0, len(times) - 2))
        span = times[left + 1] - times[left]
        s = float(np.clip((time - times[left]) / span, 0, 1))
        x, z = (
            (2 * s**3 - 3 * s**2 + 1) * points[left]
            + (s**3 - 2 * s**2 + s) * span * slopes[left]
            + (3 * s**2 - 2 * s**3) * points[left + 1]
            + (s**3 - s**2) * span * slopes[left + 1]
        )
        return float(x), float(z)

    def speed(self, time: float) -> tuple[float, float]:
        """Metres a second along x and z."""
        x0, z0 = self.at(time - 0.05)
        x1, z1 = self.at(time + 0.05)
        return (x1 - x0) / 0.1, (z1 - z0) / 0.1


@dataclass(frozen=True)
class Car:
    """A car: ``shape`` names a body of ``cars.BODIES``; ``plate`` is written with its signs, ``"BG 1234-AB"``.

    ``towards`` tells whether it faces the camera. ``side_text`` is painted on its sides. ``badge`` is the
    ring or star of a maker, ``dealer`` the writing on the plate's holder; neither must be reported.
    """

    plate: str
    shape: str
    colour: Colour
    path: Path
    towards: bool
    side_text: str = ""
    badge: str = "rings"
    dealer: str = ""
    taxi: bool = False

    @property
    def text(self) -> str:
        """The plate as a reader reports it: without blanks and hyphen."""
        return self.plate.replace(" ", "").replace("-", "")


@dataclass(frozen=True)
class Walker:
    """A pedestrian: ``person`` names a head of ``people.PERSONS``, or is empty for somebody without a face.

    Faces look at the camera. Sizes in metres.
    """

    path: Path
    coat: Colour
    trousers: Colour
    person: str = ""
    tall: float = 1.72
    collar: Colour = (30, 30, 34)
    hood: Colour = (60, 60, 66)


@dataclass(frozen=True)
class Post:
    """A lamp post that hides, for a moment, what passes behind it."""

    x: float
    z: float


@dataclass(frozen=True)
class Scene:
    """Everything that is not the street: ``seconds`` long, ``fps`` frames a second, each exposed for ``exposure`` s."""

    seconds: float
    fps: float
    actors: Sequence[Car | Walker | Post]
    exposure: float = 1 / 200
