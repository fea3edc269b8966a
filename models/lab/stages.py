"""The camera's stages for single pictures, with the settings the camera has."""

from __future__ import annotations

from collections.abc import Sequence

from edge import config
from edge.vision import build
from edge.vision.describe import doubt, read_plate
from edge.vision.detect import Detect
from edge.vision.face_detector import FaceDetector, still_regions
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.face_quality import face_quality
from edge.vision.look import Glance
from edge.vision.plate_detector import PlateDetector
from edge.vision.plate_quality import plate_quality
from edge.vision.plate_reader import PlateReader
from edge.vision.track import BEGIN_SCORE
from edge.vision.values import Detection, FaceTemplate, Frame, Kind, PlateText, Shot
from models.lab.still import Seen, StillPath

FAINT, MOST = 3, 12
"""Plates of one picture that are read however faint, and at most."""


def plates() -> StillPath[PlateText]:
    """Detector and reader of plates. Raises ``ModelError`` when a model does not load."""
    reader = PlateReader()
    find = Detect({Kind.PLATE: PlateDetector()})

    def detect(frame: Frame, glances: Sequence[Glance]) -> list[Detection]:
        return worth_reading(find(frame, glances))

    def describe(shots: Sequence[Shot]) -> PlateText | None:
        return read_plate(lambda shot: reader.read(shot.crop, shot.points), shots)

    return StillPath(detect, _plate_glances, plate_quality, describe)


def worth_reading(found: Sequence[Detection]) -> list[Detection]:
    """Of detections, best first: those that would begin a track, at most ``MOST``, and in any case the first ``FAINT``.

    Reading costs more than finding, and a detector that is to miss nothing has many faint false alarms.
    """
    return [d for i, d in enumerate(found[:MOST]) if i < FAINT or begins_track(d)]


def faces() -> StillPath[FaceTemplate]:
    """Detector and embedder of faces. Raises ``ModelError`` when a model does not load."""
    embedder = FaceEmbedder()
    detect = Detect({Kind.FACE: FaceDetector()})
    return StillPath(detect, _face_glances, face_quality, lambda shots: embedder.template(shots[0]))


def reported(seen: Seen[PlateText] | Seen[FaceTemplate]) -> bool:
    """Whether a camera that sees nothing but this picture would send it, given a grant that asks for it."""
    return begins_track(seen.detection) and doubt(seen.description) is None


def begins_track(detection: Detection) -> bool:
    """Whether the camera would follow what it sees here if it had not seen it before."""
    return detection.score >= BEGIN_SCORE[detection.kind]


def _plate_glances(frame: Frame) -> list[Glance]:
    # a scheduler that has seen no frame yet covers the first one in full
    plan = build.look(config.Look()).plan(frame, ())
    return [glance for glance in plan if glance.kind is Kind.PLATE]


def _face_glances(frame: Frame) -> list[Glance]:
    # with a border too: a photo, unlike a street, may be filled by one face
    return [Glance(Kind.FACE, region) for region in still_regions(frame.width, frame.height)]
