"""List entries for sought persons, made from photos of them. The photos are read, never kept.

Runs on the machine of an authority, with the camera's own detector, alignment, quality and embedder.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import VidikError
from edge.grant.document import ListedFace
from edge.vision import sources
from edge.vision.best_shot import make_shot
from edge.vision.face_detector import FaceDetector, still_regions
from edge.vision.face_embedder import THRESHOLD, FaceEmbedder
from edge.vision.face_quality import Components, components, face_quality
from edge.vision.nms import merge
from edge.vision.track import BEGIN_SCORE
from edge.vision.values import Detection, FaceTemplate, Frame, Kind
from provisioning import grants

LEAST_QUALITY = 60.0
"""Quality, 0 to 100, below which a photo is refused: one list entry decides many comparisons."""

_OTHERS = 0.2  # share of the largest face's area from which another face makes it unclear who is meant
_PART = 0.8  # of the least quality: what each part must reach, since no strength makes up for a fault here
_ADVICE = {
    "size": "the face is too small: take a photo with at least 40 pixels between the eyes",
    "sharpness": "the face is blurred: take a sharp photo",
    "frontality": "the head is turned away: take one that looks into the camera",
    "exposure": "the face is too dark, too bright or too flat: take one in even light",
    "visibility": "part of the face is hidden or hard to make out: take one without mask, sunglasses or shade",
}


class PhotoError(VidikError):
    """A photo that no list entry can be made from."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A person's template with what it was judged by."""

    entry: str
    template: FaceTemplate
    parts: Components

    def listed(self, threshold: float = THRESHOLD) -> ListedFace:
        """The entry of a grant's list."""
        return grants.listed(self.entry, self.template, threshold)

    def toml(self) -> str:
        """The entry as the file of a grant holds it; without threshold, which depends on the whole list."""
        vector = base64.b64encode(self.template.vector.tobytes()).decode()
        return f'[[face]]\nentry = {json.dumps(self.entry)}\nvector = "{vector}"\nscale = {self.template.scale!r}\n'

    def words(self) -> str:
        """The quality in words, part by part."""
        parts = ", ".join(f"{name} {value:.0f}" for name, value in self.parts._asdict().items())
        return f"{self.entry}: quality {self.template.quality:.0f} of 100 ({parts})"


class Enroller:
    """Makes list entries. Loads the face models once."""

    def __init__(self, least: float = LEAST_QUALITY) -> None:
        self._detector = FaceDetector()
        self._embedder = FaceEmbedder()
        self._least = least

    def folder(self, folder: Path) -> list[Enrolled]:
        """One entry for each photo in ``folder``, named after its file. Raises ``PhotoError``."""
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in sources.PHOTO_SUFFIXES)
        if not paths:
            raise PhotoError(f"No photo of a sought person is in {folder}. Put one photo a person there.")
        return [self.photo(path, path.stem) for path in paths]

    def photo(self, path: Path, name: str) -> Enrolled:
        """The entry ``name`` for the face in the photo at ``path``. Raises ``PhotoError``."""
        if not path.is_file():
            raise PhotoError(f"There is no photo {path}. Check the path.")
        with sources.open_source(str(path)) as source:
            photo = next(iter(source), None)
        if photo is None:
            raise PhotoError(f"The photo {path} cannot be read. Is it a picture?")
        return self.entry(name, photo)

    def entry(self, name: str, photo: Frame) -> Enrolled:
        """The entry for the one face in ``photo``, called ``name``. Raises ``PhotoError``, with what to do about it,
        when there is no face, more than one, or one that is not good enough to find somebody by."""
        face = self._only(name, photo)
        shot = make_shot(photo, face, face_quality)
        assert shot is not None  # a face that was found is in view
        parts = components(shot.crop, shot.points, face)
        worst = min(parts._fields, key=lambda part: getattr(parts, part))
        if shot.quality < self._least or getattr(parts, worst) < _PART * self._least:
            raise PhotoError(
                f"The photo of {name} has a quality of {shot.quality:.0f} of 100, in its worst part "
                f"{getattr(parts, worst):.0f}; at least {self._least:.0f}, and {_PART * self._least:.0f} in each part, "
                f"is needed to find nobody else by it. Its worst fault: {_ADVICE[worst]}."
            )
        return Enrolled(_label(name), self._embedder.template(shot), parts)

    def _only(self, name: str, photo: Frame) -> Detection:
        regions = still_regions(photo.width, photo.height)
        found = merge([face for region in regions for face in self._detector.detect(photo.pixels, region)])
        faces = sorted(found, key=lambda face: -face.box.area)
        if not faces:
            raise PhotoError(f"No face was found in the photo of {name}. Take another, frontal and well lit.")
        others = [
            face
            for face in faces[1:]
            if face.score >= BEGIN_SCORE[Kind.FACE] and face.box.area >= _OTHERS * faces[0].box.area
        ]
        if others:
            raise PhotoError(
                f"{1 + len(others)} faces were found in the photo of {name}, and it must be clear who is sought. "
                "Cut the photo to the one person and try again."
            )
        return faces[0]


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:32] or "person"
