"""Looks for pictures on a raw medium: encoded ones by signatures, raw ones by rows of the frames that were shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

_SIGNATURES = {
    "JPEG": (b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\xff\xe1", b"\xff\xd8\xff\xdb\x00\x43"),
    "PNG": (b"\x89PNG\r\n\x1a\n",),
    "WebP": (b"WEBPVP8",),
    "MP4": (b"ftypisom", b"ftypmp42", b"moov\x00"),
    "Matroska": (b"\x1a\x45\xdf\xa3",),
    "AVI": (b"AVI LIST",),
    "GIF": (b"GIF89a", b"GIF87a"),
    "BMP and PPM": (b"P6\n1280 720", b"P6 1280 720"),
    "NumPy": (b"\x93NUMPY",),
}
_ROW = 48  # bytes of a row that are looked for
_FRAMES, _PLACES = 12, 24


def rows(clip: Path) -> set[bytes]:
    """Pieces of rows out of frames of ``clip``: as OpenCV decodes them, in grey, and as RGB; flat ones left out."""
    capture = cv2.VideoCapture(str(clip))
    total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    rng = np.random.default_rng(1)
    found: set[bytes] = set()
    for number in np.linspace(0, total - 1, _FRAMES).astype(int):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(number))
        good, frame = capture.read()
        if not good:
            continue
        for picture in (frame, frame[..., ::-1], cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)):
            plain = np.ascontiguousarray(picture).reshape(picture.shape[0], -1)
            for _ in range(_PLACES):
                y, x = int(rng.integers(plain.shape[0])), int(rng.integers(plain.shape[1] - _ROW))
                piece = plain[y, x : x + _ROW].tobytes()
                if len(set(piece)) >= 16:
                    found.add(piece)
    return found


def find(medium: Path, at: int, size: int, known: set[bytes]) -> list[str]:
    """What pictures lie between byte ``at`` and ``at + size`` of ``medium``, in words. Skips holes of the file."""
    found = []
    for begin, content in _written(medium, at, size):
        for kind, signatures in _SIGNATURES.items():
            for signature in signatures:
                place = content.find(signature)
                # a few bytes alone are chance; at the start of a block they are a file's beginning
                while place >= 0 and len(signature) < 6 and (begin + place - at) % 512:
                    place = content.find(signature, place + 1)
                if place >= 0:
                    found.append(f"{kind} at byte {begin + place - at}")
        found += [f"a row of a frame at byte {begin + content.find(row) - at}" for row in known if row in content]
    return found


def _written(medium: Path, at: int, size: int) -> Iterator[tuple[int, bytes]]:
    with medium.open("rb") as file:
        handle, place = file.fileno(), at
        while place < at + size:
            try:
                begin = os.lseek(handle, place, os.SEEK_DATA)
            except OSError:  # nothing but a hole follows
                return
            if begin >= at + size:
                return
            place = min(os.lseek(handle, begin, os.SEEK_HOLE), at + size)
            yield begin, os.pread(handle, place - begin, begin)
