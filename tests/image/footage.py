"""A short piece of the demonstration's clip: one car passes with its plate to be read. Emulated processors are slow."""

from __future__ import annotations

import json
from pathlib import Path

import cv2

_FRAMES = 16
_AFTER = 2  # of them after the plate was at its largest


def cut(clip: Path, truth: Path, out: Path) -> str:
    """Writes ``out``, 1280x720 like ``clip``, around the frame with the largest plate; returns that plate's text."""
    plates = json.loads(truth.read_text(encoding="utf-8"))["plates"]
    best = max(plates, key=lambda plate: plate["best_width"])
    widest = max(best["seen"], key=lambda seen: (seen[5] > 0.95) * (seen[3] - seen[1]))
    last = int(widest[0]) + _AFTER
    capture = cv2.VideoCapture(str(clip))
    fps = capture.get(cv2.CAP_PROP_FPS)
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    film = cv2.VideoWriter(str(out), cv2.VideoWriter_fourcc(*"mp4v"), fps, size)
    capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, last - _FRAMES + 1))
    for _ in range(_FRAMES):
        good, frame = capture.read()
        if not good:
            break
        film.write(frame)
    film.release()
    return str(best["text"])
