"""START HERE: how a picture becomes a sealed report. Data flows one way, through these stages:

camera -> look -> detect -> track -> best shot -> read or embed -> gate -> seal -> hand over

Each stage is a callable or a small object that can be replaced by a fake; ``__main__`` builds the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge.handover import Sender
from edge.vision.best_shot import BestShots
from edge.vision.describe import Describe, wipe
from edge.vision.detect import Detect
from edge.vision.look import Look
from edge.vision.report import Gate, Seal
from edge.vision.sources.base import FrameSource
from edge.vision.track import Track, Tracker
from edge.vision.values import Frame


@dataclass(slots=True)
class Pipeline:
    """One camera's stages, in the order in which a picture passes them."""

    camera: FrameSource
    look: Look
    detect: Detect
    tracker: Tracker
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
            self.report(frame, live=[])

    def step(self, frame: Frame) -> None:
        """One frame: find what is in it, then report what has been seen well enough."""
        glances = self.look.plan(frame, self.tracker.live)
        detections = self.detect(frame, glances)
        for track, detection in self.tracker.update(frame, detections):
            self.best_shots.offer(frame, track, detection)
        self.report(frame, self.tracker.live)

    def report(self, frame: Frame, live: list[Track]) -> None:
        """Reads the objects that are ripe or no longer live; what the gate permits leaves, sealed."""
        for track, shots, final in self.best_shots.ripe(frame.monotonic, live):
            seen = self.describe(track, shots)
            for permit in self.gate(track, seen, frame, final):
                self.sender.offer(self.seal(permit, track, shots[0], frame))
            wipe(seen)
