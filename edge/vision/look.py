"""The look scheduler: where to spend inference on this frame.

Small objects need the frame examined in tiles, and examining every tile of every frame would cost many
times a single pass. So each frame gets one coarse pass per kind, and a share of the tiles that grows with
the time since the frame before: within ``cover_seconds`` every part has been examined at tile resolution.
A picture that stands alone (the first, or after a gap) is covered at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from edge.vision.track import Track
from edge.vision.values import Frame, Kind, Region


class Glance(NamedTuple):
    """One thing to do: examine ``region`` for objects of ``kind``."""

    kind: Kind
    region: Region


@dataclass(frozen=True, slots=True)
class Grid:
    """The tiles for one kind: width and height in frame pixels, and by which share they overlap.

    ``coarse_share`` is the smallest object, as a share of the frame's longer edge, that the coarse pass
    still finds; ``smallest`` is the smallest object of interest in frame pixels. Where the coarse pass
    finds that too, there are no tiles.
    """

    width: int
    height: int
    overlap: float
    coarse_share: float
    smallest: float

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
    """Plans each frame. ``cover_seconds`` bounds the time until every tile has had its turn."""

    def __init__(self, grids: Mapping[Kind, Grid], cover_seconds: float) -> None:
        self._grids = dict(grids)
        self._cover = cover_seconds
        self._size = (0, 0)
        self._tiles: dict[Kind, list[Region]] = {}
        self._cursor: dict[Kind, int] = {}
        self._credit: dict[Kind, float] = {}
        self._last: float | None = None

    def plan(self, frame: Frame, tracks: Iterable[Track]) -> list[Glance]:
        """What to examine in ``frame``: the coarse passes, the tiles whose turn it is, and one tile for
        the live track most in need: too small for the coarse pass, not yet settled, longest unseen."""
        if (frame.width, frame.height) != self._size:
            self._resize(frame.width, frame.height)
        elapsed = self._cover if self._last is None else frame.monotonic - self._last
        self._last = frame.monotonic
        tracks = list(tracks)
        whole = Region(0, 0, frame.width, frame.height)
        plan = [Glance(kind, whole) for kind in self._grids]
        for kind, tiles in self._tiles.items():
            if not tiles:
                continue
            turn = self._turn(kind, tiles, elapsed)
            plan += [Glance(kind, region) for region in turn]
            if len(turn) < len(tiles):
                plan += [Glance(kind, region) for region in self._follow(kind, tracks, frame)]
        return plan

    def _resize(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._tiles = {kind: grid.tiles(width, height) for kind, grid in self._grids.items()}
        self._cursor = dict.fromkeys(self._grids, 0)
        self._credit = dict.fromkeys(self._grids, 0.0)
        self._last = None

    def _turn(self, kind: Kind, tiles: list[Region], elapsed: float) -> list[Region]:
        # fractions of a tile are carried over, so that the bound holds at any frame rate
        credit = min(float(len(tiles)), self._credit[kind] + len(tiles) * max(0.0, elapsed) / self._cover)
        count, first = math.floor(credit + 1e-9), self._cursor[kind]
        self._credit[kind] = credit - count
        self._cursor[kind] = (first + count) % len(tiles)
        return [tiles[(first + i) % len(tiles)] for i in range(count)]

    def _follow(self, kind: Kind, tracks: list[Track], frame: Frame) -> list[Region]:
        grid = self._grids[kind]
        limit = grid.coarse_limit(frame.width, frame.height)
        needy = [t for t in tracks if t.kind is kind and not t.settled and max(t.box.width, t.box.height) < limit]
        if not needy:
            return []
        x, y = min(needy, key=lambda t: t.last).predicted(frame.monotonic).centre
        left = round(min(max(0.0, x - grid.width / 2), max(0, frame.width - grid.width)))
        top = round(min(max(0.0, y - grid.height / 2), max(0, frame.height - grid.height)))
        return [Region(left, top, min(left + grid.width, frame.width), min(top + grid.height, frame.height))]


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    count = math.ceil((length - tile) / (tile * (1 - overlap))) + 1
    return [round(i * (length - tile) / (count - 1)) for i in range(count)]
