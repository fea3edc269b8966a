"""Picture files in and out: the one place of the lab that imports OpenCV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from edge.errors import VidikError
from edge.vision import image
from edge.vision.values import Box, Pixels

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".pgm", ".ppm", ".webp", ".tif", ".tiff"})
"""Endings of the files that are looked for in folders; a file named by itself may have any."""

Colour = tuple[int, int, int]
"""Blue, green, red; 0 to 255."""


class MediaError(VidikError):
    """A picture or video file cannot be read or written, or may not be opened here."""


def refuse_device(path: Path) -> None:
    """Raises ``MediaError`` when ``path`` is a device: the lab works on files only."""
    if path.is_char_device() or path.is_block_device() or str(path).startswith("/dev/"):
        raise MediaError(
            f"{path} is a device. Pixels of a live camera never leave the vision process, so lab commands take files "
            "only. Record a clip with other software, or run the camera on the device and subscribe to its reports."
        )


def find_images(paths: Iterable[Path]) -> list[Path]:
    """The files of ``paths`` in the given order, folders replaced by the images in them (recursively, sorted).

    Raises ``MediaError`` for a device or a folder without images. A missing file stays in the list: reading it says so.
    """
    found: list[Path] = []
    for path in paths:
        refuse_device(path)
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
        if not inside:
            raise MediaError(
                f"No picture is in {path} (looked for {', '.join(sorted(SUFFIXES))}). Name another folder."
            )
        found += inside
    return found


def load(path: Path) -> Pixels:
    """The picture in ``path`` as BGR ``uint8 (h, w, 3)``, turned as its EXIF says. Raises ``MediaError``."""
    refuse_device(path)
    try:
        pixels = image.decode(path.read_bytes())
    except OSError as error:
        raise MediaError(f"The picture {path} cannot be read: {error.strerror}. Check the path.") from error
    except ValueError as error:
        raise MediaError(f"The picture {path} has {error}. Make it smaller.") from error
    if pixels is None:
        raise MediaError(f"{path} is not a picture this program can decode, or it is damaged. Convert or remove it.")
    return pixels


def save(path: Path, pixels: Pixels) -> None:
    """Writes BGR ``pixels`` to ``path`` in the format of its ending. Raises ``MediaError``."""
    try:
        done, content = cv2.imencode(path.suffix or ".png", pixels)
        if done:
            path.write_bytes(content.tobytes())
            return
    except (OSError, cv2.error) as error:
        raise MediaError(f"The picture {path} cannot be written: {error}. Choose another file (.png).") from error
    raise MediaError(f"The picture {path} cannot be written. Choose another file (.png).")


def scaled(pixels: Pixels, factor: float) -> Pixels:
    """``pixels`` resized by ``factor``: area averaging when it shrinks, cubic otherwise."""
    size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    out = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    return np.asarray(out, np.uint8)


def draw_box(pixels: Pixels, box: Box, label: str, colour: Colour, size: float = 0.6) -> None:
    """Draws ``box`` and the ``label`` above it into ``pixels`` (BGR), in place. ``size`` scales the letters."""
    x0, y0, x1, y1 = (round(v) for v in box)
    cv2.rectangle(pixels, (x0, y0), (x1, y1), colour, 2)
    if not label:
        return
    text = _printable(label)
    (width, height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    left = int(np.clip(x0, 0, max(0, pixels.shape[1] - width)))
    base = y0 - below - 2 if y0 > height + below + 4 else y1 + height + 4
    cv2.rectangle(pixels, (left, base - height - 2), (left + width, base + below), colour, cv2.FILLED)
    cv2.putText(pixels, text, (left, base), cv2.FONT_HERSHEY_SIMPLEX, size, (0, 0, 0), 1, cv2.LINE_AA)


def draw_points(pixels: Pixels, points: Sequence[tuple[float, float]], colour: Colour) -> None:
    """Draws small dots at ``points`` (x, y in pixels), in place."""
    for x, y in points:
        cv2.circle(pixels, (round(x), round(y)), 2, colour, cv2.FILLED, cv2.LINE_AA)


def draw_path(pixels: Pixels, points: Sequence[tuple[float, float]], label: str, colour: Colour, closed: bool) -> None:
    """Draws a line through ``points`` (x, y in pixels): an area's edge if ``closed``, else an arrow to its end; with
    the ``label`` in its middle. In place."""
    corners = np.array(points, np.float64).round().astype(np.int32)
    if closed:
        cv2.polylines(pixels, [corners], True, colour, 2, cv2.LINE_AA)
    else:
        first, last = ((int(x), int(y)) for x, y in (corners[0], corners[-1]))
        cv2.arrowedLine(pixels, first, last, colour, 2, cv2.LINE_AA, tipLength=0.03)
    x, y = corners.mean(0).astype(int)
    draw_box(pixels, Box(x, y, x, y), label, colour, 0.5)


def contact_sheet(pictures: Sequence[Pixels], columns: int, width: int = 480) -> Pixels:
    """``pictures`` scaled to ``width`` and laid out in rows of ``columns``, BGR. Needs at least one picture."""
    cells = [scaled(p, width / p.shape[1]) for p in pictures]
    rows = []
    for start in range(0, len(cells), columns):
        row = cells[start : start + columns]
        canvas = np.full((max(c.shape[0] for c in row) + 4, columns * (width + 4), 3), 32, np.uint8)
        for i, cell in enumerate(row):
            canvas[: cell.shape[0], i * (width + 4) : i * (width + 4) + width] = cell
        rows.append(canvas)
    return np.concatenate(rows)


class VideoOut:
    """An annotated video being written; use as a context manager. Its format follows the file's ending."""

    def __init__(self, path: Path, width: int, height: int, rate: float) -> None:
        """Raises ``MediaError`` when the file cannot be written or its ending is neither .mp4 nor .avi."""
        codes = {".mp4": "mp4v", ".avi": "MJPG"}
        if path.suffix.lower() not in codes:
            raise MediaError(f"{path} must end in .mp4 or .avi, since the source is a video. Choose such a name.")
        code = cv2.VideoWriter.fourcc(*codes[path.suffix.lower()])
        self._writer = cv2.VideoWriter(str(path), code, rate, (width, height))
        if not self._writer.isOpened():
            raise MediaError(f"The video {path} cannot be written. Check that its folder exists and may be written to.")

    def add(self, pixels: Pixels) -> None:
        """Appends one BGR frame of the size given at the start."""
        self._writer.write(pixels)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.release()


_LATIN = str.maketrans({"Č": "C^", "Ć": "C'", "Đ": "D-", "Š": "S^", "Ž": "Z^", "·": "-"})


def _printable(label: str) -> str:
    """``label`` in the ASCII that OpenCV's built-in font has: letters with marks get the mark behind them."""
    return label.translate(_LATIN).encode("ascii", "replace").decode()
