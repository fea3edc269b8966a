"""The AT&T faces (Olivetti Research Laboratory; Samaria and Harter, 1994), found by the product's own detector.

40 people, 10 photos each, 92x112, grey. The project does not carry them: they are read from
``data/faces-att`` in the folder named by the environment variable ``VIDIK_SHARED``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edge.vision.face_detector import FaceDetector, still_regions
from edge.vision.nms import merge
from edge.vision.values import Detection, Pixels
from models.manifest import FOLDER

DEVELOPMENT = range(1, 21)
"""Subjects that calibration and choices may use."""

EVALUATION = range(21, 41)
"""Subjects that only figures may be taken from."""


class Face(NamedTuple):
    """One photo (BGR) and the best face found in it, in the photo's pixels."""

    subject: int
    photo: Pixels
    detection: Detection


def photos(subjects: range) -> Iterator[tuple[int, Pixels]]:
    """Subject and photo (BGR). Raises ``FileNotFoundError`` when the faces are not there."""
    folder = Path(os.environ.get("VIDIK_SHARED", FOLDER.parent.parent / "shared")) / "data" / "faces-att"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is missing: set VIDIK_SHARED to the folder that holds data/faces-att.")
    for subject in subjects:
        for path in sorted((folder / f"s{subject}").glob("*.pgm")):
            yield subject, np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR), np.uint8)


def detect(detector: FaceDetector, photo: Pixels) -> list[Detection]:
    """Every face of one photo, best first, as the camera's still path finds them."""
    regions = still_regions(photo.shape[1], photo.shape[0])
    return merge([found for region in regions for found in detector.detect(photo, region)])


def faces(subjects: range) -> Iterator[Face]:
    """The best face of every photo of ``subjects`` in which one is found."""
    detector = FaceDetector()
    for subject, photo in photos(subjects):
        for detection in detect(detector, photo)[:1]:
            yield Face(subject, photo, detection)
