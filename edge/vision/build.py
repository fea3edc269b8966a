"""Builds the real stages of the vision process from its configuration."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import config, durable
from edge.audit import Audit, Tally
from edge.clock import Clock, Timekeeper
from edge.errors import VidikError
from edge.grant import trust
from edge.grant.document import Grant
from edge.grant.gate import standing
from edge.grant.store import GrantStore
from edge.handover import Sender
from edge.notices import Notices
from edge.seal import Sealer
from edge.signing import KeySigner
from edge.vision import sources
from edge.vision.best_shot import BestShots
from edge.vision.describe import Describe
from edge.vision.detect import Detect
from edge.vision.face_detector import FAINT, FaceDetector
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.face_quality import face_quality
from edge.vision.look import Grid, Look
from edge.vision.pipeline import Pipeline
from edge.vision.plate_detector import PlateDetector
from edge.vision.plate_quality import plate_quality
from edge.vision.plate_reader import PlateReader
from edge.vision.report import Gate, Seal
from edge.vision.runtime import Entry, manifest, models_dir
from edge.vision.track import Tracker
from edge.vision.values import Kind
from edge.vision.watch import Watched

# Sizes in pixels of what is worth finding, and what a coarse pass of the detectors still finds (as a share
# of the longer edge: 22 of 640 pixels for a plate's width, 20 of 192 for a face).
_SMALLEST = {Kind.PLATE: 60.0, Kind.FACE: 40.0}
_COARSE = {Kind.PLATE: 22 / 640, Kind.FACE: 20 / 192}
_PLATE_TILE = (960, 552)
NEWEST = "newest"  # the file in the state folder with the newest time seen


@dataclass(frozen=True, slots=True)
class Assembly:
    """The pipeline, and what keeps account of it."""

    pipeline: Pipeline
    keeper: Timekeeper
    tally: Tally
    audit: Audit

    def close(self) -> None:
        """Writes down the last counts and the time. Call when the pipeline has ended."""
        self.keeper.close()
        self.tally.flush()
        self.audit.append("stop")
        self.audit.close()


def assemble(settings: config.Vision, clock: Clock) -> Assembly:
    """Everything the vision process runs. Raises ``VidikError`` when a part of it cannot be used."""
    signing_key = _signing_key(settings.signing_key)
    boot = next_boot(settings.state)
    signer = KeySigner(signing_key, _certificate(settings.signing_certificate))
    audit = Audit(settings.state / "audit", clock, settings.camera, signer)
    models = manifest(models_dir())
    _announce(audit, boot, settings, models)
    tally = Tally(audit, clock)
    keeper = Timekeeper(clock, settings.state / NEWEST, audit)
    shots = best_shots()
    grants = GrantStore(
        settings.grants, trust.load(settings.trust), settings.camera,
        state=settings.state, incoming=settings.incoming, journal=audit,
    )  # fmt: skip
    gate = Gate(settings.camera, grants, lambda: keeper.trusted, tally)

    def forget(grant: Grant) -> None:
        gate.forget(grant)
        shots.forget(Kind.PLATE if grant.function == "plates" else Kind.FACE)

    grants.closed.append(forget)

    notices = Notices(
        settings.notices or settings.state, audit, clock, signer, camera=settings.camera, software=_software(),
        models={name: entry.sha256 for name, entry in models.items()},
    )  # fmt: skip

    def watch(now: float) -> None:
        held = [terms.grant for terms in grants.terms(now)]
        tally.tick()
        notices.tick(g for g in held if keeper.trusted and standing(g, settings.camera, now) is None)

    watch(clock.wall())  # says at once, in the log, what the camera may do
    model = bytes.fromhex(models["face-embedder"].sha256)[:8]
    numbers = itertools.count(1)
    source = sources.open_source(settings.source, wall_start=clock.wall(), pace=settings.pace)
    pipeline = Pipeline(
        camera=Watched(source, keeper, watch),
        look=look(settings.look),
        detect=detect(),
        tracker=Tracker(),
        best_shots=shots,
        describe=describe(),
        gate=gate,
        seal=Seal(settings.camera, boot, Sealer(signing_key), model, lambda: next(numbers)),
        sender=Sender(settings.inbox),
    )
    return Assembly(pipeline, keeper, tally, audit)


def pipeline(settings: config.Vision, clock: Clock) -> Pipeline:
    """The pipeline alone, for measurements: nobody closes its books. Raises ``VidikError``."""
    return assemble(settings, clock).pipeline


def look(settings: config.Look) -> Look:
    """The look scheduler for plates and faces."""
    plates = Grid(*_PLATE_TILE, settings.overlap, _COARSE[Kind.PLATE], _SMALLEST[Kind.PLATE], *settings.plate_ms)
    tile, share, smallest = settings.tile, _COARSE[Kind.FACE], _SMALLEST[Kind.FACE]
    faces = Grid(tile, tile, settings.overlap, share, smallest, *settings.face_ms)
    return Look({Kind.PLATE: plates, Kind.FACE: faces}, settings.cover_seconds, settings.budget_ms)


def detect() -> Detect:
    """The plate and face detectors."""
    return Detect({Kind.PLATE: PlateDetector(), Kind.FACE: FaceDetector(FAINT)})


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
        boot = int(path.read_text()) + 1 if path.exists() else 1
        durable.write(path, str(boot).encode())
    except (OSError, ValueError) as error:
        raise VidikError(f"The start counter {path} cannot be kept: {error}. Check the data partition.") from error
    return boot


def _announce(audit: Audit, boot: int, settings: config.Vision, models: Mapping[str, Entry]) -> None:
    """Puts down what runs here."""
    audit.append("boot", boot=boot, software=_software())
    audit.append("config", digest=hashlib.sha256(repr(settings).encode()).hexdigest())
    used = "".join(f"{name} {entry.sha256}\n" for name, entry in sorted(models.items()))
    audit.append("models", digest=hashlib.sha256(used.encode()).hexdigest())


def _software() -> str:
    try:
        return version("vidik")
    except PackageNotFoundError:
        return "not installed"


def _certificate(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VidikError(f"The certificate {path} cannot be read: {error}. Provision the camera again.") from error


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise VidikError(f"The signing key {path} cannot be read: {error}. Provision the camera again.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VidikError(f"The signing key {path} is not a P-256 key. Provision the camera again.")
    return key
