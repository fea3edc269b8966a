"""Looks at the training frames with a half-trained network: ``python -m models.plate_detector.mine WEIGHTS OUT``.

Writes two lists and contact sheets of them into the folder ``OUT``, to be judged by eye and entered into
``labels.json``: ``strays`` are detections that no label explains (a plate nobody boxed, a smear to ignore,
or something to learn from as ``hard``); ``corners`` are the corners of labelled plates, averaged over
several views. Street frames of the training part only.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from models.plate_detector import data, metrics, train
from models.plate_detector.net import Net

Pixels = NDArray[np.uint8]
Quad = NDArray[np.float32]

_WIDTH, _HEIGHT = 640, 384


def view(source: data.Source, scale: float, x: float, y: float, mirrored: bool = False) -> tuple[Pixels, Quad]:
    """``_WIDTH`` x ``_HEIGHT`` pixels of the source round ``x, y``, and the matrix back to its pixels."""
    level = 0 if scale > 0.6 else 1
    sign = -1.0 if mirrored else 1.0
    forth = np.array(
        [[sign * scale, 0, _WIDTH / 2 - sign * scale * x], [0, scale, _HEIGHT / 2 - scale * y]], np.float32
    )
    picture = cv2.warpAffine(
        source.levels[level], forth * np.array([2**level, 2**level, 1], np.float32), (_WIDTH, _HEIGHT)
    )
    return np.asarray(picture, np.uint8), np.asarray(cv2.invertAffineTransform(forth), np.float32)


def strays(forward: metrics.Forward, source: data.Source, threshold: float) -> list[tuple[float, list[float]]]:
    """Score and box of what no label of ``source`` explains, best first, over a coarse view and fine ones."""
    wide, tall = source.size
    views = [(0.5, wide / 2, tall / 2)]
    views += [(1.0, x, y) for x in (320, wide / 2, wide - 320) for y in (192, tall / 2, tall - 192)]
    views += [(1.8, x, tall / 2) for x in (180, wide / 2, wide - 180)]
    known = np.concatenate([source.plates, source.ignore, source.hard])
    found: list[tuple[float, list[float]]] = []
    for scale, x, y in views:
        picture, back = view(source, scale, x, y)
        plates = metrics.find(forward, picture, threshold)
        for score, box in zip(plates.scores, plates.boxes, strict=True):
            whole = box[0] > 2 and box[1] > 2 and box[2] < _WIDTH - 2 and box[3] < _HEIGHT - 2
            moved = (box.reshape(2, 2) @ back[:, :2].T + back[:, 2]).reshape(4)
            centre = (moved[:2] + moved[2:]) / 2
            explained = ((centre > known[:, :2]) & (centre < known[:, 2:])).all(1).any()
            if whole and not explained and moved[2] - moved[0] > 12:
                found.append((float(score), [round(float(v), 1) for v in moved]))
    kept: list[tuple[float, list[float]]] = []
    for score, box in sorted(found, reverse=True):
        middle = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        if not any(b[0] < middle[0] < b[2] and b[1] < middle[1] < b[3] for _, b in kept):
            kept.append((score, box))
    return kept


def corners(forward: metrics.Forward, source: data.Source, plate: NDArray[np.float32]) -> tuple[Quad, float] | None:
    """Mean corners of a labelled plate over views of several sizes, and their spread in percent of its width."""
    x, y = float(plate[0] + plate[2]) / 2, float(plate[1] + plate[3]) / 2
    width = float(plate[2] - plate[0])
    found = []
    for aim in (100, 150, 220):
        for mirrored in (False, True):
            picture, back = view(source, min(4.0, aim / width), x + width * 0.1, y, mirrored)
            plates = metrics.find(forward, picture, 0.3)
            for quad in plates.corners:
                moved = quad @ back[:, :2].T + back[:, 2]
                moved = moved[[1, 0, 3, 2]] if mirrored else moved
                if np.hypot(*(moved.mean(0) - [x, y])) < 0.15 * width:
                    found.append(moved)
                    break
    if len(found) < 4:
        return None
    middle = np.median(found, axis=0)
    return middle.astype(np.float32), float(np.hypot(*(np.array(found) - middle).T).mean() / width * 100)


def tile(
    source: data.Source, box: Any, label: str, quad: Quad | None = None, size: tuple[int, int] = (150, 84)
) -> Pixels:
    """A small picture of ``box`` and its surroundings for a contact sheet."""
    scale = size[0] / max(30.0, (box[2] - box[0]) * (1.25 if quad is not None else 2.2))
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    matrix = np.array([[scale, 0, size[0] / 2 - scale * x], [0, scale, size[1] / 2 - scale * y]], np.float32)
    picture = cv2.convertScaleAbs(cv2.warpAffine(source.levels[0], matrix, size), alpha=1.4)
    shape = np.array([[box[0], box[1]], [box[2], box[1]], [box[2], box[3]], [box[0], box[3]]]) if quad is None else quad
    points = (shape @ matrix[:, :2].T + matrix[:, 2]) * 8
    cv2.polylines(picture, [points.round().astype(np.int32)], True, (0, 255, 0), 1, cv2.LINE_AA, 3)
    cv2.putText(picture, label, (2, 11), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1, cv2.LINE_AA)
    return np.asarray(picture, np.uint8)


def sheet(tiles: list[Pixels], file: Path, columns: int = 10) -> None:
    while len(tiles) % columns:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[n : n + columns]) for n in range(0, len(tiles), columns)]
    cv2.imwrite(str(file), np.vstack(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threshold", type=float, default=0.25)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    net = Net().to(memory_format=torch.channels_last)
    state = torch.load(chosen.weights, weights_only=True)
    net.load_state_dict(state.get("average", state))
    forward = train.forward_of(net)
    chosen.out.mkdir(parents=True, exist_ok=True)
    found, quads, pictures = [], [], {}
    for source in data.frames("train"):
        pictures[source.name] = source
        found += [(score, source.name, box) for score, box in strays(forward, source, chosen.threshold)]
        for n, plate in enumerate(source.plates):
            made = corners(forward, source, plate) if plate[2] - plate[0] >= 50 else None
            if made is not None:
                quads.append((made[1], source.name, n, [round(float(v), 1) for v in made[0].reshape(-1)]))
    found.sort(reverse=True)
    quads.sort(reverse=True)
    (chosen.out / "strays.json").write_text(json.dumps(found))
    (chosen.out / "corners.json").write_text(json.dumps(quads))
    for start in range(0, len(found), 100):
        some = [tile(pictures[k], b, f"{start + i} {s:.2f}") for i, (s, k, b) in enumerate(found[start : start + 100])]
        sheet(some, chosen.out / f"strays{start}.png")
    for start in range(0, len(quads), 100):
        part = enumerate(quads[start : start + 100])
        some = [
            tile(pictures[k], pictures[k].plates[n], f"{start + i} {s:.1f}", np.reshape(q, (4, 2)))
            for i, (s, k, n, q) in part
        ]
        sheet(some, chosen.out / f"corners{start}.png")
    print(f"{len(found)} strays, {len(quads)} plates with corners")


if __name__ == "__main__":
    main()
