"""The look scheduler: where to spend inference on this frame.

Small objects need the frame examined in tiles, and examining every tile of every frame would cost many
times a single pass. So each frame gets one coarse pass per kind, and then:

1. the tiles whose turn it is, those longest unexamined first, so many that none waits longer than promised;
2. with what the frame's budget has left, at most one tile more per kind: where a track too small for the
   coarse pass still lacks a good shot, or where something moves that has not been looked at just before.

The promise: at a steady frame rate every part has been examined at tile resolution within ``cover_seconds``,
or, where the budget does not pay for that, within ``worst_case``. It holds because tiles are taken oldest
first: between two turns of one tile every other tile comes up at most once, whatever step 2 adds. A picture
that stands alone (the first, or after a gap) is covered at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edge.errors import VidikError
from edge.vision.motion import Motion
from edge.vision.track import Track
from edge.vision.values import Box, Frame, Kind, Region

GOOD_SHOT = 60.0
"""Quality from which a track's best shot is good enough that others come first."""


MOVED_AGAIN = 0.3
"""Seconds after which a tile in which something moves is worth another look, before its turn."""


class BudgetError(VidikError):
    """The budget for a frame does not pay for the least that must be done."""


class Glance(NamedTuple):
    """One thing to do: examine ``region`` for objects of ``kind``."""

    kind: Kind
    region: Region


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles for one kind: width and height in frame pixels, and by which share they overlap.

    ``coarse_share`` is the smallest object, as a share of the frame's longer edge, that the coarse pass
    still finds; ``smallest`` is the smallest object of interest in frame pixels. Where the coarse pass
    finds that too, there are no tiles. ``coarse_ms`` and ``tile_ms`` are what the two kinds of glance cost.
    """

    width: int
    height: int
    overlap: float
    coarse_share: float
    smallest: float
    coarse_ms: float = 0.0
    tile_ms: float = 0.0

    def tiles(self, width: int, height: int) -> list[Region]:
        """The tiles that cover a frame of this size, row by row; none when the coarse pass suffices."""
        if self.coarse_limit(width, height) <= self.smallest:
            return []
        columns, rows = _starts(width, self.width, self.overlap), _starts(height, self.height, self.overlap)
        return [Region(x, y, min(x + self.width, width), min(y + self.height, height)) for y in rows for x in columns]

    def coarse_limit(self, width: int, height: int) -> float:
        """The size in pixels below which the coarse pass of a frame of this size misses objects."""
        return self.coarse_share * max(width, height)


class Look:
    """Plans each frame. ``cover_seconds`` bounds the time until every tile has had its turn, ``budget_ms`` what
    the plan of one frame may cost by the grids' figures. Raises ``BudgetError`` when a frame's budget does not
    pay for the coarse passes and one tile of each kind."""

    def __init__(self, grids: Mapping[Kind, Grid], cover_seconds: float, budget_ms: float = math.inf) -> None:
        least = sum(grid.coarse_ms + grid.tile_ms for grid in grids.values())
        if budget_ms < least:
            raise BudgetError(
                f"A budget of {budget_ms:g} ms a frame is too small: looking at the whole frame and at one tile for "
                f"each kind of object takes {least:g} ms. Raise budget_ms, or lower the frame rate with it."
            )
        self._grids = dict(grids)
        self._cover = cover_seconds
        self._budget = budget_ms
        self._size = (0, 0)
        self._tiles: dict[Kind, list[Region]] = {}
        self._examined: dict[Kind, list[float]] = {}
        self._credit: dict[Kind, float] = {}
        self._last: float | None = None
        self._count = 0
        self._motion = Motion()

    def plan(self, frame: Frame, tracks: Iterable[Track]) -> list[Glance]:
        """What to examine in ``frame``: the coarse passes, the tiles whose turn it is, then what is in most need."""
        if (frame.width, frame.height) != self._size:
            self._resize(frame.width, frame.height)
        elapsed = self._cover if self._last is None else max(0.0, frame.monotonic - self._last)
        self._last = frame.monotonic
        self._count += 1
        self._motion.update(frame)
        whole = Region(0, 0, frame.width, frame.height)
        plan = [Glance(kind, whole) for kind in self._grids]
        share = 1 / self.frames_to_cover(frame.width, frame.height, elapsed) if elapsed else 0.0
        for kind, tiles in self._tiles.items():
            plan += [Glance(kind, tiles[i]) for i in self._turn(kind, share, frame.monotonic)]
        return plan + self._extras(plan, list(tracks), frame)

    def worst_case(self, width: int, height: int, interval: float) -> float:
        """Seconds until every part of a frame of this size has been examined at tile resolution, at most, when
        frames come every ``interval`` seconds. When intervals differ, the longest of them is to be added."""
        return self.frames_to_cover(width, height, interval) * interval

    def frames_to_cover(self, width: int, height: int, interval: float) -> int:
        """In how many frames, ``interval`` seconds apart, every tile gets its turn within promise and budget."""
        frames = max(1, math.floor(self._cover / interval + 1e-6))
        if frames == 1:
            return 1  # a picture that stands alone has all the time until the next
        tiles = self._tiles if (width, height) == self._size else self._tiles_of(width, height)
        counts = {kind: len(found) for kind, found in tiles.items()}
        while self._cost(counts, frames) > self._budget:  # ends: one tile of each kind fits
            frames += 1
        return frames

    def _cost(self, counts: Mapping[Kind, int], frames: int) -> float:
        return sum(
            grid.coarse_ms + math.ceil(counts[kind] / frames) * grid.tile_ms for kind, grid in self._grids.items()
        )

    def _resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._tiles = self._tiles_of(width, height)
        self._examined = {kind: [-math.inf] * len(tiles) for kind, tiles in self._tiles.items()}
        self._credit = dict.fromkeys(self._grids, 0.0)
        self._last = None

    def _tiles_of(self, width: int, height: int) -> dict[Kind, list[Region]]:
        return {kind: grid.tiles(width, height) for kind, grid in self._grids.items()}

    def _turn(self, kind: Kind, share: float, now: float) -> list[int]:
        """The tiles longest unexamined; fractions of a tile are carried over to the next frame."""
        examined = self._examined[kind]
        credit = min(float(len(examined)), self._credit[kind] + share * len(examined))
        count = math.floor(credit + 1e-9)
        self._credit[kind] = max(0.0, credit - count)
        turn = sorted(range(len(examined)), key=lambda i: (examined[i], i))[:count]
        for i in turn:
            examined[i] = now
        return turn

    def _extras(self, plan: list[Glance], tracks: list[Track], frame: Frame) -> list[Glance]:
        """At most one tile more of each kind, as far as the budget goes; kinds take turns at being first."""
        left = self._budget - sum(self._price(glance, frame) for glance in plan)
        kinds = list(self._grids)
        extras = []
        for kind in kinds if self._count % 2 else reversed(kinds):
            done = [glance.region for glance in plan[len(kinds) :] if glance.kind is kind]
            if len(done) == len(self._tiles[kind]) or self._grids[kind].tile_ms > left:
                continue
            needs = [self._follow, self._moved]
            for need in needs if self._count % 4 < 2 else reversed(needs):
                region = need(kind, done, tracks, frame)
                if region is not None:
                    extras.append(Glance(kind, region))
                    left -= self._grids[kind].tile_ms
                    break
        return extras

    def _price(self, glance: Glance, frame: Frame) -> float:
        grid = self._grids[glance.kind]
        whole = glance.region == Region(0, 0, frame.width, frame.height)
        return grid.coarse_ms if whole else grid.tile_ms

    def _follow(self, kind: Kind, done: list[Region], tracks: list[Track], frame: Frame) -> Region | None:
        """A tile about the track most in need: too small for the coarse pass, not settled, without a good shot
        before those with one, longest unseen."""
        grid, limit = self._grids[kind], self._grids[kind].coarse_limit(frame.width, frame.height)
        needy = [
            (track.best >= GOOD_SHOT, track.last, track.number, box)
            for track in tracks
            if track.kind is kind and not track.settled and max(track.box.width, track.box.height) < limit
            for box in [track.predicted(frame.monotonic)]
            if not any(_inside(box, region) for region in done)
        ]
        if not needy:
            return None
        x, y = min(needy)[-1].centre
        left = _even(x - grid.width / 2, frame.width - grid.width)
        top = _even(y - grid.height / 2, frame.height - grid.height)
        return Region(left, top, min(left + grid.width, frame.width), min(top + grid.height, frame.height))

    def _moved(self, kind: Kind, done: list[Region], _tracks: list[Track], frame: Frame) -> Region | None:
        """The tile with the most movement in it, weighed with how long it has not been examined."""
        tiles, examined = self._tiles[kind], self._examined[kind]
        waits = [frame.monotonic - last for last in examined]
        needs = [
            self._motion.inside(tile) * wait if wait >= MOVED_AGAIN and tile not in done else 0.0
            for tile, wait in zip(tiles, waits, strict=True)
        ]
        best = max(range(len(tiles)), key=lambda i: needs[i], default=None)
        if best is None or not needs[best] > 0:
            return None
        examined[best] = frame.monotonic
        return tiles[best]


def _even(start: float, most: int) -> int:
    """``start`` from 0 to ``most``, as an even number: then the frame's half picture has the tile's half too."""
    return int(min(max(0.0, start), max(0, most))) & ~1


def _inside(box: Box, region: Region) -> bool:
    return region.x0 <= box.x0 and region.y0 <= box.y0 and box.x1 <= region.x1 and box.y1 <= region.y1


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    count = math.ceil((length - tile) / (tile * (1 - overlap))) + 1
    # even, as in _even, but for the last, which must reach the end
    return [i * (length - tile) // (count - 1) & ~1 for i in range(count - 1)] + [length - tile]
