"""List entries for sought persons, made from photos of them. The photos are read, never kept."""

from __future__ import annotations

import re
from pathlib import Path

from edge.errors import VidikError
from edge.grant.document import ListedFace
from edge.vision import sources
from edge.vision.best_shot import make_shot
from edge.vision.face_detector import FaceDetector, still_regions
from edge.vision.face_embedder import THRESHOLD, FaceEmbedder
from edge.vision.face_quality import face_quality
from edge.vision.nms import merge
from edge.vision.values import Frame
from provisioning import grants


class PhotoError(VidikError):
    """A photo that no list entry can be made from."""


class Enroller:
    """Makes list entries. Loads the face models once."""

    def __init__(self) -> None:
        self._detector = FaceDetector()
        self._embedder = FaceEmbedder()

    def folder(self, folder: Path) -> list[ListedFace]:
        """One entry for each photo in ``folder``, named after its file. Raises ``PhotoError``."""
        paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in sources.PHOTO_SUFFIXES)
        if not paths:
            raise PhotoError(f"No photo of a sought person is in {folder}. Put one photo a person there.")
        return [self.photo(path, path.stem) for path in paths]

    def photo(self, path: Path, name: str) -> ListedFace:
        """The entry ``name`` for the most prominent face in the photo at ``path``. Raises ``PhotoError``."""
        with sources.open_source(str(path)) as source:
            photo = next(iter(source), None)
        if photo is None:
            raise PhotoError(f"The photo {path} cannot be read. Is it a picture?")
        return self.entry(name, photo)

    def entry(self, name: str, photo: Frame) -> ListedFace:
        """The entry for the most prominent face in ``photo``, called ``name``. Raises ``PhotoError``."""
        regions = still_regions(photo.width, photo.height)
        faces = merge([face for region in regions for face in self._detector.detect(photo.pixels, region)])
        if not faces:
            raise PhotoError(f"No face was found in the photo of {name}. Take another, frontal and well lit.")
        shot = make_shot(photo, max(faces, key=lambda face: face.box.area), face_quality)
        assert shot is not None  # a face that was found is in view
        label = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-._")[:32] or "person"
        return grants.listed(label, self._embedder.template(shot), THRESHOLD)
