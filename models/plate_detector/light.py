"""What the camera and the weather do to a picture: colour cast, infrared, exposure, blur, rain, noise, JPEG."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Picture = NDArray[Any]  # what OpenCV hands back, by its own account
Rng = np.random.Generator

_GRAIN = [np.random.default_rng(n).normal(0, 1, (448, 704, 1 + 2 * (n % 2))).astype(np.float32) for n in range(8)]


def expose(pixels: Picture, rng: Rng) -> Pixels:
    """``pixels`` (BGR, any size up to 448x704) as another camera in other conditions would have delivered it."""
    gains = np.ones(3)
    if rng.random() < 0.6:  # undo a cast, more or less
        mean = pixels[::4, ::4].reshape(-1, 3).mean(0) + 4
        gains = (mean.mean() / mean) ** rng.uniform(0.3, 1.1)
    gains = np.clip(gains, 0.4, 2.5) * rng.uniform(0.85, 1.15, 3)
    if rng.random() < 0.22:  # infrared and black-and-white night mode
        pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        gains = np.ones(3)
    gamma = rng.uniform(0.5, 1.6) if rng.random() < 0.5 else 1.0
    gain, offset = rng.uniform(0.65, 1.5), rng.uniform(-20, 25)
    if rng.random() < 0.08:  # underexposed
        gain, offset = rng.uniform(0.2, 0.6), 0.0
    tone = 255 * (np.arange(256) / 255.0) ** gamma
    table = np.clip(tone[:, None] * (gains * gain) + offset, 0, 255).astype(np.uint8)
    pixels = cv2.LUT(pixels, table[None])
    return _soften(pixels, rng)


def _soften(pixels: Picture, rng: Rng) -> Pixels:
    kind = rng.random()
    if kind < 0.18:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.4, 1.3))
    elif kind < 0.3:
        length = int(rng.integers(2, 7))
        pixels = cv2.blur(pixels, (length, 1) if rng.random() < 0.7 else (1, length))
    elif kind < 0.42:  # an over-sharpening camera
        amount = rng.uniform(0.4, 1.2)
        pixels = cv2.addWeighted(pixels, 1 + amount, cv2.GaussianBlur(pixels, (0, 0), 1.2), -amount, 0)
    if rng.random() < 0.05:
        pixels = _rain(pixels, rng)
    if rng.random() < 0.4:
        grain = _GRAIN[rng.integers(8)][: pixels.shape[0], : pixels.shape[1]]
        pixels = np.clip(pixels + grain * rng.uniform(1, 9), 0, 255).astype(np.uint8)
    if rng.random() < 0.35:
        _, code = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 90))])
        pixels = np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))
    return np.asarray(pixels, np.uint8)


def _rain(pixels: Picture, rng: Rng) -> Pixels:
    streaks = np.zeros(pixels.shape[:2], np.uint8)
    slant = rng.normal(0, 4)
    for _ in range(rng.integers(30, 160)):
        x, y, long = rng.uniform(0, pixels.shape[1]), rng.uniform(0, pixels.shape[0]), rng.uniform(6, 22)
        end = (int(x + slant * long / 22), int(y + long))
        cv2.line(streaks, (int(x), int(y)), end, int(rng.uniform(40, 160)), 1)
    veil = cv2.GaussianBlur(streaks, (0, 0), 0.7)[..., None].astype(np.float32) / 255
    return np.asarray(pixels * (1 - veil) + 215 * veil, np.uint8)
