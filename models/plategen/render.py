"""Photographs of drawn plates: mounting and car body, viewpoint, light, weather, camera.

``difficulty`` runs from 0 (a passport photo of a plate) to 1 (worse than most cameras deliver).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.plategen.draw import Plate
from models.plategen.fonts import Fonts
from models.plategen.parts import words

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Mounted:
    """A plate on its car: ``canvas`` ``float32 (h, w, 3)`` BGR, its ``corners`` ``(4, 2)`` in the canvas."""

    plate: Plate
    canvas: Floats
    corners: Floats


@dataclass(frozen=True)
class Photo:
    """``pixels`` ``uint8`` BGR; ``corners`` ``(4, 2)`` of the plate in it, as the text reads, in pixels.

    ``matrix`` is the 3x3 homography from the pixels of the plate's face to the photo.
    """

    plate: Plate
    pixels: Pixels
    corners: Floats
    matrix: NDArray[np.float64]


def mount(rng: np.random.Generator, plate: Plate, fonts: Fonts) -> Mounted:
    """Puts ``plate`` on a car: body or bumper around it, mostly a holder, sometimes with a dealer's name."""
    height, width = plate.pixels.shape[:2]
    unit = height / (65 * (2 if len(plate.rows) > 1 else 1))
    pad_x, pad_y = round(width * 0.28), round(height * (0.45 if len(plate.rows) > 1 else 0.75))
    canvas = _body(rng, height + 2 * pad_y, width + 2 * pad_x)
    if rng.random() < 0.65:
        _holder(canvas, rng, fonts, (pad_x, pad_y, pad_x + width, pad_y + height), unit)
    canvas[pad_y : pad_y + height, pad_x : pad_x + width] = plate.pixels
    if rng.random() < 0.25:  # the holder's lip covers the plate's edge
        lip = max(1, round(rng.uniform(1, 4) * unit))
        canvas[pad_y + height - lip : pad_y + height, pad_x : pad_x + width] = rng.uniform(0, 70)
    right, bottom = pad_x + width, pad_y + height
    corners = np.array([[pad_x, pad_y], [right, pad_y], [right, bottom], [pad_x, bottom]], np.float32)
    return Mounted(plate, canvas, corners)


def _body(rng: np.random.Generator, height: int, width: int) -> Floats:
    paint = rng.uniform(5, 225) + rng.normal(0, 15, 3)
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = paint
    if rng.random() < 0.8:
        cells = (int(rng.integers(2, 8)), int(rng.integers(2, 10)))
        blotches = rng.uniform(-70, 70, cells).astype(np.float32)
        canvas += cv2.resize(blotches, (width, height), interpolation=cv2.INTER_LINEAR)[..., None]
    if rng.random() < 0.5:
        top = int(rng.integers(0, height - 8))
        canvas[top : top + int(rng.integers(3, 16))] = rng.uniform(0, 255)
    if rng.random() < 0.15:  # a grille
        step = int(rng.integers(5, 14))
        canvas[:: step] *= rng.uniform(0.2, 1.6)
    return canvas


def _holder(
    canvas: Floats, rng: np.random.Generator, fonts: Fonts, box: tuple[int, int, int, int], unit: float
) -> None:
    x0, y0, x1, y1 = box
    side, top = round(rng.uniform(1, 6) * unit), round(rng.uniform(1, 6) * unit)
    bottom = round((rng.uniform(8, 17) if rng.random() < 0.5 else rng.uniform(1, 6)) * unit)
    tone = float(rng.uniform(0, 90) if rng.random() < 0.85 else rng.uniform(90, 235))
    canvas[y0 - top : y1 + bottom, x0 - side : x1 + side] = tone
    room = bottom - 3 * unit
    if room > 3 and rng.random() < 0.8:
        signs = "ABCDEFGHIJKLMNOPRSTUVZABCDEFGHIKLMNORSTU   0123456789."
        name = "".join(signs[int(i)] for i in rng.integers(0, len(signs), int(rng.integers(6, 26)))).strip()
        bright = float(rng.uniform(tone, 255))
        start = x0 + rng.uniform(0.02, 0.4) * (x1 - x0)
        words(canvas, fonts.pick(rng), name, (start, y1 + unit, x1, y1 + unit + room), (bright, bright, bright))


def photograph(rng: np.random.Generator, mounted: Mounted, difficulty: float, width: float | None = None) -> Photo:
    """One photo of a mounted plate, with as much around it as the mount has.

    ``width`` is the plate's width in pixels (random when ``None``). Yaw goes to 45 and pitch to 30 degrees
    at difficulty 1.
    """
    face = _view(rng, mounted.corners, difficulty)
    if width is None:
        narrow = 150 - 95 * difficulty
        width = float(rng.triangular(narrow, narrow + 25, 280)) * (0.62 if len(mounted.plate.rows) > 1 else 1.0)
    face *= width / max(1e-6, float(face[1:3, 0].max() - face[[0, 3], 0].min()))
    size = face.max(0) - face.min(0)
    margin = np.array([0.2, 0.5]) * size + 3
    corners = (face - face.min(0) + margin).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(mounted.corners, corners)
    out_size = np.ceil(size + 2 * margin).astype(int)
    scale = width / float(mounted.corners[1, 0] - mounted.corners[0, 0])
    source = mounted.canvas
    if scale < 0.9:
        source = _like(cv2.GaussianBlur(source, (0, 0), 0.42 / scale), source)
    seen = cv2.warpPerspective(
        source, matrix, (int(out_size[0]), int(out_size[1])), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    shift = np.eye(3)
    shift[:2, 2] = mounted.corners[0]
    return Photo(mounted.plate, expose(rng, _like(seen, source), difficulty), corners, matrix @ shift)


def without_colour(rng: np.random.Generator, mounted: Mounted) -> Mounted:
    """The same with one channel, as a sensor of random colour sensitivity (infrared, too) sees it."""
    weights = rng.dirichlet((2.0, 5.0, 4.0)).astype(np.float32)
    return Mounted(mounted.plate, mounted.canvas @ weights[:, None], mounted.corners)


def _like(picture: NDArray[np.generic], other: Floats) -> Floats:
    """``picture`` with the channel axis that OpenCV drops when there is one channel."""
    return np.asarray(picture, np.float32).reshape(picture.shape[0], picture.shape[1], other.shape[2])


def _view(rng: np.random.Generator, corners: Floats, difficulty: float) -> NDArray[np.float64]:
    """The corners as a pinhole camera sees them, in arbitrary units around the origin."""
    flat = corners.astype(np.float64) - corners.mean(0)
    half = float(np.abs(flat[:, 0]).max())
    spread = 0.25 + 0.75 * difficulty
    yaw = np.deg2rad(np.clip(rng.normal(0, 20 * spread), -45, 45))
    pitch = np.deg2rad(np.clip(rng.normal(0, 12 * spread), -30, 30))
    roll = np.deg2rad(np.clip(rng.normal(0, 4 * spread), -15, 15))
    solid = np.c_[flat / half, np.zeros(4)]
    turn_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    turn_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    solid = solid @ turn_y.T @ turn_x.T @ turn_z.T
    distance = rng.uniform(4, 14)
    return np.asarray(solid[:, :2] * (distance / (distance + solid[:, 2:])), np.float64)


def expose(rng: np.random.Generator, seen: Floats, difficulty: float) -> Pixels:
    """Light, weather, lens, sensor and JPEG on ``float32 (h, w, 1 or 3)``; returns ``uint8`` of that shape."""
    night = rng.random() < 0.22
    out = seen
    if rng.random() < 0.4 * difficulty:
        out = _shade(rng, out)
    if night:
        out = _night(rng, out, difficulty)
        if rng.random() < 0.4:
            out = _lamps(rng, out)
    elif rng.random() < 0.15 * difficulty:
        out = _glare(rng, out, 150)
    if rng.random() < 0.08 * difficulty:
        out = _rain(rng, out)
    out = _blur(rng, out, difficulty)
    return _sensor(rng, out, difficulty, night)


def _shade(rng: np.random.Generator, picture: Floats) -> Floats:
    height, width = picture.shape[:2]
    if rng.random() < 0.7:
        soft = rng.uniform(0.4, 1.25, (2, 3)).astype(np.float32)
        return np.asarray(picture * cv2.resize(soft, (width, height))[..., None], np.float32)
    slope = np.arange(width)[None] * rng.uniform(-0.6, 0.6) + np.arange(height)[:, None]
    dark = (slope > rng.uniform(0, height)).astype(np.float32) * rng.uniform(0.2, 0.65)
    return np.asarray(picture * (1 - cv2.GaussianBlur(dark.astype(np.float32), (0, 0), 1.0))[..., None], np.float32)


def _night(rng: np.random.Generator, picture: Floats, difficulty: float) -> Floats:
    """Headlights, street lamps or an infrared lamp: grey, a bright plate that blooms, dark surroundings."""
    out = picture
    if rng.random() < 0.6:
        out = np.repeat(out.mean(2, keepdims=True), out.shape[2], 2)
    contrast = rng.uniform(0.5, 1.15)
    out = 40 + (out - 40) * contrast
    if rng.random() < 0.5:
        sigma = max(0.8, out.shape[0] * rng.uniform(0.02, 0.08))
        halo = _like(cv2.GaussianBlur(np.maximum(out - 120, 0), (0, 0), sigma), out)
        out = out + halo * (rng.uniform(0.2, 0.9) * difficulty)
    if rng.random() < 0.4 * difficulty:
        out = _glare(rng, out, 200)
    return np.asarray(out, np.float32)


def _glare(rng: np.random.Generator, picture: Floats, strength: float) -> Floats:
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    u = (x - rng.uniform(0, width)) / rng.uniform(0.04 * width, 0.35 * width)
    v = (y - rng.uniform(0, height)) / rng.uniform(0.1 * height, 0.7 * height)
    return np.asarray(picture + (rng.uniform(40, strength) * np.exp(-(u * u + v * v)))[..., None], np.float32)


def _lamps(rng: np.random.Generator, picture: Floats) -> Floats:
    """The plate lit from its upper edge by one or two small lamps, seen or just out of sight."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    top = height * rng.uniform(0.05, 0.35)
    fade = np.exp(-np.maximum(y - top, 0) / (height * rng.uniform(0.3, 1.5)))
    out = picture * (0.35 + 0.65 * fade)[..., None]
    for place in ((0.5,), (0.36, 0.64))[int(rng.integers(2))]:
        u = (x - width * (place + rng.normal(0, 0.03))) / (width * rng.uniform(0.02, 0.06))
        v = (y - top) / (height * rng.uniform(0.03, 0.12))
        out = out + (rng.uniform(60, 220) * np.exp(-(u * u + v * v)))[..., None]
    return np.asarray(out, np.float32)


def _rain(rng: np.random.Generator, picture: Floats) -> Floats:
    height, width = picture.shape[:2]
    streaks = np.zeros((height, width), np.float32)
    lean = rng.uniform(-0.3, 0.3)
    for _ in range(int(rng.integers(4, 25))):
        x, y, length = rng.uniform(0, width), rng.uniform(-height / 3, height), rng.uniform(0.1, 0.5) * height
        cv2.line(streaks, (round(x), round(y)), (round(x + lean * length), round(y + length)), 1.0, 1, cv2.LINE_AA)
    return np.asarray(picture + streaks[..., None] * rng.uniform(20, 110), np.float32)


def _blur(rng: np.random.Generator, picture: Floats, difficulty: float) -> Floats:
    out = picture
    width = out.shape[1] / 1.4
    if rng.random() < 0.35 * difficulty:
        length = float(rng.uniform(1.5, max(2.0, 0.028 * width)))
        angle = rng.choice([0.0, np.pi / 2]) + rng.normal(0, 0.3)
        kernel = _streak(length * (1.0 if abs(np.cos(angle)) > 0.5 else 0.7), angle)
        out = _like(cv2.filter2D(out, -1, kernel), out)
    if rng.random() < 0.5 * difficulty:
        out = _like(cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, max(0.5, min(2.4, 0.0105 * width))))), out)
    return np.asarray(out, np.float32)


def _streak(length: float, angle: float) -> Floats:
    size = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((size, size), np.float32)
    for step in np.linspace(-length / 2, length / 2, 4 * size):
        x, y = size // 2 + step * np.cos(angle), size // 2 + step * np.sin(angle)
        kernel[int(np.clip(round(y), 0, size - 1)), int(np.clip(round(x), 0, size - 1))] += 1
    return np.asarray(kernel / kernel.sum(), np.float32)


def _sensor(rng: np.random.Generator, picture: Floats, difficulty: float, night: bool) -> Pixels:
    gain = rng.uniform(1 - (0.85 if night else 0.7) * difficulty, 1.15)
    out = (picture - 128) * np.float32(gain) + np.float32(128 + rng.uniform(-75, 75) * difficulty)
    if rng.random() < 0.3:
        out = out + np.asarray(rng.normal(0, 14, out.shape[2]), np.float32)  # white balance
    if rng.random() < 0.2 * difficulty:
        out = 255 * (np.clip(out, 0, 255) / 255) ** np.float32(rng.uniform(0.5, 2.2))
    noise = rng.uniform(0, 2 + (18 if night else 9) * difficulty) * min(1.0, gain + 0.2)
    grain = rng.standard_normal(out.shape[:2], dtype=np.float32)[..., None]
    if rng.random() < 0.5:
        grain = cv2.GaussianBlur(grain, (0, 0), 0.7)[..., None] * np.float32(1.6)
    seen = np.asarray(np.clip(out + grain * np.float32(noise), 0, 255), np.uint8)
    if rng.random() < 0.15 * difficulty:
        seen = _sharpened(seen)
    if rng.random() < 0.2 + 0.5 * difficulty:
        packed = cv2.imencode(".jpg", seen, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 93))])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_UNCHANGED), np.uint8).reshape(seen.shape)
    return seen


def _sharpened(picture: Pixels) -> Pixels:
    """The halo that cameras draw round edges."""
    soft = cv2.GaussianBlur(picture, (0, 0), 1.0)
    return np.asarray(cv2.addWeighted(picture.reshape(soft.shape), 1.8, soft, -0.8, 0), np.uint8).reshape(picture.shape)
