"""Measures faces found per track: a camera pans and zooms over real photos, and the scheduler decides where to look.

Run ``python -m models.face_detector.replay``; needs npm once. The photos are those of ``evaluate.py``, laid out on a
plane larger than the frame and scaled so that the median face has the height asked for while the camera is in the
middle of its zoom. A 1920x1080 camera at 15 frames a second moves over it on a smooth path drawn by a seed. A *track*
is one face that stays wholly in view for a second or more; it counts as found when, within the first second of that,
a detection on it (intersection over union of 0.4 or more) has begun one of the tracker's tracks on it.
The whole look at the first frame is not used: the camera has been running, over a grey wall, for a while.

Time is processor time of the face detector alone, per frame, coarse pass included, in one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

from edge import config
from edge.vision import build
from edge.vision.detect import Detect
from edge.vision.face_detector import FAINT, FaceDetector, still_regions
from edge.vision.look import Glance, Look
from edge.vision.track import Tracker
from edge.vision.values import Box, Detection, Floats, Frame, Kind, Pixels, Region
from models.face_detector.evaluate import HEIGHT, MATCH, WIDTH, Photo, hits, photos, scaled
from models.face_embedder.source import unpack

FPS = 15
SECONDS = 3
WITHIN = 1.0
HEIGHTS = (24, 32, 40, 48, 64)
REPLAYS = 6
PLANE = 2600, 1700
WARM_UP = 15  # frames of grey wall before the photos come


class Outcome(NamedTuple):
    """One replay: tracks there were and those found in time, faces of all frames and those found, what it cost."""

    tracks: int
    in_time: int
    faces: int
    found: int
    false: int
    milliseconds: list[float]


def plane(source: list[Photo], face_height: float, rng: np.random.Generator) -> Photo:
    """The photos in rows on a plane of ``PLANE`` pixels, filled from left to right, mirrored at random."""
    wide, high = PLANE
    middle = face_height / statistics.median(face.height for photo in source for face in photo.faces)
    canvas, faces = np.full((high, wide, 3), rng.integers(40, 216), np.uint8), []
    x, y, below = 0, 0, 0
    for index in np.concatenate([rng.permutation(len(source)) for _ in range(60)]):
        small = scaled(source[index], middle * rng.uniform(0.95, 1.05), bool(rng.integers(2)))
        height, width = small.pixels.shape[:2]
        if x + width > wide:
            x, y = 0, below
        if x + width > wide or y + height > high:
            break
        canvas[y : y + height, x : x + width] = small.pixels
        faces += [Box(f.x0 + x, f.y0 + y, f.x1 + x, f.y1 + y) for f in small.faces]
        x, below = x + width, max(below, y + height)
    return Photo(canvas, faces)


def path(rng: np.random.Generator) -> Iterator[Floats]:
    """For each frame the matrix ``(2, 3)`` from the plane to the picture: a pan, a tilt and a zoom of up to 8 %."""
    zoom = rng.uniform(-0.08, 0.08)
    room = np.array(PLANE) - np.array([WIDTH, HEIGHT]) / (1 - abs(zoom))
    start, stop = (rng.uniform(0, 1, 2) * room for _ in range(2))
    for share in np.linspace(0, 1, FPS * SECONDS):
        eased = (1 - np.cos(np.pi * share)) / 2
        scale = 1 + zoom * (2 * share - 1)
        corner = start + (stop - start) * eased
        yield np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]], np.float32)


def view(scene: Photo, matrix: Floats) -> Photo:
    """What the camera sees: the picture with a little sensor noise, and the faces in it, cut ones too."""
    pixels = cv2.warpAffine(scene.pixels, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
    noise = cv2.randn(np.empty((HEIGHT, WIDTH, 3), np.int8), np.zeros(3), np.full(3, 2.0))
    noisy = np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)
    scale, left, top = float(matrix[0, 0]), float(matrix[0, 2]), float(matrix[1, 2])
    move = np.array([left, top, left, top])
    return Photo(noisy, [Box(*map(float, np.array(face) * scale + move)) for face in scene.faces])


def whole(face: Box) -> bool:
    """Whether ``face`` is wholly in the picture."""
    return face.x0 >= 0 and face.y0 >= 0 and face.x1 <= WIDTH and face.y1 <= HEIGHT


class Timed:
    """The face detector with the processor time it takes."""

    def __init__(self, threshold: float) -> None:
        self._inner = FaceDetector(threshold)
        self.spent = 0.0

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        began = time.thread_time()
        try:
            return self._inner.detect(pixels, region)
        finally:
            self.spent += (time.thread_time() - began) * 1000


@dataclass(slots=True)
class Watched:
    """One face of the plane: since when it is wholly in view, for how long, and when a track was on it."""

    since: float | None = None
    last: float = 0.0
    seen: float | None = None
    spells: list[tuple[float, float, float | None]] = field(default_factory=list)

    def see(self, now: float, in_view: bool, tracked: bool) -> None:
        if not in_view:
            self.end()
            return
        self.since = now if self.since is None else self.since
        self.last = now
        if tracked and self.seen is None:
            self.seen = now

    def end(self) -> None:
        if self.since is not None:
            self.spells.append((self.since, self.last, self.seen))
        self.since = self.seen = None


def replay(source: list[Photo], face_height: float, seed: int, threshold: float, look: Look | None) -> Outcome:
    """One camera movement over the photos. Without ``look``, every frame is tiled in full."""
    rng = np.random.default_rng(seed)
    cv2.setRNGSeed(seed)
    scene = plane(source, face_height, rng)
    detector, tracker = Timed(threshold), Tracker()
    detect = Detect({Kind.FACE: detector})
    watched = [Watched() for _ in scene.faces]
    wall = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    if look is not None:
        for index in range(WARM_UP):
            look.plan(Frame(wall, index, index / FPS, 0.0), [])
    faces = found = false = 0
    spent = []
    for index, matrix in enumerate(path(rng), WARM_UP):
        seen = view(scene, matrix)
        frame = Frame(seen.pixels, index, index / FPS, index / FPS)
        detector.spent = 0.0
        detections = detect(frame, full(look) if look is None else faces_only(look.plan(frame, tracker.live)))
        spent.append(detector.spent)
        tracker.update(frame, detections)
        in_view = [face for face in seen.faces if whole(face)]
        faces, got = faces + len(in_view), hits(in_view, detections)
        found += got
        false += sum(all(d.box.iou(face) < MATCH for face in seen.faces) for d in detections)
        fresh = [track.box for track in tracker.live if track.last == frame.monotonic]
        for face, record in zip(seen.faces, watched, strict=True):
            record.see(frame.monotonic, whole(face), any(face.iou(box) >= MATCH for box in fresh))
    spells = []
    for record in watched:
        record.end()
        spells += [spell for spell in record.spells if spell[1] - spell[0] >= WITHIN - 1e-6]
    in_time = sum(seen is not None and seen - since <= WITHIN + 1e-6 for since, _, seen in spells)
    return Outcome(len(spells), in_time, faces, found, false, spent)


def full(_look: Look | None) -> list[Glance]:
    """Every tile, and the whole."""
    tiles = still_regions(WIDTH, HEIGHT)[3:]
    return [Glance(Kind.FACE, region) for region in [Region(0, 0, WIDTH, HEIGHT), *tiles]]


def faces_only(plan: list[Glance]) -> list[Glance]:
    """What the scheduler asks of the face detector; plates share its budget but are not looked for here."""
    return [glance for glance in plan if glance.kind is Kind.FACE]


def row(source: list[Photo], height: float, threshold: float, scheduled: bool) -> str:
    """One line of the table."""
    made = [
        replay(source, height, seed, threshold, build.look(config.Look()) if scheduled else None)
        for seed in range(REPLAYS)
    ]
    tracks, in_time = sum(o.tracks for o in made), sum(o.in_time for o in made)
    faces, found, false = sum(o.faces for o in made), sum(o.found for o in made), sum(o.false for o in made)
    looking = "scheduler" if scheduled else "full tiling"
    spent = [ms for outcome in made for ms in outcome.milliseconds]
    return (
        f"| {height} px | {looking} | {in_time} of {tracks}, {in_time / tracks:.1%} "
        f"| {found / faces:.1%} | {false / len(spent):.2f} | {statistics.fmean(spent):.1f} | {max(spent):.1f} |"
    )


def main() -> None:
    """Prints the tables of the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threshold", type=float, default=FAINT)
    parser.add_argument("--heights", type=int, nargs="+", default=HEIGHTS)
    parser.add_argument("--full", action="store_true", help="also tile every frame in full")
    given = parser.parse_args()
    source = photos(unpack())
    print("| median face | looking | tracks found within 1 s | faces per frame | false a frame | ms mean | ms most |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for height in given.heights:
        for scheduled in (True, False) if given.full else (True,):
            print(row(source, height, given.threshold, scheduled), flush=True)


if __name__ == "__main__":
    main()
