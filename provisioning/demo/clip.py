"""Renders the demonstration's footage and states what is in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from provisioning.demo import cars, people, street
from provisioning.demo.actors import Car, Post, Scene, Walker
from provisioning.demo.photos import photos
from provisioning.demo.raster import Camera, Film, Grain, Layer, Pixels, Points, draw, soften
from provisioning.demo.script import default

__all__ = ["photos", "render"]

_LENS = 0.55  # sigma of the lens's blur in pixels of a 1280 wide picture
_CLEAR = 0.95  # share of an object that must be seen for its size to count

Progress = Callable[[int, int], None]
Box = tuple[float, float, float, float]


def render(
    path: Path,
    truth: Path,
    progress: Progress | None = None,
    width: int = 1280,
    height: int = 720,
    scene: Scene | None = None,
    camera: Camera | None = None,
) -> None:
    """Writes the film of ``scene`` (the default one if None) to ``path`` (MPEG-4) and what it shows to ``truth``.

    ``camera`` stands where the default scene is meant to be seen from; another one has its own width and height.

    The truth is JSON: ``width, height, fps, frames``; ``plates``, each with ``text``, ``best_width`` (pixels,
    of the clearest frame: whole and at least 95 % unhidden), ``first`` and ``last`` frame and ``seen``, a list
    of ``[frame, x0, y0, x1, y1, visible share]``; ``faces`` likewise with ``person`` and ``best_height``
    (brow to chin). ``progress(done, total)`` counts frames. Sizes from 640x360 to 1920x1080, 16:9, are
    sensible. The same arguments give the same film. Raises VidikError when the film cannot be written or
    the packages that hold photographs and typeface are missing.
    """
    scene = scene or default()
    camera = camera or _camera(width, height)
    width, height = camera.width, camera.height
    rng = np.random.default_rng(20170701)
    backdrop = street.paint(camera, rng)
    cast = [_Actor(actor, camera, scene.exposure) for actor in scene.actors]
    grain = Grain(rng, width, height, 1.6)
    film = Film(path, width, height, scene.fps)
    total = round(scene.seconds * scene.fps)
    try:
        for number in range(total):
            frame = _compose(backdrop.copy(), cast, number, scene.fps)
            light = 1 + 0.008 * np.sin(number / 23) + rng.normal(0, 0.0015)
            frame = np.clip(soften(frame, _LENS * width / 1280) * light, 0, 255).astype(np.uint8)
            film.add(grain.onto(frame))
            if progress:
                progress(number + 1, total)
    finally:
        film.close()
    truth.write_text(json.dumps(_truth(cast, camera, scene, total)), encoding="utf-8")


def _camera(width: int, height: int) -> Camera:
    scale = width / 1280
    return Camera(width, height, 1900 * scale, (1250 * scale, height / 2), 2.1, float(np.radians(3.5)))


@dataclass
class _Seen:
    """Where an object was: a row per frame, ``[frame, x0, y0, x1, y1, visible share]``, and its best size."""

    rows: list[list[float]] = field(default_factory=list)
    best: float = 0.0


@dataclass
class _Sight:
    """An object in the frame that is being drawn; later layers may hide it."""

    seen: _Seen
    corners: Points
    box: Box
    visible: float


class _Actor:
    """An actor with its model, and the record of its plate or face."""

    def __init__(self, actor: Car | Walker | Post, camera: Camera, exposure: float) -> None:
        self.actor = actor
        self._exposure = exposure
        self.seen = _Seen()
        self._camera = camera
        self._car = cars.Model(actor) if isinstance(actor, Car) else None
        self._walker = people.Model(actor) if isinstance(actor, Walker) else None
        self._walked = 0.0
        self._last: tuple[float, float] | None = None

    def place(self, time: float) -> tuple[float, float] | None:
        """x and z, or None while it is not there."""
        actor = self.actor
        if isinstance(actor, Post):
            return actor.x, actor.z
        stands = len(actor.path.keys) == 1
        if not stands and not actor.path.begins <= time <= actor.path.ends:
            return None
        here = actor.path.at(time)
        if self._last is not None:
            self._walked += float(np.hypot(here[0] - self._last[0], here[1] - self._last[1]))
        self._last = here
        return here

    def paint(self, x: float, z: float, time: float) -> tuple[Layer | None, Points | None]:
        """Its layer, blurred by its movement, and the world corners of its plate or face."""
        actor, corners = self.actor, None
        if isinstance(actor, Post):
            return draw(self._camera, street.lamp_post(x, z), cull=False), None
        speed = actor.path.speed(time) if len(actor.path.keys) > 1 else (0.0, 0.0)
        heading = self._heading(speed)
        if self._car is not None and isinstance(actor, Car):
            layer = draw(self._camera, self._car.panels(x, z, heading), cull=True)
            corners = self._car.plate_corners(x, z, heading, actor.towards)
            anchor = corners.mean(0)
        else:
            assert self._walker is not None
            layer = draw(self._camera, self._walker.panels(x, z, heading, self._walked), cull=False)
            if isinstance(actor, Walker) and actor.person:
                corners = self._walker.face_corners(x, z, heading, self._walked)
            anchor = np.array([x, 1.2, z])
        if layer is not None and anchor[2] > 1:
            step = np.array([speed[0], 0, speed[1]]) * self._exposure
            ends, _ = self._camera.project(np.stack([anchor, anchor + step]))
            layer.smear(*(ends[1] - ends[0]))
        return layer, corners

    def sight(self, corners: Points) -> list[_Sight]:
        """Where its plate or face is in the frame; nothing when it is about to pass the camera."""
        pixels, depth = self._camera.project(corners)
        if depth.min() < 1:
            return []
        (x0, y0), (x1, y1) = pixels.min(0), pixels.max(0)
        return [_Sight(self.seen, pixels, (float(x0), float(y0), float(x1), float(y1)), 1.0)]

    def _heading(self, speed: tuple[float, float]) -> tuple[float, float]:
        pace = float(np.hypot(*speed))
        if isinstance(self.actor, Car):  # the slower, the less a car can turn; a standing one keeps to its lane
            ahead = -1.0 if self.actor.towards else 1.0
            turn = float(np.clip(speed[0] / max(pace, 2.0), -0.3, 0.3))
            return turn, ahead * float(np.sqrt(1 - turn**2))
        return (speed[0] / pace, speed[1] / pace) if pace > 0.05 else (0.0, -1.0)


def _compose(frame: Pixels, cast: list[_Actor], number: int, fps: float) -> Pixels:
    """Draws the actors from far to near and notes what of plates and faces can be seen."""
    time = number / fps
    placed = [(actor, where) for actor in cast if (where := actor.place(time)) is not None]
    sights: list[_Sight] = []
    for actor, (x, z) in sorted(placed, key=lambda item: -float(np.hypot(*item[1]))):
        layer, corners = actor.paint(x, z, time)
        if layer is None:
            continue
        layer.onto(frame)
        for sight in sights:
            sight.visible *= 1 - min(1.0, layer.cover(sight.box))
        if corners is not None:
            sights += actor.sight(corners)
    for sight in sights:
        _note(sight, number, frame.shape[1], frame.shape[0])
    return frame


def _note(sight: _Sight, number: int, width: int, height: int) -> None:
    x0, y0, x1, y1 = sight.box
    inside = max(0.0, min(x1, width) - max(x0, 0)) * max(0.0, min(y1, height) - max(y0, 0))
    if inside <= 0:
        return
    share = inside / ((x1 - x0) * (y1 - y0)) * sight.visible
    sight.seen.rows.append([number, *(round(v, 1) for v in sight.box), round(share, 3)])
    if share >= _CLEAR:
        edge = sight.corners[1] - sight.corners[0] if x1 - x0 > 1.5 * (y1 - y0) else sight.corners[3] - sight.corners[0]
        sight.seen.best = max(sight.seen.best, float(np.hypot(*edge)))


def _truth(cast: list[_Actor], camera: Camera, scene: Scene, total: int) -> dict[str, Any]:
    plates, faces = [], []
    for one in cast:
        rows = [row for row in one.seen.rows if row[5] > 0.02]
        if not rows:
            continue
        span = {"first": int(rows[0][0]), "last": int(rows[-1][0]), "seen": rows}
        if isinstance(one.actor, Car):
            plates.append({"text": one.actor.text, "best_width": round(one.seen.best, 1), **span})
        elif isinstance(one.actor, Walker) and one.actor.person:
            faces.append({"person": one.actor.person, "best_height": round(one.seen.best, 1), **span})
    size = {"width": camera.width, "height": camera.height, "fps": scene.fps, "frames": total}
    return {**size, "plates": plates, "faces": faces}
