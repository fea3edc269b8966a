"""Synthetic plates with known corners, photographed into a picture: pose, mounting, light, blur."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plategen.draw import draw
from models.plategen.fonts import Fonts

Canvas = NDArray[np.float32]
Quad = NDArray[np.float32]
Rng = np.random.Generator

LOOSE_X, LOOSE_Y = 0.04, 0.07  # margins of a box round its corners, as the hand-drawn boxes have them


def bank(seed: int, fonts: Fonts, count: int) -> list[NDArray[np.uint8]]:
    """``count`` plate faces of all countries, ``uint8`` BGR, about 0.7 pixels per millimetre."""
    rng = np.random.default_rng(seed)
    return [draw(rng, fonts, scale=0.7).pixels for _ in range(count)]


def box_of(quad: Quad) -> tuple[float, float, float, float]:
    """The loose box round four corners."""
    x0, y0 = (float(v) for v in quad.min(0))
    x1, y1 = (float(v) for v in quad.max(0))
    mx, my = LOOSE_X * (x1 - x0), LOOSE_Y * (y1 - y0)
    return x0 - mx, y0 - my, x1 + mx, y1 + my


def pose(rng: Rng, aspect: float, centre: tuple[float, float], width: float, mild: bool = False) -> Quad:
    """Corners ``(4, 2)`` of a plate of width/height ``aspect`` seen ``width`` pixels wide round ``centre``.

    Up to 50 degrees of yaw, 32 of pitch and 20 of roll; ``mild`` keeps it nearly frontal.
    """
    yaw, pitch, roll = rng.normal(0, (5, 3, 1.5) if mild else (15, 8, 4))
    if not mild and rng.random() < 0.2:
        yaw, pitch, roll = rng.uniform((-50, -32, -15), (50, 32, 15))
    yaw, pitch, roll = np.deg2rad([np.clip(yaw, -52, 52), np.clip(pitch, -34, 34), np.clip(roll, -20, 20)])
    x = np.array([-0.5, 0.5, 0.5, -0.5])
    y = np.array([-0.5, -0.5, 0.5, 0.5]) / aspect
    x, z = x * np.cos(yaw), x * np.sin(yaw)
    y, z = y * np.cos(pitch) - z * np.sin(pitch), y * np.sin(pitch) + z * np.cos(pitch)
    away = 1 + z / rng.uniform(3, 14)
    x, y = x / away, y / away
    x, y = x * np.cos(roll) - y * np.sin(roll), x * np.sin(roll) + y * np.cos(roll)
    quad = np.stack([x, y], 1)
    quad *= width / np.ptp(quad[:, 0])
    return np.asarray(quad - (quad.min(0) + quad.max(0)) / 2 + centre, np.float32)


def paste(canvas: Canvas, rng: Rng, face: NDArray[np.uint8], quad: Quad) -> None:
    """Puts ``face`` with its corners at ``quad`` into ``canvas``, lit like its surroundings, in place."""
    wide = float(np.hypot(*(quad[1] - quad[0])))
    high = float(np.hypot(*(quad[3] - quad[0])))
    plate, inset = _mounted(rng, _shrunk(face, wide))
    pad = 0.45 * high + 6
    low, top = np.maximum(0, np.floor(quad.min(0) - pad)).astype(int), np.ceil(quad.max(0) + pad).astype(int)
    x1, y1 = min(canvas.shape[1], top[0]), min(canvas.shape[0], top[1])
    if x1 - low[0] < 4 or y1 - low[1] < 4:
        return
    roi = canvas[low[1] : y1, low[0] : x1]
    finer = 1 if wide > 100 else 2
    size = (roi.shape[1] * finer, roi.shape[0] * finer)
    height, width = plate.shape[:2]
    left, above, right, below = inset
    source = np.array([[left, above], [width - right, above], [width - right, height - below], [left, height - below]])
    matrix = cv2.getPerspectiveTransform(source.astype(np.float32), ((quad - low) * finer).astype(np.float32))
    look = cv2.warpPerspective(plate, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpPerspective(np.ones((height, width), np.float32), matrix, size)
    if finer > 1:
        look = cv2.resize(look, (roi.shape[1], roi.shape[0]), interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, (roi.shape[1], roi.shape[0]), interpolation=cv2.INTER_AREA)
    look = _lit(rng, np.asarray(look, np.float32), roi)
    if rng.random() < 0.4:
        _shade(rng, roi, np.asarray(mask, np.float32), high)
    blur = rng.uniform(0.25, 0.035 * high + 0.5)
    look = cv2.GaussianBlur(look, (0, 0), blur)
    mask = cv2.GaussianBlur(mask, (0, 0), min(blur, 1.0))[..., None]
    roi += (look - roi) * mask
    if rng.random() < 0.06:  # glare: the plate outshines its surroundings
        glow = cv2.GaussianBlur(mask, (0, 0), 0.4 * high + 1)[..., None]
        roi += glow * rng.uniform(60, 200)
    np.clip(roi, 0, 255, out=roi)


def _shrunk(face: NDArray[np.uint8], wide: float) -> NDArray[np.uint8]:
    factor = min(1.0, wide * (1.2 if wide > 100 else 2.4) / face.shape[1])
    if factor > 0.85:
        return face
    size = (max(8, int(face.shape[1] * factor)), max(4, int(face.shape[0] * factor)))
    return np.asarray(cv2.resize(face, size, interpolation=cv2.INTER_AREA), np.uint8)


def _mounted(rng: Rng, face: NDArray[np.uint8]) -> tuple[Canvas, tuple[int, int, int, int]]:
    """The face in its holder, if it has one; and the holder's left, top, right, bottom borders in pixels."""
    if rng.random() < 0.45:
        return face.astype(np.float32), (0, 0, 0, 0)
    high = face.shape[0]
    thin, lip = rng.uniform(0.02, 0.09), rng.choice([rng.uniform(0.02, 0.09), rng.uniform(0.1, 0.28)])
    side, above, below = (max(1, round(high * v)) for v in (thin, thin, lip))
    shade = rng.uniform(5, 70) if rng.random() < 0.75 else rng.uniform(100, 230)
    frame = cv2.copyMakeBorder(face, above, below, side, side, cv2.BORDER_CONSTANT, value=(shade, shade, shade))
    if below > 5 and rng.random() < 0.7:
        ink = 230.0 if shade < 100 else 20.0
        scale = below / 34
        text = "".join(rng.choice(list("AEIOUautoservis.centarRNTLSM "), rng.integers(6, 24)))
        (long, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        start = (max(1, (frame.shape[1] - long) // 2), frame.shape[0] - below // 4)
        cv2.putText(frame, text, start, cv2.FONT_HERSHEY_SIMPLEX, scale, (ink, ink, ink), 1, cv2.LINE_AA)
    return frame.astype(np.float32), (side, above, side, below)


def _lit(rng: Rng, look: Canvas, roi: Canvas) -> Canvas:
    """White level, tint, contrast and shadow of a plate in the light of ``roi``."""
    flat = roi.reshape(-1, 3)
    mean = flat.mean(0) + 3
    tint = (mean / mean.mean()) ** rng.uniform(0.3, 1.0)
    around = (float(np.percentile(flat[::5, 1], 92)) + 3) * rng.uniform(0.9, 1.5)
    white = float(np.clip(around if rng.random() < 0.6 else rng.uniform(60, 250), 45, 255))
    contrast = rng.uniform(0.45, 1.0)
    look = (look / 230 * contrast + (1 - contrast) * 0.8) * (white * tint)
    if rng.random() < 0.45:
        shadow = rng.uniform(0.45, 1.2, (2, 3)).astype(np.float32)
        shape = (look.shape[1], look.shape[0])
        look *= cv2.resize(shadow, shape, interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_NEAREST)[
            ..., None
        ]
    return np.asarray(look, np.float32)


def _shade(rng: Rng, roi: Canvas, mask: NDArray[np.float32], high: float) -> None:
    """A recess or rim of another tone round the plate."""
    reach = max(3, int(high * rng.uniform(0.1, 0.4))) | 1
    soft = cv2.dilate(mask, np.ones((reach, reach), np.uint8))
    soft = cv2.GaussianBlur(soft, (0, 0), max(0.6, reach * 0.15))[..., None] * rng.uniform(0.5, 1)
    tone = (roi.reshape(-1, 3).mean(0) + 3) * (rng.uniform(0.1, 0.5) if rng.random() < 0.6 else rng.uniform(0.7, 1.4))
    roi += (tone - roi) * soft
