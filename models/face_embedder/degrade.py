"""Worse photos from good ones, to see whether the quality score foretells how well a face is recognised."""

from __future__ import annotations

import cv2
import numpy as np

from edge.vision.values import Pixels

FAULTS = ("none", "small", "blurred", "lit", "covered", "several")


def degrade(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """``photo`` with one fault of ``FAULTS`` at a random strength, or several, and some sensor noise."""
    fault = FAULTS[rng.integers(len(FAULTS))]
    out = photo
    if fault in {"small", "several"}:
        out = _shrunk(out, rng.uniform(0.15 if fault == "small" else 0.3, 1))
    if fault in {"blurred", "several"}:
        out = _blurred(out, rng)
    if fault in {"lit", "several"}:
        out = np.clip(out * rng.uniform(0.08, 2.6) + rng.uniform(-40, 60), 0, 255).astype(np.uint8)
    if fault == "covered":
        out = _covered(out, rng)
    noise = rng.normal(0, rng.uniform(0, 6), out.shape[:2])[..., np.newaxis]
    return np.clip(out + noise, 0, 255).astype(np.uint8)


def _shrunk(photo: Pixels, scale: float) -> Pixels:
    height, width = photo.shape[:2]
    size = max(12, int(width * scale)), max(14, int(height * scale))
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def _blurred(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Out of focus or moved sideways, by up to 4 % of the height."""
    sigma = rng.uniform(0.003, 0.036) * photo.shape[0]
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(photo, (0, 0), max(sigma, 0.3)), np.uint8)
    length = max(1, int(3 * sigma)) | 1
    return np.asarray(cv2.blur(photo, (length, 1)), np.uint8)


def _covered(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """A band of one tone over the top, the bottom or a side."""
    out, share = photo.copy(), rng.uniform(0.15, 0.5)
    rows, columns = int(photo.shape[0] * share), int(photo.shape[1] * share)
    bands = (np.s_[: rows + photo.shape[0] // 5], np.s_[-rows:], np.s_[:, :columns], np.s_[:, -columns:])
    out[bands[rng.integers(len(bands))]] = rng.integers(256)
    return out
