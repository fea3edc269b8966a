"""The governor: what the camera leaves out when it is too hot or too slow, tiles first, then frames. A pure policy.

A level is taken quickly and given up slowly, so that the camera does not swing.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from edge.vision.look import Glance, Look
from edge.vision.track import Track
from edge.vision.values import Frame

_UP, _DOWN = 3.0, 30.0  # seconds between two steps to leave out more, and to leave out less
_COOL = 5.0  # degrees below the limit at which a level is given up
_BEHIND, _AHEAD = 0.5, 0.1  # shares of frames dropped above which it leaves out more, below which less


class Level(IntEnum):
    """How much is left out; each level includes those before it."""

    NOTHING = 0
    HALF_THE_TILES = 1
    ALL_TILES = 2
    HALF_THE_FRAMES = 3

    @property
    def words(self) -> str:
        return self.name.lower().replace("_", " ")


class Governor:
    """Decides the level. ``hot``: degrees Celsius above which it leaves out more."""

    def __init__(self, hot: float) -> None:
        self.level = Level.NOTHING
        self.cause = ""
        self._hot = hot
        self._changed = float("-inf")

    def judge(self, now: float, temperature: float | None, dropped: float) -> Level:
        """The level from ``now`` (monotonic seconds) on, at ``temperature`` (None: unknown) and a share of frames
        ``dropped`` lately because the pipeline was not ready."""
        hot = temperature is not None and temperature > self._hot
        behind = dropped > _BEHIND and self.level < Level.ALL_TILES  # dropping frames is what it does already
        if hot or behind:
            if now - self._changed >= _UP and self.level < Level.HALF_THE_FRAMES:
                self.level, self._changed = Level(self.level + 1), now
            self.cause = f"{temperature:.0f} °C" if hot else f"{dropped:.0%} of the frames came too fast"
        elif (temperature is None or temperature < self._hot - _COOL) and dropped < _AHEAD:
            if self.level and now - self._changed >= _DOWN:
                self.level, self._changed = Level(self.level - 1), now
            if not self.level:
                self.cause = ""
        return self.level

    def wants(self, index: int) -> bool:
        """Whether the frame ``index`` is to be looked at."""
        return self.level < Level.HALF_THE_FRAMES or index % 2 == 0


class SparingLook(Look):
    """The scheduler ``look`` under a governor: coarse passes are always made, tiles as the level allows."""

    def __init__(self, look: Look, governor: Governor) -> None:
        self.look = look  # may be exchanged for another at any moment
        self._governor = governor
        self._count = 0

    def plan(self, frame: Frame, tracks: Iterable[Track]) -> list[Glance]:
        """What to examine in ``frame``."""
        planned = self.look.plan(frame, tracks)
        level = self._governor.level
        if level is Level.NOTHING:
            return planned
        kept = []
        for glance in planned:
            region = glance.region
            if (region.x1 - region.x0, region.y1 - region.y0) == (frame.width, frame.height):
                kept.append(glance)
            elif level is Level.HALF_THE_TILES:
                self._count += 1
                if self._count % 2:
                    kept.append(glance)
        return kept
