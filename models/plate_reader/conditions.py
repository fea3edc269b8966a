"""How reading falls with bad conditions: ``python -m models.plate_reader.conditions``; draws ``conditions.png``.

Photographed plates (valid split of plates-ro, 80 px and more) and drawn Serbian ones in kept-back typefaces, each
made worse by one cause at a time, step by step. Needs matplotlib.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

mpl.use("Agg")

from matplotlib import pyplot as plt

from edge.vision.plate_reader import PlateReader, vote
from models.plate_reader.evaluate import SEED, boxes
from models.plate_reader.samples import Group, singles

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]
Shot = tuple[Pixels, Floats]
Change = Callable[[np.random.Generator, Pixels, Floats, float], Shot]


@dataclass(frozen=True)
class Cause:
    """One way in which pictures get worse; ``levels`` go from harmless to bad."""

    name: str
    unit: str
    levels: tuple[float, ...]
    change: Change


def _clip(values: NDArray[np.float64]) -> Pixels:
    return np.asarray(np.clip(values, 0, 255), np.uint8)


def _width(_: np.random.Generator, pixels: Pixels, corners: Floats, width: float) -> Shot:
    scale = width / float(np.ptp(corners[:, 0]))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    shrunk = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=way)
    return np.asarray(shrunk, np.uint8), np.asarray(corners * scale, np.float32)


def _blur(_: np.random.Generator, pixels: Pixels, corners: Floats, share: float) -> Shot:
    sigma = max(0.01, share / 100 * float(np.ptp(corners[:, 0])))
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8), corners


def _motion(_: np.random.Generator, pixels: Pixels, corners: Floats, share: float) -> Shot:
    size = max(1, round(share / 100 * float(np.ptp(corners[:, 0]))))
    return np.asarray(cv2.blur(pixels, (size, 1)), np.uint8), corners


def _noise(rng: np.random.Generator, pixels: Pixels, corners: Floats, sigma: float) -> Shot:
    return _clip(pixels + rng.normal(0, sigma, pixels.shape)), corners


def _dark(rng: np.random.Generator, pixels: Pixels, corners: Floats, share: float) -> Shot:
    return _clip(pixels * (1 - share / 100) + rng.normal(0, 3, pixels.shape)), corners


def _glare(rng: np.random.Generator, pixels: Pixels, corners: Floats, strength: float) -> Shot:
    y, x = np.mgrid[0 : pixels.shape[0], 0 : pixels.shape[1]].astype(np.float64)
    wide, high = np.ptp(corners, axis=0)
    middle = corners.mean(0) + rng.uniform(-0.4, 0.4, 2) * (wide, high)
    far = ((x - middle[0]) / (0.2 * wide)) ** 2 + ((y - middle[1]) / (0.5 * high)) ** 2
    return _clip(pixels + strength * np.exp(-far)), corners


def _rain(rng: np.random.Generator, pixels: Pixels, corners: Floats, count: float) -> Shot:
    streaks = np.zeros(pixels.shape, np.uint8)
    (x0, y0), (x1, y1) = corners.min(0), corners.max(0)
    for _ in range(int(count)):
        x, y = rng.uniform(x0, x1), rng.uniform(y0 - (y1 - y0) / 2, y1)
        end = (round(x + 0.1 * (y1 - y0)), round(y + 0.6 * (y1 - y0)))
        cv2.line(streaks, (round(x), round(y)), end, 90, 1, cv2.LINE_AA)
    return _clip(pixels.astype(np.float64) + streaks), corners


def _dirt(rng: np.random.Generator, pixels: Pixels, corners: Floats, share: float) -> Shot:
    film = cv2.resize(rng.uniform(0, 1, (5, 12)), pixels.shape[::-1], interpolation=cv2.INTER_CUBIC)
    alpha = np.clip(film * 2 * share / 100, 0, 1)
    return _clip(pixels * (1 - alpha) + 90 * alpha), corners


def _turned(pixels: Pixels, corners: Floats, yaw: float, pitch: float) -> Shot:
    height, width = pixels.shape
    size = float(np.ptp(corners[:, 0]))
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)

    def seen(points: NDArray[np.float64]) -> NDArray[np.float64]:
        u, v = ((points - corners.mean(0)) / size).T
        a, b = np.deg2rad(yaw), np.deg2rad(pitch)
        depth = 4 + u * np.sin(a) * np.cos(b) + v * np.sin(b)
        flat = np.stack([u * np.cos(a), v * np.cos(b) - u * np.sin(a) * np.sin(b)], 1)
        return np.asarray(flat * size * 4 / depth[:, None] + corners.mean(0), np.float64)

    matrix = cv2.getPerspectiveTransform(frame.astype(np.float32), seen(frame).astype(np.float32))
    out = cv2.warpPerspective(pixels, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    moved = cv2.perspectiveTransform(corners[None].astype(np.float64), matrix)[0]
    return np.asarray(out, np.uint8), np.asarray(moved, np.float32)


CAUSES = (
    Cause("width", "px", (200, 150, 120, 100, 80, 70, 60, 50), _width),
    Cause("blur", "% of the width", (0, 0.5, 0.8, 1.1, 1.4, 1.7, 2.0), _blur),
    Cause("motion blur", "% of the width", (0, 2, 3, 4, 5, 6, 7), _motion),
    Cause("noise", "grey levels", (0, 8, 16, 24, 32, 40, 48), _noise),
    Cause("darkness", "% of the light", (0, 50, 70, 80, 88, 93), _dark),
    Cause("glare", "grey levels", (0, 50, 100, 150, 200, 255), _glare),
    Cause("rain", "streaks", (0, 10, 20, 40, 60, 80), _rain),
    Cause("dirt", "% cover", (0, 15, 30, 45, 60, 75), _dirt),
    Cause("yaw", "degrees", (0, 10, 20, 30, 40, 45, 50, 60), lambda _r, p, c, v: _turned(p, c, v, 0)),
    Cause("pitch", "degrees", (0, 10, 20, 30, 40, 50, 60), lambda _r, p, c, v: _turned(p, c, 0, v)),
)


def exact(reader: PlateReader, groups: list[Group], cause: Cause, level: float) -> float:
    """The share of ``groups`` (one shot each) still read exactly when ``cause`` has this ``level``."""
    right = 0
    for number, group in enumerate(groups):
        rng = np.random.default_rng([SEED, number])
        pixels, corners = cause.change(rng, *group.shots[0], level)
        seen = vote([reader.read(pixels, corners)], [1.0])
        right += seen is not None and seen.text == group.text
    return right / len(groups)


def main() -> None:
    """Measures, prints and draws."""
    reader = PlateReader()
    sets = {"photographed": boxes("valid", 80), "drawn Serbian": singles(SEED + 20, 300, "RS", 0.3)}
    figure, axes = plt.subplots(2, 5, figsize=(15, 6), sharey=True)
    for cause, axis in zip(CAUSES, axes.flat, strict=True):
        for name, groups in sets.items():
            shares = [100 * exact(reader, groups, cause, level) for level in cause.levels]
            row = ", ".join(f"{level:g}: {share:.0f} %" for level, share in zip(cause.levels, shares, strict=True))
            print(f"| {cause.name} ({cause.unit}), {name} | {row} |", flush=True)
            axis.plot(cause.levels, shares, marker="o", label=name)
        axis.set_title(f"{cause.name} ({cause.unit})", fontsize=10)
        axis.grid(alpha=0.3)
    axes[0][0].invert_xaxis()
    axes[0][0].set_ylabel("exactly read, %")
    axes[1][0].set_ylabel("exactly read, %")
    axes[0][0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(Path(__file__).with_name("conditions.png"), dpi=80)


if __name__ == "__main__":
    main()
