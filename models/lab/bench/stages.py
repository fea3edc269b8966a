"""Times every stage of the camera's pipeline, in this process, over a video or a folder of photos."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edge import config
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.vision import build
from edge.vision.describe import Describe
from edge.vision.detect import Detect
from edge.vision.face_detector import FAINT, FaceDetector
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.pipeline import Pipeline
from edge.vision.plate_detector import PlateDetector
from edge.vision.plate_reader import PlateReader
from edge.vision.values import Kind
from models.lab.labels import Progress

WARM_UP = 3
"""Frames at the start that are not counted."""

ALL = "all but decoding"
STAGES = (
    "decode", "look", "detect plates", "detect faces", "track", "best shot", "read plates", "embed faces", "seal", ALL,
)  # fmt: skip


@dataclass(slots=True)
class Laps:
    """Milliseconds by stage, one sum a frame."""

    frames: list[dict[str, float]] = field(default_factory=list)
    _now: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def timed(self, stage: str, run: Callable[..., Any]) -> Callable[..., Any]:
        """``run`` with its time added to ``stage``."""

        def timed(*given: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return run(*given, **named)
            finally:
                self._now[stage] += (time.perf_counter() - start) * 1000

        return timed

    def instrument(self, part: object, method: str, stage: str) -> None:
        """Times ``part.method`` from now on."""
        setattr(part, method, self.timed(stage, getattr(part, method)))

    def end_frame(self) -> None:
        """Closes one frame."""
        self.frames.append(dict(self._now))
        self._now.clear()

    def figures(self) -> dict[str, Any]:
        """Medians and means a frame for each stage, and frames per second over everything but decoding.

        Raises ``VidikError`` when no frame is left after warming up.
        """
        counted = self.frames[WARM_UP:]
        if not counted:
            raise VidikError(f"The footage has {len(self.frames)} frames, too few to measure. Give a longer one.")
        values = {stage: [frame.get(stage, 0.0) for frame in counted] for stage in STAGES}
        total = sum(values[ALL])
        return {
            "frames": len(counted),
            "fps": round(1000 * len(counted) / total, 1),
            "ms_median": {stage: round(statistics.median(v), 3) for stage, v in values.items()},
            "ms_mean": {stage: round(statistics.fmean(v), 3) for stage, v in values.items()},
        }


def measure(settings: config.Vision, most: int, progress: Progress) -> dict[str, Any]:
    """Runs the real pipeline over at most ``most`` frames of ``settings.source``. Raises ``VidikError``.

    Reports are sealed and offered, and wait in memory, as they do while the uplink is away.
    """
    laps = Laps()
    assembly = build.assemble(settings, SystemClock())
    pipeline = assembly.pipeline
    _instrument(pipeline, laps)
    frames = iter(pipeline.camera)
    take = laps.timed("decode", lambda: next(frames, None))
    step = laps.timed(ALL, pipeline.step)
    size = (0, 0)
    try:
        for done in range(most + WARM_UP):
            frame = take()
            if frame is None:
                break
            size = frame.width, frame.height
            step(frame)
            laps.end_frame()
            progress(done, most + WARM_UP)
    finally:
        pipeline.camera.close()
        pipeline.sender.close()
        assembly.close()
    return {"size": f"{size[0]}x{size[1]}", "tracks": pipeline.tracker.count, **laps.figures()}


def _instrument(pipeline: Pipeline, laps: Laps) -> None:
    plates, faces, reader, embedder = PlateDetector(), FaceDetector(FAINT), PlateReader(), FaceEmbedder()
    laps.instrument(pipeline.look, "plan", "look")
    laps.instrument(plates, "detect", "detect plates")
    laps.instrument(faces, "detect", "detect faces")
    laps.instrument(pipeline.tracker, "update", "track")
    laps.instrument(pipeline.best_shots, "offer", "best shot")
    laps.instrument(reader, "read", "read plates")
    laps.instrument(embedder, "template", "embed faces")
    laps.instrument(pipeline, "seal", "seal")
    pipeline.detect = Detect({Kind.PLATE: plates, Kind.FACE: faces})
    pipeline.describe = Describe(reader, embedder)
