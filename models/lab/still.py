"""The camera's path for a single picture: detect, best shot, describe. Shared by every lab command.

The stages are the camera's own. Only the schedule differs: a camera spreads tiles over many frames, a
picture has one, so everything is looked at at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from edge.vision.best_shot import Quality, make_shot
from edge.vision.look import Glance
from edge.vision.values import Detection, Frame, Pixels, Shot

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StillPath(Generic[T]):
    """The stages for one kind of object. ``glances`` tells where to look in a frame; what ``detect`` finds there,
    best first and without duplicates, is described."""

    detect: Callable[[Frame, Sequence[Glance]], list[Detection]]
    glances: Callable[[Frame], Sequence[Glance]]
    quality: Quality
    describe: Callable[[Sequence[Shot]], T | None]


@dataclass(frozen=True, slots=True)
class Seen(Generic[T]):
    """One object of a picture. ``shot`` is None when it lies outside, ``description`` when nothing can be said."""

    detection: Detection
    shot: Shot | None
    description: T | None


@dataclass(frozen=True, slots=True)
class Still(Generic[T]):
    """Everything seen in one picture, best detection first, and the processing time in milliseconds."""

    seen: list[Seen[T]]
    milliseconds: float


def analyse_still(pixels: Pixels, path: StillPath[T]) -> Still[T]:
    """Runs the stages of ``path`` on one decoded picture, BGR ``uint8 (h, w, 3)``, in the calling thread."""
    start = time.perf_counter()
    frame = Frame(pixels, index=0, monotonic=0.0, wall=0.0)
    found = path.detect(frame, path.glances(frame))
    shots = [make_shot(frame, detection, path.quality) for detection in found]
    seen = [Seen(d, shot, path.describe([shot]) if shot else None) for d, shot in zip(found, shots, strict=True)]
    return Still(seen, (time.perf_counter() - start) * 1000)
