"""Builds the real stages of the vision process from its configuration."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import config, durable, systemd
from edge.audit import Account, Audit, Tally
from edge.audit.collect import Collector
from edge.clock import Clock, Timekeeper
from edge.errors import VidikError
from edge.grant import trust
from edge.grant.document import Grant
from edge.grant.gate import standing
from edge.grant.store import GrantStore
from edge.handover import Sender
from edge.notices import Notices
from edge.seal import Sealer
from edge.vision import runtime, selftest, sources
from edge.vision.accelerate import Accelerators
from edge.vision.best_shot import BestShots
from edge.vision.certificate import Certified
from edge.vision.describe import Describe
from edge.vision.detect import Detect
from edge.vision.face_detector import FAINT, FaceDetector
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.face_quality import face_quality
from edge.vision.governor import Governor, SparingLook
from edge.vision.health import Health
from edge.vision.look import Grid, Look
from edge.vision.pipeline import Pipeline
from edge.vision.plate_detector import PlateDetector
from edge.vision.plate_quality import plate_quality
from edge.vision.plate_reader import PlateReader
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.runtime import Entry, manifest, models_dir
from edge.vision.sources import FrameSource
from edge.vision.switch import Switch
from edge.vision.track import Tracker
from edge.vision.values import Kind
from edge.vision.warden import Warden
from edge.vision.watch import Watched

# Sizes in pixels of what is worth finding, and what a coarse pass of the detectors still finds (as a share
# of the longer edge: 22 of 640 pixels for a plate's width, 20 of 192 for a face).
_SMALLEST = {Kind.PLATE: 60.0, Kind.FACE: 40.0}
_COARSE = {Kind.PLATE: 22 / 640, Kind.FACE: 20 / 192}
_PLATE_TILE = (960, 552)
_TRIM, _MMAP = (-1, 2**20), (-3, 2**24)  # of mallopt(3): its numbers for these, and bytes
_LIVE = frozenset({"source", "lens", "pace", "look"})  # what a new configuration may change while running
_UNSENT = "not handed over"  # in the account: reports that the uplink never took
NEWEST = "newest"  # the file in the state folder with the newest time seen


@dataclass(frozen=True, slots=True)
class Assembly:
    """The pipeline, and what keeps account of it."""

    pipeline: Pipeline
    keeper: Timekeeper
    tally: Tally
    account: Account
    health: Health
    switch: Switch | None = None

    def close(self) -> None:
        """Writes down the last counts and the time. Call when the pipeline has ended."""
        self.health.close()
        if self.switch is not None:
            self.switch.close()
        self.keeper.close()
        self.tally.lost(_UNSENT, self.pipeline.sender.unacknowledged)  # nobody will take it now
        self.tally.flush()
        self.account.append("stop")
        self.account.close()


def assemble(settings: config.Vision, clock: Clock, path: Path | None = None) -> Assembly:
    """Everything the vision process runs. Raises ``VidikError`` when a part of it cannot be used.

    With the ``path`` of the configuration, changes of it are taken over while running.
    """
    signing_key = _signing_key(settings.signing_key)
    boot = next_boot(settings.state)
    certified = Certified(signing_key, settings.signing_certificate, clock)
    audit = Audit(settings.state / "audit", clock, settings.camera, certified.signer)
    account = Account(audit, clock)
    models = manifest(models_dir())
    _announce(account, boot, settings, models)
    health = Health(settings.notices or settings.state, settings.camera)
    collect = collecting(settings, account, clock, health)
    tally = Tally(account, clock)
    keeper = Timekeeper(clock, settings.state / NEWEST, account)
    shots = best_shots()
    grants = GrantStore(
        settings.grants, trust.load(settings.trust), settings.camera,
        state=settings.state, incoming=settings.incoming, journal=account,
    )  # fmt: skip
    notices = Notices(
        settings.notices or settings.state, audit, clock, certified.signer, camera=settings.camera,
        software=_software(), models={name: entry.sha256 for name, entry in models.items()},
    )  # fmt: skip

    def kept() -> bool:
        return account.whole and keeper.kept and grants.kept and notices.kept

    gate = Gate(settings.camera, grants, lambda: keeper.trusted, tally, kept)

    def forget(grant: Grant) -> None:
        gate.forget(grant)
        shots.forget(Kind.PLATE if grant.function == "plates" else Kind.FACE)

    grants.closed.append(forget)

    sender = Sender(settings.inbox)
    told = 0  # of what the sender dropped

    def watch(now: float) -> None:
        """``now``: a frame's time. The later of it and the clock counts: pictures that lag revive nothing."""
        nonlocal told
        now = max(now, clock.wall())
        tally.lost(_UNSENT, sender.dropped - told)
        told = sender.dropped
        held = [terms.grant for terms in grants.terms(now)]
        account.tick()
        collect()
        certified.tick()
        tally.tick()
        notices.tick(g for g in held if keeper.trusted and standing(g, settings.camera, now) is None)

    watch(clock.wall())  # says at once, in the log, what the camera may do
    model = bytes.fromhex(models["face-embedder"].sha256)[:8]
    accelerated = accelerate(settings.accelerator, health)
    governor = Governor(settings.thermal.hot)

    def idle() -> None:
        keeper.tick()
        watch(clock.wall())
        warden.idle()

    def open_source(settings: config.Vision) -> FrameSource:
        return sources.open_source(
            settings.source, wall_start=clock.wall() - keeper.offset, pace=settings.pace, camera=settings.lens,
            idle=idle,
        )  # fmt: skip

    switch = None if settings.night is None else Switch(settings.night, settings.lens)
    used = Used(settings, open_source, SparingLook(look(settings.look), governor), switch)
    warden = Warden(settings, health, governor, lambda: used.source, path=path, reload=used.reload, switch=switch)
    used.camera = Watched(used.source, keeper, watch, warden)
    pipeline = Pipeline(
        camera=used.camera,
        blank=PrivacyZones(settings.privacy),
        look=used.look,
        detect=detect(settings.accelerator.threads),
        tracker=Tracker(),
        rules=Rules(settings.behaviour),
        best_shots=shots,
        describe=describe(),
        gate=gate,
        seal=Seal(settings.camera, boot, Sealer(signing_key), model, itertools.count(1).__next__),
        sender=sender,
    )
    state(health, accelerated, keeper, certified, pipeline.rules)
    return Assembly(pipeline, keeper, tally, account, health, switch)


@dataclass(slots=True)
class Used:
    """What the configuration in use has made, and what a new one can change without a new start."""

    settings: config.Vision
    open_source: Callable[[config.Vision], FrameSource]
    look: SparingLook
    switch: Switch | None = None
    source: FrameSource = field(init=False)
    camera: Watched | None = None

    def __post_init__(self) -> None:
        self.source = self.open_source(self.settings)

    def reload(self, settings: config.Vision) -> list[str]:
        """Takes over what is new in ``settings``; returns names of what needs a new start. Raises ``VidikError``."""
        before, names = self.settings, settings.__struct_fields__
        changed = [name for name in names if getattr(settings, name) != getattr(before, name)]
        if "look" in changed:
            self.look.look = look(settings.look)
        if self.camera is not None and {"source", "lens", "pace"} & set(changed):
            self.source = self.open_source(settings)
            self.camera.exchange(self.source)
            if self.switch is not None:
                self.switch.lens(settings.lens)
        live = {name: getattr(settings, name) for name in _LIVE & set(changed)}
        self.settings = msgspec.structs.replace(self.settings, **live)
        return [name for name in changed if name not in _LIVE]


def accelerate(settings: config.Accelerator, health: Health | None = None) -> Accelerators:
    """Has models loaded from now on pass their self-test, and run where ``settings`` say."""
    _give_memory_back()
    accelerators = Accelerators(settings)
    # two detectors work side by side: threads of their models would only wait for each other
    runtime.configure(max(1, settings.threads // 2), None if settings.kind == "cpu" else accelerators, selftest.fault)
    if health is not None:
        health.troubles.append(accelerators.troubles)
    return accelerators


def _give_memory_back() -> None:
    """Has the allocator return what is free to the kernel early, not twice a picture's size late."""
    with suppress(OSError, AttributeError):  # not the GNU C library
        for parameter, size in (_MMAP, _TRIM):
            ctypes.CDLL(None).mallopt(parameter, size)


def state(
    health: Health, accelerators: Accelerators, keeper: Timekeeper, certified: Certified, rules: Rules
) -> None:
    """Has ``health`` say what runs the models, how long the certificate holds, and what is wrong."""
    health.facts += [lambda: {"models_on": dict(accelerators.status())}, certified.facts]
    unlimited = systemd.memory_troubles()  # a kernel does not change its mind
    health.troubles += [certified.troubles, rules.troubles, lambda: unlimited]
    health.troubles.append(lambda: [] if keeper.trusted else ["the clock cannot be trusted, so nothing is reported"])


def collecting(settings: config.Vision, account: Account, clock: Clock, health: Health) -> Callable[[], None]:
    """What takes in the events of other processes, to be called often."""
    if settings.events is None:
        return lambda: None
    collector = Collector(settings.events, account, clock)
    health.troubles.append(lambda: [collector.trouble] if collector.trouble else [])
    return collector.tick


def look(settings: config.Look) -> Look:
    """The look scheduler for plates and faces."""
    plates = Grid(*_PLATE_TILE, settings.overlap, _COARSE[Kind.PLATE], _SMALLEST[Kind.PLATE], *settings.plate_ms)
    tile, share, smallest = settings.tile, _COARSE[Kind.FACE], _SMALLEST[Kind.FACE]
    faces = Grid(tile, tile, settings.overlap, share, smallest, *settings.face_ms)
    return Look({Kind.PLATE: plates, Kind.FACE: faces}, settings.cover_seconds, settings.budget_ms)


def detect(threads: int = 1) -> Detect:
    """The plate and face detectors, side by side on ``threads`` processors."""
    return Detect({Kind.PLATE: PlateDetector(), Kind.FACE: FaceDetector(FAINT)}, threads)


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


def _announce(account: Account, boot: int, settings: config.Vision, models: Mapping[str, Entry]) -> None:
    """Puts down what runs here."""
    account.append("boot", boot=boot, software=_software())
    account.append("config", digest=hashlib.sha256(repr(settings).encode()).hexdigest())
    used = "".join(f"{name} {entry.sha256}\n" for name, entry in sorted(models.items()))
    account.append("models", digest=hashlib.sha256(used.encode()).hexdigest())


def _software() -> str:
    try:
        return version("vidik")
    except PackageNotFoundError:
        return "not installed"


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise VidikError(f"The signing key {path} cannot be read: {error}. Provision the camera again.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise VidikError(f"The signing key {path} is not a P-256 key. Provision the camera again.")
    return key
