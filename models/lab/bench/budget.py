"""What a frame costs on one core, in CPU time, and how much of that is not inference. Draws a flame graph.

CPU time is what counts against a core whatever else the machine does. Inference is time inside the interpreter's
``invoke``; everything else that the pipeline does is overhead. Decoding the clip is listed apart: a camera's image
signal processor delivers pixels, and a network camera's video is decoded by another process.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from edge import config
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.vision import build, runtime
from edge.vision.detect import Detect
from edge.vision.values import Kind
from models.lab.bench import flame
from models.lab.labels import Progress
from provisioning.demo import clip
from provisioning.demo.cli import default_clip

FPS = 15.0  # real time
_WARM = 5  # frames
_TITLE = "CPU time of the pipeline: width is time, what stands on a box is what it calls"


def full_hd(console: Console) -> Path:
    """The project's own clip in 1920x1080, rendered once and kept beside the default one."""
    path = default_clip(console).with_suffix(".1080p.mp4")
    if not path.exists():
        console.print("Rendering the clip in 1920x1080 …")
        fresh = path.with_name(f"fresh-{path.name}")
        clip.render(fresh, path.with_suffix(".json"), width=1920, height=1080)
        fresh.replace(path)
    return path


class _Spent:
    """CPU seconds of this process by name, while ``counts`` is set."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.counts = False

    def counted(self, name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*given: Any, **named: Any) -> Any:
            if not self.counts:
                return run(*given, **named)
            begin = time.process_time()
            try:
                return run(*given, **named)
            finally:
                self.seconds[name] += time.process_time() - begin

        return counted


def measure(settings: config.Vision, most: int, drawing: Path, progress: Progress) -> dict[str, Any]:
    """Runs the pipeline on one core over at most ``most`` frames of ``settings.source``, counts one half of them and
    draws the other; milliseconds are a frame's. Raises ``VidikError`` when there are too few frames.
    """
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    spent = _Spent()
    interpreter = runtime.interpreters().Interpreter
    before = interpreter.invoke
    assembly = build.assemble(settings, SystemClock())
    pipeline = assembly.pipeline
    interpreter.invoke = spent.counted("models", before)
    sampler = flame.Sampler()
    try:
        frames, step = iter(pipeline.camera), spent.counted("step", pipeline.step)
        take = spent.counted("decode", lambda: next(frames, None))
        _count_detectors(pipeline.detect, spent)
        done = 0
        for number in range(-_WARM, most):
            # every other frame is drawn instead: the profiler takes time of its own
            spent.counts = number >= 0 and number % 2 == 0
            frame = take()
            if frame is None:
                break
            with sampler if number >= 0 and not spent.counts else nullcontext():
                step(frame)
            done += spent.counts
            progress(max(0, number), most)
    finally:
        interpreter.invoke = before
        os.sched_setaffinity(0, allowed)
        pipeline.camera.close()
        pipeline.sender.close()
        assembly.close()
    if not done:
        raise VidikError("The footage is too short to measure. Give a longer one.")
    drawing.parent.mkdir(parents=True, exist_ok=True)
    inside = flame.collapsed(sampler.stacks, "pipeline:Pipeline.step")
    drawing.write_text(flame.draw(inside, _TITLE), encoding="utf-8")
    return {"frames": done, "size": frame_size(pipeline), **_figures(spent, done), "flame_graph": str(drawing)}


def frame_size(pipeline: Any) -> str:
    """The size of the pipeline's frames, as its scheduler knows it."""
    width, height = pipeline.look.look._size  # noqa: SLF001 - it has no other use for it
    return f"{width}x{height}"


def _count_detectors(detect: Detect, spent: _Spent) -> None:
    for kind, detector in detect._detectors.items():  # noqa: SLF001 - measured where it is used
        detector.detect = spent.counted(kind.value, detector.detect)  # type: ignore[method-assign]


def _figures(spent: _Spent, frames: int) -> dict[str, Any]:
    ms = {name: 1000 * seconds / frames for name, seconds in spent.seconds.items()}
    step, models, decode = ms["step"], ms["models"], ms["decode"]
    plates, faces = ms[Kind.PLATE.value], ms[Kind.FACE.value]
    return {
        "cpu_ms": {"step": round(step, 2), "models": round(models, 2), "overhead": round(step - models, 2),
                   "plates": round(plates, 2), "faces": round(faces, 2), "decode": round(decode, 2)},
        "overhead_share": round((step - models) / step, 3),
        "core_share_at_15_fps": round(FPS * step / 1000, 3),
        "core_share_with_decoding": round(FPS * (step + decode) / 1000, 3),
    }  # fmt: skip
