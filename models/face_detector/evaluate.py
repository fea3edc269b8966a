"""Measures the face detector on real photos: recall by face height, false alarms, time.

Run ``python -m models.face_detector.evaluate``; needs npm once. The photos are the six demo photos of
the pinned face-api package (MIT), 22 faces, whose boxes in ``labels.csv`` were found by this detector at
full size and checked by eye. So recall is relative to what it sees of a large face. Every test frame is
1920x1080 and filled with the photos, scaled so that the median face has the height asked for, at random
places and mirrored at random. The side of the tiles was chosen on these photos, and nothing else.
"""

from __future__ import annotations

import csv
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge.vision.detect import Detect
from edge.vision.face_detector import BORDERS, FaceDetector, still_regions
from edge.vision.look import Glance
from edge.vision.values import Box, Detection, Frame, Kind, Pixels, Region
from models.face_embedder.source import unpack

WIDTH, HEIGHT = 1920, 1080
HEIGHTS = (20, 24, 32, 40, 48, 64, 96)
FRAMES = 8
MATCH = 0.4  # least intersection over union of a hit: boxes of small faces are a few pixels off


class Photo(NamedTuple):
    """A photo and its faces."""

    pixels: Pixels
    faces: list[Box]


class Outcome(NamedTuple):
    """What one frame gave."""

    faces: int
    found: int
    false: int
    seconds: float


def photos(package: Path) -> list[Photo]:
    """The labelled photos of an unpacked package."""
    boxes: dict[str, list[Box]] = {}
    with (Path(__file__).parent / "labels.csv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            boxes.setdefault(row["photo"], []).append(Box(*(float(row[side]) for side in ("x0", "y0", "x1", "y1"))))
    read = {name: cv2.imread(str(package / "package" / "demo" / name)) for name in boxes}
    return [Photo(np.asarray(read[name], np.uint8), faces) for name, faces in boxes.items()]


def scaled(photo: Photo, scale: float, mirrored: bool) -> Photo:
    """``photo`` smaller by ``scale``, its faces with it."""
    height, width = (round(side * scale) for side in photo.pixels.shape[:2])
    pixels = np.asarray(cv2.resize(photo.pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    faces = [Box(*(side * scale for side in face)) for face in photo.faces]
    if mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        faces = [Box(width - face.x1, face.y0, width - face.x0, face.y1) for face in faces]
    return Photo(pixels, faces)


def frames(source: list[Photo], face_height: float, seed: int = 7) -> Iterator[Photo]:
    """Frames filled with the photos in rows at random places, up to 5 % smaller or larger than asked.

    Only whole photos are placed, so every face is whole.
    """
    rng = np.random.default_rng(seed)
    middle = face_height / statistics.median(face.height for photo in source for face in photo.faces)
    for _ in range(FRAMES):
        canvas, faces = np.full((HEIGHT, WIDTH, 3), rng.integers(0, 256), np.uint8), []
        x, y = (int(start) for start in rng.integers(0, 60, 2))
        below = y
        for index in rng.permutation(np.repeat(np.arange(len(source)), 20)):
            small = scaled(source[index], middle * rng.uniform(0.95, 1.05), bool(rng.integers(2)))
            height, width = small.pixels.shape[:2]
            if x + width > WIDTH:
                x, y = int(rng.integers(60)), below + int(rng.integers(60))
            if x + width > WIDTH or y + height > HEIGHT:
                break
            canvas[y : y + height, x : x + width] = small.pixels
            faces += [Box(f.x0 + x, f.y0 + y, f.x1 + x, f.y1 + y) for f in small.faces]
            x, below = x + width + int(rng.integers(60)), max(below, y + height)
        yield Photo(canvas, faces)


def hits(faces: list[Box], detections: list[Detection]) -> int:
    """How many ``faces`` have a detection of their own, best pairs first."""
    pairs = sorted(((face.iou(d.box), i, j) for i, face in enumerate(faces) for j, d in enumerate(detections)))
    used: tuple[set[int], set[int]] = (set(), set())
    for overlap, i, j in reversed(pairs):
        if overlap >= MATCH and i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
    return len(used[0])


def examine(detect: Detect, photo: Photo, regions: list[Region]) -> Outcome:
    """One frame through ``regions``."""
    frame = Frame(photo.pixels, 0, 0.0, 0.0)
    began = time.perf_counter()
    detections = detect(frame, [Glance(Kind.FACE, region) for region in regions])
    seconds = time.perf_counter() - began
    found = hits(photo.faces, detections)
    return Outcome(len(photo.faces), found, len(detections) - found, seconds)


def recall(source: list[Photo], detect: Detect, face_height: float, regions: list[Region]) -> list[Outcome]:
    """Outcomes of all frames at one face height."""
    return [examine(detect, frame, regions) for frame in frames(source, face_height)]


def table(source: list[Photo], tile: int) -> str:
    """Recall by height for one pass over the frame and for full tiling, as Markdown."""
    detect = Detect({Kind.FACE: FaceDetector()})
    whole = [Region(0, 0, WIDTH, HEIGHT)]
    tiled = whole + still_regions(WIDTH, HEIGHT, tile)[len(BORDERS) :]
    lines = [
        f"{tile} px tiles, 25 % overlap, and one pass over the whole: {len(tiled)} passes\n",
        "| face height | faces | found in one pass | found tiled | false alarms a frame, tiled | ms tiled |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for height in HEIGHTS:
        one, all_tiles = (recall(source, detect, height, regions) for regions in (whole, tiled))
        faces = sum(o.faces for o in one)
        shares = [f"{sum(o.found for o in outcomes) / faces:.1%}" for outcomes in (one, all_tiles)]
        false = sum(o.false for o in all_tiles) / len(all_tiles)
        spent = statistics.median(o.seconds for o in all_tiles) * 1000
        lines.append(f"| {height} px | {faces} | {shares[0]} | {shares[1]} | {false:.1f} | {spent:.0f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    labelled = photos(unpack())
    for side in (480, 432, 384):
        print(table(labelled, side), flush=True)
