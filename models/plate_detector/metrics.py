"""Scoring of detections against labelled boxes and corners; used while training and for the model card."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.vision.plate_detector import Plates, decode, suppress
from models.plate_detector.data import Boxes, Source

Pixels = NDArray[np.uint8]
Forward = Callable[[Pixels], list[NDArray[np.float32]]]  # picture (h, w, 3) to score, box, corners, each (h, w, c)
Quad = NDArray[np.float32]

BINS = ((20, 40), (40, 60), (60, 80), (80, 110), (110, 160), (160, 9999))


def find(forward: Forward, pixels: Pixels, threshold: float = 0.05) -> Plates:
    score, box, corners = forward(pixels)
    return suppress(decode([found[None] for found in (score, box, corners)], threshold))


def overlap(box: NDArray[np.float32], others: Boxes) -> NDArray[np.float32]:
    """Intersection over union of one box ``(4,)`` with each of ``(n, 4)``."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1)
    return np.asarray(both / (np.prod(box[2:] - box[:2]) + areas - both + 1e-6), np.float32)


@dataclass
class Tally:
    """Counts over pictures. ``hits`` has, per labelled plate, its width and the score it was found with (or 0)."""

    pictures: int = 0
    hits: list[tuple[float, float]] = field(default_factory=list)
    strays: list[tuple[float, str, tuple[float, ...]]] = field(default_factory=list)
    tops: list[bool] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    def add(self, name: str, plates: Plates, truth: Boxes, ignore: Boxes, quads: dict[int, Quad] | None = None) -> None:
        """Counts one picture. A plate is found when a box overlaps its label by half (each label once)."""
        self.pictures += 1
        found = np.zeros(len(truth), np.float32)
        for n, (score, box, corners) in enumerate(zip(*plates, strict=True)):
            shared = overlap(box, truth) * (found == 0)
            hit = len(truth) > 0 and shared.max() >= 0.5
            if hit:
                at = int(shared.argmax())
                found[at] = score
                if quads and at in quads:
                    self.errors.append(corner_error(corners, quads[at]))
            elif not _inside_any(box, ignore) and not _inside_any(box, truth):
                self.strays.append((float(score), name, tuple(float(v) for v in box)))
            if n == 0 and len(truth):
                self.tops.append(bool(hit) or _inside_any(box, ignore))
        if len(truth) and not len(plates.scores):
            self.tops.append(False)
        self.hits += [(float(b[2] - b[0]), float(f)) for b, f in zip(truth, found, strict=True)]

    def recall(self, low: float, high: float, threshold: float) -> tuple[int, int]:
        """Plates of a width in ``[low, high)`` found with at least ``threshold``, and how many there are."""
        scores = [s for w, s in self.hits if low <= w < high]
        return sum(s >= threshold for s in scores), len(scores)

    def stray_rate(self, threshold: float) -> float:
        return sum(s >= threshold for s, _, _ in self.strays) / max(1, self.pictures)

    def line(self, threshold: float) -> str:
        parts = []
        for low, high in BINS:
            found, of = self.recall(low, high, threshold)
            if of:
                parts.append(f"{low}-{'' if high > 9000 else high}: {found}/{of}")
        found, of = self.recall(0, 1e9, threshold)
        text = f"recall@{threshold} {found}/{of} ({', '.join(parts)}); top-1 {sum(self.tops)}/{len(self.tops)}"
        text += f"; strays a picture {self.stray_rate(threshold):.3f}"
        if self.errors:
            mean, most = np.mean(self.errors), np.percentile(self.errors, 95)
            text += f"; corner error mean {mean:.2f} %, p95 {most:.2f} % of width"
        return text


def corner_error(found: Quad, truth: Quad) -> float:
    """Mean distance of the four corners, in percent of the plate's (top edge) width."""
    width = float(np.hypot(*(truth[1] - truth[0])))
    return float(np.hypot(*(found - truth).T).mean() / width * 100)


def _inside_any(box: NDArray[np.float32], others: Boxes) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    inside = (x > others[:, 0]) & (x < others[:, 2]) & (y > others[:, 1]) & (y < others[:, 3])
    return bool(inside.any())


def on_frames(forward: Forward, sources: list[Source], width: int = 640, height: int = 384) -> Tally:
    """One pass over each picture, scaled to fit ``width`` x ``height`` at the top left, black elsewhere."""
    tally = Tally()
    for source in sources:
        wide, tall = source.size
        scale = min(width / wide, height / tall)
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: round(tall * scale), : round(wide * scale)] = fitted(source, scale)
        plates = find(forward, canvas)
        plates = Plates(plates.scores, plates.boxes / np.float32(scale), plates.corners / np.float32(scale))
        tally.add(source.name, plates, source.plates, source.ignore, source.quads)
    return tally


def fitted(source: Source, scale: float) -> Pixels:
    """The whole picture at ``scale``."""
    import cv2  # noqa: PLC0415 - scoring of ready detections does without

    wide, tall = source.size
    size = (round(wide * scale), round(tall * scale))
    return np.asarray(cv2.resize(source.levels[0], size, interpolation=cv2.INTER_AREA), np.uint8)
