"""Where the training pictures come from: labelled street frames, photographs without plates, labels by hand."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plate_detector.paint import car
from models.plategen.fonts import Fonts

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float32]
Bounds = tuple[float, float, float, float]

SHARED = Path(os.environ.get("VIDIK_SHARED", Path(__file__).parents[3] / "shared"))
PLATES = SHARED / "data" / "plates-ro"
PHOTOS = Path(os.environ.get("VIDIK_PHOTOS", "/usr/share/doc/opencv-doc"))  # Debian package opencv-doc, or any folder
LABELS = Path(__file__).with_name("labels.json")

# stretches of the train split's drives (seconds) that are kept out of training, to choose things by
DEV = {
    "dayride_type1_001": ((888, 900), (1297, 1302), (1390, 1414)),
    "dayride_type1_003": ((80, 125),),
    "nightride_type3_001": ((256, 353),),
}
# photographs in that package that show vehicles, whose plates nobody has labelled
_VEHICLES = re.compile(
    r"licenseplate|bus|scenetext01|meanshift|camshift|opticalflow|pexels|back_project|car", re.IGNORECASE
)


@dataclass
class Source:
    """A picture to cut training samples from.

    ``levels`` are the picture at full, half and quarter size; boxes ``(n, 4)`` are in full-size pixels.
    ``quads`` has corners where they are known, by the plate's index. ``recess`` marks boxes that stand for
    an empty place of a plate. ``hard`` are boxes that an earlier network took for plates.
    """

    name: str
    levels: list[Pixels]
    plates: Boxes
    ignore: Boxes
    hard: Boxes
    quads: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    recess: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.levels[0].shape[1], self.levels[0].shape[0]


def boxes(values: Iterable[Iterable[float]] = ()) -> Boxes:
    return np.array(list(values), np.float32).reshape(-1, 4)


def pyramid(pixels: Pixels) -> list[Pixels]:
    levels = [pixels]
    for _ in range(2):
        height, width = levels[-1].shape[:2]
        levels.append(
            np.asarray(cv2.resize(levels[-1], (width // 2, height // 2), interpolation=cv2.INTER_AREA), np.uint8)
        )
    return levels


def is_dev(image: str) -> bool:
    drive, second = re.fullmatch(r"(.*)_t(\d+)\.jpg", image).groups()  # type: ignore[union-attr]
    return any(first <= int(second) <= last for first, last in DEV.get(drive, ()))


def frames(part: str) -> list[Source]:
    """Street frames of ``part``: ``train`` or ``dev`` (both of the train split) or ``valid``.

    Corrections made by hand (``labels.json``, train split only) are merged in.
    """
    found: dict[str, list[tuple[float, ...]]] = {}
    with (PLATES / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            x, y, w, h = (float(row[k]) for k in "xywh")
            if row["split"] == ("valid" if part == "valid" else "train"):
                found.setdefault(row["image"], []).append((x, y, x + w, y + h))
    extra = json.loads(LABELS.read_text(encoding="utf-8")) if part != "valid" else {}
    out = []
    for name, plates in found.items():
        if part != "valid" and is_dev(name) != (part == "dev"):
            continue
        more = extra.get(name, {})
        pixels = np.asarray(cv2.imread(str(PLATES / "images" / name)), np.uint8)
        source = Source(
            name,
            pyramid(pixels),
            boxes([*plates, *more.get("plate", ())]),
            boxes(more.get("ignore", ())),
            boxes(more.get("hard", ())),
        )
        for n, quad in more.get("corners", {}).items():
            source.quads[int(n)] = np.array(quad, np.float32).reshape(4, 2)
        out.append(source)
    return out


def photos(limit: int = 400) -> list[Source]:
    """Pictures without plates from ``VIDIK_PHOTOS``, at most 1000 pixels a side; empty if there are none."""
    out: list[Source] = []
    seen: set[bytes] = set()
    for path in sorted(p for s in ("*.jpg", "*.png") for p in PHOTOS.rglob(s)):
        if len(out) == limit:
            break
        if path.is_symlink() or _VEHICLES.search(path.name) or path.stat().st_size < 20_000:
            continue
        pixels = cv2.imread(str(path))
        if pixels is None or min(pixels.shape[:2]) < 200 or max(pixels.shape[:2]) < 300:
            continue
        small = cv2.resize(pixels, (64, 64), interpolation=cv2.INTER_AREA)
        mark = (cv2.resize(small, (16, 16), interpolation=cv2.INTER_AREA) // 24).tobytes()
        colours = len(np.unique((small // 8).reshape(-1, 3), axis=0))
        if mark in seen or colours < 150:  # a copy, or a drawing
            continue
        seen.add(mark)
        factor = min(1.0, 1000 / max(pixels.shape[:2]))
        pixels = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        out.append(Source(path.name, pyramid(np.asarray(pixels, np.uint8)), boxes(), boxes(), boxes()))
    return out


def cars(seed: int, fonts: Fonts, backdrops: list[Source], count: int) -> list[Source]:
    """``count`` painted cars, each before a random part of a backdrop without plates."""
    rng = np.random.default_rng(seed)
    out = []
    for n in range(count):
        pixels = (
            backdrops[rng.integers(len(backdrops))].levels[0]
            if backdrops
            else rng.integers(0, 255, (4, 6, 3), np.uint8)
        )
        height, width = pixels.shape[:2]
        x, y = int(rng.uniform(0, 0.4) * width), int(rng.uniform(0, 0.4) * height)
        painted = car(
            rng, fonts, np.asarray(pixels[y : y + int(0.6 * height) + 2, x : x + int(0.6 * width) + 2], np.uint8)
        )
        out.append(
            Source(
                f"car{n}", pyramid(painted.pixels), boxes([painted.recess]), boxes(), boxes(painted.junk), recess=True
            )
        )
    return out
