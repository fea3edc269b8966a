"""Read or embed: the shots of one object become what a report may say about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from edge.grant.gate import Description, Reason
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.plate_confidence import Confidence
from edge.vision.plate_reader import PlateReader, Reading, vote
from edge.vision.track import Track
from edge.vision.values import FaceTemplate, Kind, PlateText, Shot

REPORT_QUALITY = 30.0  # a face picture poorer than this is not compared with anybody


class Describe:
    """Runs the plate reader and the face embedder."""

    def __init__(self, reader: PlateReader, embedder: FaceEmbedder) -> None:
        self._reader = reader
        self._embedder = embedder
        # a plate that is tried again mostly has the same shots; a reading goes when its shot does
        self._readings: WeakKeyDictionary[Shot, Reading] = WeakKeyDictionary()

    def __call__(self, track: Track, shots: Sequence[Shot]) -> Description | None:
        """What ``shots`` (best first) show; None when a plate cannot be read at all."""
        if track.kind is Kind.FACE:
            return self._embedder.template(shots[0])
        return read_plate(self._read, shots)

    def _read(self, shot: Shot) -> Reading:
        if shot not in self._readings:
            self._readings[shot] = self._reader.read(shot.crop, shot.points)
        return self._readings[shot]


def read_plate(read: Callable[[Shot], Reading], shots: Sequence[Shot]) -> PlateText | None:
    """The text on the plate that ``shots`` show, by vote of what ``read`` sees in each; None when no shot shows any."""
    readings = [read(shot) for shot in shots]
    best = max(shot.quality for shot in shots)
    # many blurred pictures must not outvote the sharp ones: the weight halves with every 3 points of quality
    return vote(readings, [0.5 ** ((best - shot.quality) / 3) for shot in shots])


def wipe(seen: Description | None) -> None:
    """Overwrites the template of a face once it is decided what becomes of it: what is reported is a copy.

    The best that can be done: copies that the interpreter or a library made in passing are only freed.
    """
    if isinstance(seen, FaceTemplate):
        seen.vector.fill(0)


def doubt(seen: Description | None) -> Reason | None:
    """Why ``seen`` is not good enough to be reported, whatever the grant says; None when it is.

    A wrong plate is worse than none: the least confidence of a plate is part of the reader's calibration.
    """
    if seen is None:
        return Reason.UNSURE
    if isinstance(seen, FaceTemplate):
        return Reason.POOR if seen.quality < REPORT_QUALITY else None
    return Reason.UNSURE if seen.confidence < Confidence.load().refuse_below else None
