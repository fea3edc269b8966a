"""Photographs for the reader: the train split of ``plates-ro``, a part to learn from and a part to choose by."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

# Stretches of road kept from learning, for choices and for calibration: ride, from second, to second. No
# plate in them is anywhere else in the split.
_KEPT = (("dayride_type1_001", 1320, 1560), ("dayride_type1_002", 0, 9999), ("nightride_type3_001", 380, 9999))


@dataclass(frozen=True)
class Crop:
    """A labelled plate: ``pixels`` grey ``(h, w)`` with surroundings, ``box`` x0, y0, x1, y1 in them."""

    pixels: Pixels
    box: tuple[float, float, float, float]
    text: str
    width: int

    def corners(self, grow: Floats | None = None) -> Floats:
        """The box as corners ``(4, 2)``, moved outwards by ``grow`` (left, top, right, bottom; shares of its size)."""
        x0, y0, x1, y1 = self.box
        left, top, right, bottom = np.zeros(4) if grow is None else grow
        wide, high = x1 - x0, y1 - y0
        x0, x1, y0, y1 = x0 - left * wide, x1 + right * wide, y0 - top * high, y1 + bottom * high
        return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)


def shared() -> Path:
    """The folder with the data sets: ``VIDIK_SHARED``, or ``../shared`` beside the repository."""
    return Path(os.environ.get("VIDIK_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")


def _kept(name: str) -> bool:
    match = re.fullmatch(r"(.*)_t(\d+)\.jpg", name)
    return match is not None and any(match[1] == ride and a <= int(match[2]) <= b for ride, a, b in _KEPT)


def _rows(part: str) -> list[dict[str, str]]:
    split = "valid" if part == "valid" else "train"
    with (shared() / "data" / "plates-ro" / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    if split == "valid":
        return rows
    return [row for row in rows if _kept(row["image"]) == (part == "dev")]


def _grey(name: str) -> Pixels:
    path = shared() / "data" / "plates-ro" / "images" / name
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise FileNotFoundError(f"{path} cannot be read; set VIDIK_SHARED to the folder that has data/plates-ro.")
    return np.asarray(picture, np.uint8)


def plates(part: str) -> list[Crop]:
    """The readable plates of ``part``: ``learn`` and ``dev`` (train split), or ``valid``, for the final report only."""
    crops = []
    for row in _rows(part):
        if row["readable"] != "1":
            continue
        x, y, w, h = (int(row[k]) for k in "xywh")
        pad_x, pad_y = int(w * 0.35), int(h * 0.7)
        whole = cv2.copyMakeBorder(_grey(row["image"]), pad_y, pad_y, pad_x, pad_x, cv2.BORDER_REPLICATE)
        pixels = np.asarray(whole[y : y + h + 2 * pad_y, x : x + w + 2 * pad_x], np.uint8)
        crops.append(Crop(pixels, (pad_x, pad_y, pad_x + w, pad_y + h), row["text"], w))
    return crops


def empty_frames(part: str) -> list[tuple[Pixels, list[tuple[int, int, int, int]]]]:
    """Frames of ``part`` with the boxes x, y, w, h of all their known plates, to cut non-plates from."""
    boxes: dict[str, list[tuple[int, int, int, int]]] = {}
    for row in _rows(part):
        box = (int(row["x"]), int(row["y"]), int(row["w"]), int(row["h"]))
        boxes.setdefault(row["image"], []).append(box)
    return [(_grey(name), found) for name, found in boxes.items()]


def elsewhere(
    rng: np.random.Generator, frame: Pixels, boxes: list[tuple[int, int, int, int]], tries: int = 20
) -> Pixels | None:
    """A plate-shaped cut of ``frame`` that touches none of ``boxes``; ``None`` if none was found."""
    height, width = frame.shape
    for _ in range(tries):
        w = int(rng.uniform(45, 260))
        h = int(w / rng.uniform(1.2, 5.5))
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        cut = frame[y : y + h, x : x + w]
        near = [(bx, by) for bx, by, bw, bh in boxes if x - bw < bx + 10 < x + w + 20 and y - bh < by + 10 < y + h + 20]
        if not near and cut.std() > 12:
            return np.asarray(cut, np.uint8)
    return None
