"""Fakes of the camera's stages for the tests of the lab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge.vision.detect import Detect
from edge.vision.look import Glance
from edge.vision.values import Box, Detection, FaceTemplate, Floats, Frame, Kind, Pixels, PlateText, Region, Shot
from models.lab.still import StillPath


class Boxes:
    """A detector that finds the same boxes, with falling scores, in every region."""

    def __init__(self, boxes: Sequence[Box], kind: Kind = Kind.PLATE) -> None:
        self.boxes, self.kind = boxes, kind
        self.regions: list[Region] = []

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        self.regions.append(region)
        scores = np.linspace(0.9, 0.5, len(self.boxes))
        return [
            Detection(self.kind, b, float(s), np.array([[b.x0, b.y0]] * 4, np.float32))
            for b, s in zip(self.boxes, scores, strict=True)
        ]


def whole(kind: Kind, frame: Frame) -> list[Glance]:
    return [Glance(kind, Region(0, 0, frame.width, frame.height))]


def sized(crop: Pixels, points: Floats, detection: Detection) -> float:
    return detection.box.width


def plate_path(texts: dict[float, PlateText | None], boxes: Sequence[Box]) -> StillPath[PlateText]:
    """A path that reads by a box's left edge."""
    return StillPath(
        Detect({Kind.PLATE: Boxes(boxes)}), lambda f: whole(Kind.PLATE, f), sized, lambda s: texts[s[0].box.x0]
    )


def face_path(boxes: Sequence[Box]) -> StillPath[FaceTemplate]:
    def embed(shots: Sequence[Shot]) -> FaceTemplate:
        return FaceTemplate(np.full(128, -3, np.int8), 0.01, shots[0].quality)

    return StillPath(Detect({Kind.FACE: Boxes(boxes, Kind.FACE)}), lambda f: whole(Kind.FACE, f), sized, embed)


BLACK: Pixels = np.zeros((100, 600, 3), np.uint8)


def picture(path: Path) -> Path:
    assert cv2.imwrite(str(path), BLACK)
    return path
