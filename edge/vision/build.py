"""Builds the real stages of the vision process from its configuration."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import config
from edge.clock import Clock
from edge.errors import VidikError
from edge.grant import trust
from edge.grant.store import GrantStore
from edge.handover import Sender
from edge.seal import Sealer
from edge.vision import sources
from edge.vision.best_shot import BestShots
from edge.vision.describe import Describe
from edge.vision.detect import Detect
from edge.vision.face_detector import FaceDetector
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.face_quality import face_quality
from edge.vision.look import Grid, Look
from edge.vision.pipeline import Pipeline
from edge.vision.plate_detector import PlateDetector
from edge.vision.plate_quality import plate_quality
from edge.vision.plate_reader import PlateReader
from edge.vision.report import Gate, Seal
from edge.vision.runtime import manifest, models_dir
from edge.vision.track import Tracker
from edge.vision.values import Kind

# Sizes in pixels of what is worth finding, and what a coarse pass of the detectors still finds (as a share
# of the longer edge: 22 of 640 pixels for a plate's width, 20 of 192 for a face).
_SMALLEST = {Kind.PLATE: 60.0, Kind.FACE: 40.0}
_COARSE = {Kind.PLATE: 22 / 640, Kind.FACE: 20 / 192}
_PLATE_TILE = (960, 552)


def pipeline(settings: config.Vision, clock: Clock) -> Pipeline:
    """Everything the vision process runs. Raises ``VidikError`` when a part of it cannot be used."""
    signing_key = _signing_key(settings.signing_key)
    grants = GrantStore(settings.grants, trust.load(settings.trust), settings.camera)
    grants.terms(clock.wall())  # says at once, in the log, what the camera may do
    model = bytes.fromhex(manifest(models_dir())["face-embedder"].sha256)[:8]
    numbers = itertools.count(1)
    return Pipeline(
        camera=sources.open_source(settings.source, wall_start=clock.wall(), pace=settings.pace),
        look=look(settings.look),
        detect=detect(),
        tracker=Tracker(),
        best_shots=best_shots(),
        describe=describe(),
        gate=Gate(settings.camera, grants),
        seal=Seal(settings.camera, next_boot(settings.state), Sealer(signing_key), model, lambda: next(numbers)),
        sender=Sender(settings.inbox),
    )


def look(settings: config.Look) -> Look:
    """The look scheduler for plates and faces."""
    plates = Grid(*_PLATE_TILE, settings.overlap, _COARSE[Kind.PLATE], _SMALLEST[Kind.PLATE])
    faces = Grid(settings.tile, settings.tile, settings.overlap, _COARSE[Kind.FACE], _SMALLEST[Kind.FACE])
    return Look({Kind.PLATE: plates, Kind.FACE: faces}, settings.cover_seconds)


def detect() -> Detect:
    """The plate and face detectors."""
    return Detect({Kind.PLATE: PlateDetector(), Kind.FACE: FaceDetector()})


def best_shots() -> BestShots:
    """Best-shot selection with the quality measure of each kind."""
    return BestShots({Kind.PLATE: plate_quality, Kind.FACE: face_quality})


def describe() -> Describe:
    """The plate reader and the face embedder."""
    return Describe(PlateReader(), FaceEmbedder())


def next_boot(state: Path) -> int:
    """Counts this start in the folder ``state`` and returns its number; survives a power cut at any moment."""
    path = state / "boot"
    try:
        state.mkdir(parents=True, exist_ok=True)
        boot = int(path.read_text()) + 1 if path.exists() else 1
        fresh = path.with_suffix(".new")
        with fresh.open("w") as file:
            file.write(str(boot))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(state, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except (OSError, ValueError) as error:
        raise VidikError(f"The start counter {path} cannot be kept: {error}. Check the data partition.") from error
    return boot


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise VidikError(f"The signing key {path} cannot be read: {error}. Provision the camera again.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VidikError(f"The signing key {path} is not a P-256 key. Provision the camera again.")
    return key
