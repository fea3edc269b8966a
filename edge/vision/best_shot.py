"""Best shot: of every object the few crops most worth reading. They live in memory and die with the track.

An object is read once its pictures get no better, or it is gone: the first picture of it is seldom the best.
If what was read does not suffice, it is tried again when better pictures have come, less and less often, for most of
what never suffices is no plate; if what it had done did not suffice, as soon as it trips a rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from edge.vision.track import Track
from edge.vision.values import Box, Detection, Floats, Frame, Kind, Pixels, Region, Shot

Quality = Callable[[Pixels, Floats, Detection], float]
# Shares of the larger side, so that alignment has pixels to work with; above and below a plate, of its height at most.
_MARGIN, _PLATE_DOWN = {Kind.PLATE: 0.25, Kind.FACE: 0.4}, 0.6
_KEEP = {Kind.PLATE: 5, Kind.FACE: 3}
_WATCH = 1.5  # seconds an object is watched at least before the first try
_SETTLED = 0.7  # seconds without a better picture after which it is no use to wait
_PATIENCE = 5.0  # seconds after which an object is read even though it still comes nearer
_AGAIN, _AT_MOST = 1.0, 4.0  # seconds until the second try, twice as long after each one, but no longer than this


@dataclass(slots=True)
class _Album:
    track: Track
    began: float
    shots: list[Shot] = field(default_factory=list)
    improved: float = 0.0
    tried: float | None = None
    pause: float = _AGAIN
    tried_best: float = -1.0
    tripped: int = 0


class BestShots:
    """The albums of all live tracks. ``quality`` per kind judges a crop, 0 to 100."""

    def __init__(self, quality: dict[Kind, Quality]) -> None:
        self._quality = quality
        self._albums: dict[int, _Album] = {}

    def offer(self, frame: Frame, track: Track, detection: Detection) -> None:
        """Keeps the crop of ``detection`` when it is among the best of ``track``."""
        if track.settled:
            return
        album = self._albums.setdefault(track.number, _Album(track, frame.monotonic))
        full = len(album.shots) == _KEEP[track.kind]
        least = album.shots[-1].quality if full else -math.inf
        shot = make_shot(frame, detection, self._quality[detection.kind], least)
        if shot is None:
            return
        if not album.shots or shot.quality > album.shots[0].quality:
            album.improved = frame.monotonic
            track.best = shot.quality
        album.shots = sorted([*album.shots, shot], key=lambda s: -s.quality)[: _KEEP[track.kind]]

    def ripe(self, now: float, live: Iterable[Track]) -> Iterator[tuple[Track, list[Shot], bool]]:
        """Tracks whose time to be read has come: (track, its shots best first, whether this is the last try)."""
        alive = {track.number for track in live}
        for number, album in list(self._albums.items()):
            final = number not in alive
            if final or album.track.settled:
                del self._albums[number]
            if album.shots and not album.track.settled and (final or self._due(album, now)):
                if album.tried is not None:
                    album.pause = min(2 * album.pause, _AT_MOST)
                album.tried, album.tried_best = now, album.shots[-1].quality
                album.tripped = len(album.track.tripped)
                yield album.track, album.shots, final

    def forget(self, kind: Kind) -> None:
        """Overwrites and drops every crop of ``kind``: what was gathered under a grant ends with it."""
        for number, album in list(self._albums.items()):
            if album.track.kind is kind:
                for shot in album.shots:
                    shot.crop.fill(0)
                del self._albums[number]

    @staticmethod
    def _due(album: _Album, now: float) -> bool:
        if album.tried is None:
            watched = now - album.began
            return watched >= _PATIENCE or (watched >= _WATCH and now - album.improved >= _SETTLED)
        if len(album.track.tripped) > album.tripped:
            return True
        # the worst shot kept only rises when a better one has come in
        return now - album.tried >= album.pause and album.shots[-1].quality > album.tried_best


def make_shot(frame: Frame, detection: Detection, quality: Quality, above: float = -math.inf) -> Shot | None:
    """The crop of ``detection`` with a margin, copied out of ``frame``.

    None when none of it is in view, or when its quality does not lie above the given one: then nothing is copied.
    """
    box = detection.box
    across, down = _margins(detection.kind, box)
    region = Region(
        max(0, round(box.x0 - across)), max(0, round(box.y0 - down)),
        min(frame.width, round(box.x1 + across)), min(frame.height, round(box.y1 + down)),
    )  # fmt: skip
    if region.x1 <= region.x0 or region.y1 <= region.y0:
        return None
    crop = frame.pixels[region.y0 : region.y1, region.x0 : region.x1]
    points = detection.points - np.array([region.x0, region.y0], np.float32)
    worth = quality(crop, points, detection)
    return Shot(crop.copy(), points, box, worth, frame.monotonic, frame.wall) if worth > above else None


def _margins(kind: Kind, box: Box) -> tuple[float, float]:
    margin = _MARGIN[kind] * max(box.width, box.height)
    return margin, min(margin, _PLATE_DOWN * box.height) if kind is Kind.PLATE else margin
