"""Draws the pictures of docs/rules.md: ``python scripts/draw_rules.py`` writes ``docs/rules/*.svg``.

Every path is driven through the real rules, and drawn in the colour of what became of it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.behaviour import AnyRule, Behaviour, Crossing, Dwell, Entry, RedLight, Signal, Stop, WrongWay
from edge.vision.rules import Rules
from edge.vision.track import Track
from edge.vision.values import Box, Frame, Kind

FOLDER = Path(__file__).parent.parent / "docs" / "rules"
WIDTH, HEIGHT = 460, 250
SIZE, SPEED, FPS = 48.0, 90.0, 15.0  # of the objects: pixels, pixels a second, sightings a second
MARGIN = SIZE / 4
TRIPS, NOT, INK = "#1a7f37", "#9a6700", "#57606a"
START = 1_795_000_000.0

Point = tuple[float, float]
LINE: tuple[Point, Point] = ((60, 130), (400, 130))
ZONE: tuple[Point, ...] = ((130, 60), (340, 60), (370, 190), (100, 190))


@dataclass(frozen=True)
class Way:
    """A path through ``points``; ``rests`` are seconds of standing at points, ``label`` what is written at its end."""

    points: Sequence[Point]
    label: str
    rests: tuple[tuple[int, float], ...] = ()
    at: tuple[float, float] = (6, 4)


def sightings(way: Way) -> list[Point]:
    """Where the object is in successive frames."""
    rests = dict(way.rests)
    out = [way.points[0]] * round(rests.get(0, 0) * FPS)
    for i, (a, b) in enumerate(zip(way.points, way.points[1:], strict=False), 1):
        steps = max(1, round(math.dist(a, b) / SPEED * FPS))
        out += [(a[0] + (b[0] - a[0]) * k / steps, a[1] + (b[1] - a[1]) * k / steps) for k in range(steps)]
        out += [b] * round(rests.get(i, 0) * FPS)
    return [*out, way.points[-1]]


def tripped(way: Way, rule: AnyRule, zone: Sequence[Point], signal: str) -> bool:
    """Whether an object that goes ``way`` trips ``rule``; ``signal`` is what the light says all the time."""
    with tempfile.TemporaryDirectory() as folder:
        light = Path(folder) / "light"
        rules = Rules(Behaviour(
            lines={"l": _fractions(LINE)}, zones={"z": _fractions(zone)}, signals={"s": Signal(file=light)},
            rules=(rule,),
        ))  # fmt: skip
        track = Track(1, Kind.PLATE, Box(0, 0, 1, 1), 0.0, 0.0)
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        for index, (x, y) in enumerate(sightings(way)):
            time = index / FPS
            light.write_text(f"{signal} {START + time:.3f}")
            track.box = Box(x - SIZE / 2, y - SIZE / 10, x + SIZE / 2, y + SIZE / 10)
            track.point, track.last = (x, y), time
            rules.watch(Frame(pixels, index, time, START + time), [track])
        return bool(track.tripped)


def _fractions(points: Sequence[Point]) -> Any:
    return tuple((x / WIDTH, y / HEIGHT) for x, y in points)


def line(points: Sequence[Point], colour: str, width: float = 2, more: str = "") -> str:
    """A stroke through ``points``."""
    where = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width:g}" {more}/>'


def area(points: Sequence[Point], colour: str, more: str = "") -> str:
    """A filled polygon."""
    where = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polygon points="{where}" fill="{colour}" {more}/>'


def text(x: float, y: float, words: str, colour: str = INK, anchor: str = "start") -> str:
    """Words at a place."""
    return f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}">{words}</text>'


def path(way: Way, colour: str) -> list[str]:
    """The way with an arrow at its end, a plate at its start, a dot a sighting and a ring where it stands."""
    (x, y), end = way.points[0], way.points[-1]
    before = next(p for p in reversed(sightings(way)) if p != end)
    angle = math.degrees(math.atan2(end[1] - before[1], end[0] - before[0]))
    place = f'x="{x - SIZE / 2:g}" y="{y - SIZE / 10:g}" width="{SIZE:g}" height="{SIZE / 5:g}"'
    out = [f'<rect {place} fill="#fff" stroke="{colour}"/>', line(way.points, colour, 1.5)]
    out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.8" fill="{colour}"/>' for a, b in dict.fromkeys(sightings(way))]
    dashed = f'r="{SIZE / 2:g}" fill="none" stroke="{colour}" stroke-dasharray="2 3"'
    out += [f'<circle cx="{way.points[i][0]:g}" cy="{way.points[i][1]:g}" {dashed}/>' for i, _ in way.rests]
    turned = f'transform="translate({end[0]:g},{end[1]:g}) rotate({angle:.0f})"'
    out.append(f'<path d="M0,0 L-9,-4 L-9,4 Z" fill="{colour}" {turned}/>')
    out.append(text(end[0] + way.at[0], end[1] + way.at[1], way.label, colour))
    return out


def the_line() -> list[str]:
    """The line with its arrow to the right and the band in which nothing is certain."""
    (x0, y), (x1, _) = LINE
    band = ((x0, y - MARGIN), (x1, y - MARGIN), (x1, y + MARGIN), (x0, y + MARGIN))
    return [
        area(band, "#ddf4ff"), line(LINE, "#0969da", 3), text(x0 - 8, y + 4, "a", "#0969da", "end"),
        text(x1 + 8, y + 4, "b", "#0969da"), text(12, y + 26, "right", "#0969da"), text(12, y - 16, "left", "#0969da"),
    ]  # fmt: skip


def the_zone(zone: Sequence[Point] = ZONE) -> list[str]:
    """The zone with its margin."""
    edge = f'stroke="#ddf4ff" stroke-width="{2 * MARGIN:g}" stroke-linejoin="round"'
    return [area(zone, "#f3faff", edge), line([*zone, zone[0]], "#0969da", 2)]


def picture(  # noqa: PLR0917 - a picture has these parts
    name: str,
    parts: Sequence[str],
    rule: AnyRule,
    ways: Sequence[Way],
    zone: Sequence[Point] = ZONE,
    signal: str = "open",
) -> str:
    """The drawing ``name``: places, then ways in the colour of what became of them. Returns the file's content."""
    drawn = [*parts]
    for way in ways:
        drawn += path(way, TRIPS if tripped(way, rule, zone, signal) else NOT)
    drawn.append(text(WIDTH - 8, HEIGHT - 8, "green: trips · brown: does not", INK, "end"))
    return _file(name, drawn)


def _file(name: str, drawn: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    font = 'font-family="sans-serif" font-size="11"'
    title = f'<title>{name}</title><rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>'
    return "\n".join([f"{head} {font}>{title}", *drawn, "</svg>", ""])


def heights() -> str:
    """Why the height of plates matters: a camera, a plate in two places, and where it seems to be on the road."""
    road, eye, plate = 215.0, (50.0, 40.0), 165.0
    drawn = [
        line(((20, road), (440, road)), INK, 2), line(((50, 40), (50, road)), INK, 1, 'stroke-dasharray="3 3"'),
        area(((42, 32), (62, 36), (62, 46), (42, 48)), INK), text(56, 130, "H"), text(14, 22, "camera"),
    ]  # fmt: skip
    seem = []
    for x in (190.0, 290.0):
        ground = eye[0] + (x - eye[0]) * (road - eye[1]) / (plate - eye[1])
        seem.append(ground)
        drawn += [
            line((eye, (ground, road)), "#0969da", 1),
            line(((x, plate), (x, road)), TRIPS, 1, 'stroke-dasharray="3 3"'),
            area(((x - 3, plate - 7), (x + 3, plate - 7), (x + 3, plate + 7), (x - 3, plate + 7)), TRIPS),
        ]  # fmt: skip
    drawn += [
        text(194, 196, "h", TRIPS), line(((190, 150), (290, 150)), TRIPS, 2),
        text(240, 144, "the way it goes", TRIPS, "middle"),
        line(((seem[0], 224), (seem[1], 224)), "#0969da", 2),
        text(230, 240, "on the road it seems to go H / (H − h) times as far", "#0969da", "middle"),
    ]  # fmt: skip
    return _file("speed", drawn)


def pictures() -> dict[str, str]:
    """Every drawing by its file's name."""
    down = Crossing(name="r", line="l", direction="right")
    into, stays = Entry(name="r", zone="z"), Dwell(name="r", zone="z", seconds=2.5)
    stop = Stop(name="r", zone="z", seconds=2.0)
    against = WrongWay(name="r", zone="z", along=_fractions(((235, 180), (235, 70))))
    red = RedLight(name="r", line="l", direction="left", zone="z", signal="s")
    shaft, point = line(((70, 180), (70, 84)), "#0969da", 3), area(((70, 70), (63, 88), (77, 88)), "#0969da")
    arrow = [shaft, point, text(70, 200, "along", "#0969da", "middle")]
    stop_line = [line(((60, 130), (400, 130)), "#cf222e", 3), text(408, 134, "line", "#cf222e")]
    upper = ((100, 20), (370, 20), (370, 95), (100, 95))
    out = {
        "line.svg": picture("line", the_line(), down, [
            Way(((100, 60), (120, 200)), "over it"),
            Way(((180, 60), (190, 136), (215, 60)), "turns back", at=(-10, -8)),
            Way(((300, 200), (290, 60)), "the other way", at=(4, 0)),
            Way(((428, 60), (432, 215)), "past its end", at=(-76, 12)),
        ]),
        "entry.svg": picture("entry", the_zone(), into, [
            Way(((40, 100), (180, 110)), "comes in"),
            Way(((235, 140), (235, 225)), "was in it all the time"),
            Way(((420, 90), (362, 120), (425, 150)), "grazes it", at=(-40, 16)),
        ]),
        "dwell.svg": picture("dwell", the_zone(), stays, [
            Way(((150, 90), (320, 95), (150, 130), (300, 160)), "in it for 2.5 s", at=(-20, 18)),
            Way(((40, 220), (200, 225), (420, 215)), "outside", at=(-20, -8)),
            Way(((235, 30), (330, 60), (430, 100)), "soon gone", at=(-30, 16)),
        ]),
        "stop.svg": picture("stop", the_zone(), stop, [
            Way(((40, 90), (180, 100), (180, 101)), "stands for 2 s", ((1, 2.6),), (30, 0)),
            Way(((300, 80), (300, 150), (320, 230)), "for less", ((1, 0.9),)),
        ]),
        "wrong-way.svg": picture("wrong way", [*the_zone(), *arrow], against, [
            Way(((170, 90), (170, 175)), "against", at=(4, 12)),
            Way(((240, 175), (240, 90)), "along", at=(-12, -8)),
            Way(((300, 170), (300, 110), (300, 150)), "rolls back", at=(6, 12)),
        ]),
    }
    ways = [
        Way(((130, 220), (130, 50)), "goes through", at=(6, -8)),
        Way(((230, 220), (230, 112)), "halts"),
        Way(((320, 220), (320, 112), (430, 112)), "turns off", at=(-40, -8)),
    ]
    out["speed.svg"] = heights()
    out["red-light.svg"] = picture("red light", [*the_zone(upper), *stop_line], red, ways, upper, "closed")
    return out


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in pictures().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
