"""A small world with known truth: objects that move on exact paths, seen by a camera with jitter, gaps and slips.

What should trip is written down beside every path, from the path itself; nothing here knows how rules are judged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edge.behaviour import Behaviour, Crossing, Dwell, Entry, RedLight, Signal, Speed, Stop, WrongWay
from edge.vision.rules import Rules
from edge.vision.track import Tracker
from edge.vision.values import Box, Detection, Frame, Kind

WIDTH, HEIGHT, FPS = 1280, 720, 15.0
START = 1_795_000_000.0
SIZE = 60.0  # pixels: the width of a plate; its height is a fifth of that
METRE = 40.0  # pixels, where speed is measured


def fractions(*points):
    return tuple((x / WIDTH, y / HEIGHT) for x, y in points)


def behaviour(light):
    """The rules of this world: a line at the left, a bay in the middle, a junction at the right, a measured strip."""
    strip = fractions((20, 600), (1260, 600), (1260, 700), (20, 700))
    return Behaviour(
        lines={"gate": fractions((60, 360), (380, 360)), "stop": fractions((900, 450), (1240, 450))},
        zones={
            "bay": fractions((480, 200), (800, 200), (840, 560), (440, 560)),
            "junction": fractions((880, 80), (1260, 80), (1260, 380), (880, 380)),
        },
        signals={"light": Signal(file=light, fresh_seconds=1.0)},
        rules=(
            Crossing(name="down", line="gate", direction="right"),
            Crossing(name="up", line="gate", direction="left"),
            Crossing(name="either", line="gate"),
            Crossing(name="face-over", line="gate", objects=("faces",)),
            Entry(name="enters", zone="bay"),
            Dwell(name="dwells", zone="bay", seconds=6.0),
            Stop(name="stops", zone="bay", seconds=3.0),
            WrongWay(name="against", zone="bay", along=fractions((640, 200), (640, 560))),
            RedLight(name="runs-red", line="stop", direction="left", zone="junction", signal="light"),
            Speed(
                name="fast", over=50.0, points=strip,
                metres=tuple((x * WIDTH / METRE, y * HEIGHT / METRE) for x, y in strip),
            ),
        ),
    )  # fmt: skip


@dataclass
class Thing:
    """An object on a path through ``keys``, each ``(seconds, x, y)`` in pixels, straight and even in between.

    ``hidden`` are spans of seconds in which nobody sees it; ``slips`` are frames in which the detector is off, by
    ``(dx, dy)``. ``trips`` is the truth: rule -> (value, seconds), either None where the path leaves it open.
    """

    keys: list
    trips: dict = field(default_factory=dict)
    hidden: tuple = ()
    slips: dict = field(default_factory=dict)
    kind: Kind = Kind.PLATE

    def at(self, time):
        if not self.keys[0][0] <= time <= self.keys[-1][0] or any(a <= time < b for a, b in self.hidden):
            return None
        times, xs, ys = zip(*self.keys, strict=True)
        return float(np.interp(time, times, xs)), float(np.interp(time, times, ys))


def nobody_says(time):
    return None


@dataclass
class Scenario:
    """``things`` in view at once. ``light``: seconds -> "open", "closed" or None when nobody says."""

    name: str
    things: list
    jitter: float = 0.0  # pixels, one standard deviation in x and in y
    seed: int = 0
    light: Callable = nobody_says


def play(scenario, folder):
    """What every thing of ``scenario`` tripped: a list of triggers a thing, by the real tracker and the real rules."""
    rng = np.random.default_rng(scenario.seed)
    light = folder / "light"
    rules, tracker = Rules(behaviour(light)), Tracker()
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    found = [set() for _ in scenario.things]
    tracks = {}
    frame = None
    for index in range(round(FPS * (max(thing.keys[-1][0] for thing in scenario.things) + 2.0))):
        time = index / FPS
        state = scenario.light(time)
        if state is not None:
            light.write_text(f"{state} {START + time:.3f}\n")
        frame = Frame(pixels, index, time, START + time)
        seen = [(i, thing) for i, thing in enumerate(scenario.things) if thing.at(time) is not None]
        detections = [detection(thing, time, index, rng, scenario.jitter) for _, thing in seen]
        for track, one in tracker.update(frame, detections):
            owner = next(i for (i, _), d in zip(seen, detections, strict=True) if d is one)
            tracks.setdefault(track.number, (track, owner))
        rules.watch(frame, tracker.live)
    rules.watch(frame, [])
    for track, owner in tracks.values():
        found[owner].update(track.tripped.values())
    return found


def detection(thing, time, index, rng, jitter):
    x, y = np.array(thing.at(time)) + rng.normal(0, jitter, 2) + thing.slips.get(index, (0, 0))
    width = SIZE * (1 + rng.normal(0, jitter / SIZE / 2))
    height = width / 5 if thing.kind is Kind.PLATE else width
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    corners = [[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]]
    return Detection(thing.kind, box, 0.9, np.array(corners, np.float32))
