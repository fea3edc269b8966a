"""START HERE: how a picture becomes a sealed report. Data flows one way, through these stages:

camera -> blank -> look -> detect -> track -> rules -> best shot -> read or embed -> gate -> seal -> hand over

Each stage is a callable or a small object that can be replaced by a fake; ``__main__`` builds the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.handover import Sender
from edge.vision.best_shot import BestShots
from edge.vision.describe import Describe, wipe
from edge.vision.detect import Detect
from edge.vision.look import Look
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.sources.base import FrameSource
from edge.vision.track import Track, Tracker
from edge.vision.values import Frame


@dataclass(slots=True)
class Pipeline:
    """One camera's stages, in the order in which a picture passes them."""

    camera: FrameSource
    blank: PrivacyZones
    look: Look
    detect: Detect
    tracker: Tracker
    rules: Rules
    best_shots: BestShots
    describe: Describe
    gate: Gate
    seal: Seal
    sender: Sender

    def run(self) -> None:
        """Works through the camera's frames until there are no more."""
        frame = None
        for frame in self.camera:
            self.step(frame)
        if frame is not None:
            self.rules.watch(frame, live=[])
            self.report(frame, live=[])

    def step(self, frame: Frame) -> None:
        """One frame: find what is in it, judge what it does, then report what has been seen well enough."""
        frame = self.blank(frame)
        glances = self.look.plan(frame, self.tracker.live)
        detections = self.detect(frame, glances)
        for track, detection in self.tracker.update(frame, detections):
            self.best_shots.offer(frame, track, detection)
        self.rules.watch(frame, self.tracker.live)
        self.report(frame, self.tracker.live)

    def report(self, frame: Frame, live: list[Track]) -> None:
        """Reads the objects that are ripe or no longer live; what the gate permits leaves, sealed."""
        for track, shots, final in self.best_shots.ripe(frame.monotonic, live):
            if self.gate.waits(track, frame, final):
                continue  # it has tripped no rule that a grant is about: it is not read
            seen = self.describe(track, shots)
            for permit in self.gate(track, seen, frame, final):
                self.sender.offer(self.seal(permit, track, shots[0], frame))
            wipe(seen)
