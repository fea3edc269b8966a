"""Measures the shipped detector: ``python -m models.plate_detector.evaluate``. Prints Markdown for the card.

The street frames of the ``valid`` split are used here and nowhere else. ``--weights`` adds the float
network for comparison; ``--plate-free FOLDER`` counts false plates on pictures without any.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from edge.vision import runtime
from edge.vision.plate_detector import PlateDetector, Plates
from edge.vision.values import Detection, Pixels, Region
from models.lab import stages
from models.lab.still import analyse_still
from models.plate_detector import data, metrics, train
from models.plate_detector.net import Net
from models.plate_detector.paste import bank, box_of, paste, pose
from models.plategen import fetch_fonts

_THRESHOLDS = (0.35, 0.5, 0.7)
_HELD_OUT = 7000  # seed of plates no training step has drawn


def as_plates(found: list[Detection]) -> Plates:
    return Plates(
        np.array([d.score for d in found], np.float32),
        np.array([d.box for d in found], np.float32).reshape(-1, 4),
        np.array([d.points for d in found], np.float32).reshape(-1, 4, 2),
    )


def whole(pixels: Pixels) -> Region:
    return Region(0, 0, pixels.shape[1], pixels.shape[0])


def frames(detector: PlateDetector, sources: list[data.Source]) -> metrics.Tally:
    """One pass over each whole frame, as the look scheduler's coarse pass does."""
    tally = metrics.Tally()
    for source in sources:
        pixels = source.levels[0]
        tally.add(source.name, as_plates(detector.detect(pixels, whole(pixels))), source.plates, source.ignore)
    return tally


def readable(sources: list[data.Source], least: float) -> list[data.Source]:
    """The sources with only those labelled plates that are readable and at least ``least`` pixels wide."""
    wanted: dict[str, list[tuple[float, ...]]] = {}
    with (data.PLATES / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            x, y, w, h = (float(row[k]) for k in "xywh")
            if row["readable"] == "1" and w >= least:
                wanted.setdefault(row["image"], []).append((x, y, x + w, y + h))
    return [
        data.Source(s.name, s.levels, data.boxes(wanted[s.name]), s.plates, s.hard) for s in sources if s.name in wanted
    ]


def synthetic(detector: PlateDetector, backdrops: list[data.Source], low: float, high: float) -> metrics.Tally:
    """Unseen synthetic plates ``low`` to ``high`` pixels wide, in every pose, in 640x480 parts of backdrops."""
    rng = np.random.default_rng((_HELD_OUT, int(low)))
    faces = bank(_HELD_OUT, fetch_fonts.load(), 150)
    tally = metrics.Tally()
    for n in range(150):
        source = backdrops[int(rng.integers(len(backdrops)))]
        x, y = rng.integers(0, source.size[0] - 640), rng.integers(0, source.size[1] - 480)
        canvas = source.levels[0][y : y + 480, x : x + 640].astype(np.float32)
        face, width = faces[n], rng.uniform(low, high)
        aspect = face.shape[1] / face.shape[0]
        width *= 1 if aspect > 3 else 0.6
        at = rng.uniform(0.6 * width, 640 - 0.6 * width), rng.uniform(80, 400)
        quad = pose(rng, aspect, at, width)
        paste(canvas, rng, face, quad)
        pixels = np.clip(canvas, 0, 255).astype(np.uint8)
        others = source.plates - np.array([x, y, x, y], np.float32)
        plates = as_plates(detector.detect(pixels, whole(pixels)))
        tally.add(str(n), plates, data.boxes([box_of(quad)]), others, {0: quad})
    return tally


def milliseconds(detector: PlateDetector, pixels: Pixels, times: int = 60) -> tuple[float, float]:
    """Median and least time of one ``detect`` over the whole picture."""
    spent = []
    for _ in range(times):
        begun = time.perf_counter()
        detector.detect(pixels, whole(pixels))
        spent.append((time.perf_counter() - begun) * 1e3)
    return float(np.median(spent)), min(spent)


def plate_free(folder: Path) -> str:
    """What the camera's stages make of pictures without plates: plates found, and texts it would report."""
    path, scores, texts, count = stages.plates(), [], [], 0
    for file in sorted(p for s in ("*.jpg", "*.jpeg", "*.png", "*.webp") for p in folder.rglob(s)):
        pixels = cv2.imread(str(file))
        if file.is_symlink() or pixels is None or min(pixels.shape[:2]) < 300:
            continue
        factor = min(1.0, 1280 / max(pixels.shape[:2]))
        small = np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)
        seen = analyse_still(small, path).seen
        scores += [one.detection.score for one in seen]
        texts += [one.description.text for one in seen if one.description and stages.reported(one)]
        count += 1
    rates = ", ".join(f"{sum(s >= t for s in scores) / max(1, count) * 1000:.0f} at {t}" for t in _THRESHOLDS)
    said = f"; texts reported: {len(texts)} {texts or ''}".rstrip()
    return f"{count} pictures without plates: false plates per 1,000: {rates}{said}"


def coarse() -> metrics.Forward:
    """The shipped first network alone, its maps as the float network gives them."""
    model = runtime.load("plate-detector", threads=1)
    return lambda pixels: [maps[0] for maps in model.run(pixels[None])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="plate_detector.pt or checkpoint.pt, for the float figures")
    parser.add_argument("--plate-free", type=Path, help="folder of pictures without plates")
    parser.add_argument("--dev", action="store_true", help="the development part instead of the valid split")
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    detector = PlateDetector(threshold=0.05)
    sources = data.frames("dev" if chosen.dev else "valid")
    clear = readable(sources, 80)
    count = sum(len(s.plates) for s in sources)
    print(f"{len(sources)} frames, {count} boxes; {len(clear)} frames with readable plates >= 80 px")
    for threshold in _THRESHOLDS:
        print(f"- int8, all: {frames(detector, sources).line(threshold)}")
    print(f"- int8, readable: {frames(detector, clear).line(0.35)}")
    print(f"- int8, coarse network alone, all: {metrics.on_frames(coarse(), sources).line(0.2)}")
    if chosen.weights:
        net = Net().to(memory_format=torch.channels_last)
        state = torch.load(chosen.weights, weights_only=True)
        net.load_state_dict(state.get("average", state))
        forward = train.forward_of(net)
        print(f"- float, coarse network alone, all: {metrics.on_frames(forward, sources).line(0.2)}")
        print(f"- float, coarse network alone, readable: {metrics.on_frames(forward, clear).line(0.2)}")
    for low, high in ((25, 50), (50, 100), (100, 200), (200, 400)):
        print(f"- int8, synthetic {low}-{high} px: {synthetic(detector, sources, low, high).line(0.35)}")
    if chosen.plate_free:
        print(f"- {plate_free(chosen.plate_free)}")
    for width, height in ((640, 480), (1280, 720), (1920, 1080)):
        pixels = np.asarray(cv2.resize(sources[0].levels[0], (width, height)), np.uint8)
        median, least = milliseconds(detector, pixels)
        print(f"- {width}x{height}: median {median:.1f} ms, least {least:.1f} ms, one thread")


if __name__ == "__main__":
    main()
