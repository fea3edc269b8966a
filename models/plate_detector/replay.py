"""Measures plates found per track, and how well they can be followed: a camera pans and zooms over street frames.

Run ``python -m models.plate_detector.replay``; needs the labelled frames (VIDIK_SHARED). Frames of the ``valid``
split, scaled so that the median plate has the width asked for, lie in rows on a plane over which a 1920x1080 camera
moves as in ``models.face_detector.replay``, which has the paths and the meaning of a track found in time. The scheduler
is the camera's own and faces share its budget, but are not looked for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import NamedTuple

import cv2
import numpy as np

from edge import config
from edge.vision import build
from edge.vision.detect import Detect
from edge.vision.look import Glance, Look
from edge.vision.plate_detector import PlateDetector
from edge.vision.track import Tracker
from edge.vision.values import Box, Frame, Kind
from models.face_detector.evaluate import HEIGHT, WIDTH, Photo
from models.face_detector.replay import FPS, PLANE, WARM_UP, WITHIN, Watched, path, view, whole
from models.plate_detector.data import frames

WIDTHS = (40, 50, 60, 80)
REPLAYS = 6
MATCH = 0.3  # least intersection over union of a hit, as in `vidik lab plates`


class Outcome(NamedTuple):
    """One replay: tracks there were and those found in time, plates of all frames and those found, what it cost."""

    tracks: int
    in_time: int
    plates: int
    found: int
    milliseconds: list[float]


def plane(source: list[Photo], plate_width: float, rng: np.random.Generator) -> Photo:
    """Frames of ``source`` at random, in rows on a plane; those with plates only."""
    wide, high = PLANE
    scale = plate_width / statistics.median(plate.width for photo in source for plate in photo.faces)
    canvas, plates = np.full((high, wide, 3), 90, np.uint8), []
    height, width = (round(side * scale) for side in source[0].pixels.shape[:2])
    order = iter(rng.permutation(len(source)))
    for y in range(0, high - height + 1, height):
        for x in range(0, wide - width + 1, width):
            photo = source[next(order)]
            canvas[y : y + height, x : x + width] = cv2.resize(
                photo.pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            )
            plates += [
                Box(b.x0 * scale + x, b.y0 * scale + y, b.x1 * scale + x, b.y1 * scale + y) for b in photo.faces
            ]
    return Photo(canvas, plates)


def replay(source: list[Photo], plate_width: float, seed: int, look: Look, detector: PlateDetector) -> Outcome:
    """One camera movement over the frames."""
    rng = np.random.default_rng(seed)
    cv2.setRNGSeed(seed)
    scene = plane(source, plate_width, rng)
    tracker, detect = Tracker(), Detect({Kind.PLATE: detector})
    watched = [Watched() for _ in scene.faces]
    wall = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for index in range(WARM_UP):
        look.plan(Frame(wall, index, index / FPS, 0.0), [])
    plates = found = 0
    spent = []
    for index, matrix in enumerate(path(rng), WARM_UP):
        seen = view(scene, matrix)
        frame = Frame(seen.pixels, index, index / FPS, index / FPS)
        plan = look.plan(frame, tracker.live)
        began = time.thread_time()
        detections = detect(frame, plates_only(plan))
        spent.append((time.thread_time() - began) * 1000)
        tracker.update(frame, detections)
        fresh = [track.box for track in tracker.live if track.last == frame.monotonic]
        for plate, record in zip(seen.faces, watched, strict=True):
            hit = any(plate.iou(box) >= MATCH for box in fresh)
            plates, found = plates + whole(plate), found + (hit and whole(plate))
            record.see(frame.monotonic, whole(plate), hit)
    spells = []
    for record in watched:
        record.end()
        spells += [spell for spell in record.spells if spell[1] - spell[0] >= WITHIN - 1e-6]
    in_time = sum(first is not None and first - since <= WITHIN + 1e-6 for since, _, first in spells)
    return Outcome(len(spells), in_time, plates, found, spent)


def plates_only(plan: list[Glance]) -> list[Glance]:
    """What the scheduler asks of the plate detector."""
    return [glance for glance in plan if glance.kind is Kind.PLATE]


def main() -> None:
    """Prints the table of the card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--part", choices=("dev", "valid"), default="valid")
    given = parser.parse_args()
    source = [Photo(f.levels[0], [Box(*map(float, box)) for box in f.plates]) for f in frames(given.part)]
    source, detector = [photo for photo in source if photo.faces], PlateDetector()
    print("| median plate | tracks found within 1 s | plates found, per frame | ms a frame, mean (most) |")
    print("| --- | --- | --- | --- |")
    for width in given.widths:
        made = [replay(source, width, seed, build.look(config.Look()), detector) for seed in range(REPLAYS)]
        tracks, in_time = sum(o.tracks for o in made), sum(o.in_time for o in made)
        plates, found = sum(o.plates for o in made), sum(o.found for o in made)
        spent = [ms for outcome in made for ms in outcome.milliseconds]
        print(
            f"| {width} px | {in_time} of {tracks}, {in_time / tracks:.1%} | {found / plates:.1%} "
            f"| {statistics.fmean(spent):.1f} ({max(spent):.1f}) |",
            flush=True,
        )


if __name__ == "__main__":
    main()
