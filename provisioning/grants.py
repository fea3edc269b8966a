"""Making and signing grants, on the machine of an authority or an operator: never on a camera."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from edge.errors import VidikError
from edge.grant import document
from edge.grant.document import Grant, ListedFace
from edge.vision.values import FaceTemplate


def listed(entry: str, template: FaceTemplate, threshold: float) -> ListedFace:
    """The list entry of a sought person; a face counts as theirs from the cosine ``threshold`` on."""
    return ListedFace(entry, template.vector.tobytes(), template.scale, threshold)


def write(grant: Grant, keys: Sequence[ec.EllipticCurvePrivateKey], folder: Path) -> Path:
    """Signs ``grant`` with ``keys`` and puts it into ``folder`` in one step. Returns the file's path."""
    path = folder / f"{grant.id}.grant"
    fresh = path.with_suffix(".new")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with fresh.open("wb") as file:
            file.write(document.sign(grant, keys))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except OSError as error:
        raise VidikError(f"The grant cannot be written to {path}: {error.strerror}. Check the folder.") from error
    return path


def new_key() -> bytes:
    """A fresh ``template_key``."""
    return os.urandom(32)
