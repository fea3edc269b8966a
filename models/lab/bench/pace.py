"""Frames a second by the clock: the pipeline on so many processors, decoding the clip included."""

from __future__ import annotations

import os
import time
from typing import Any

import msgspec

from edge import config
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.vision import build
from models.lab.labels import Progress

_WARM = 5  # frames


def measure(settings: config.Vision, threads: int, most: int, progress: Progress) -> dict[str, Any]:
    """Runs the pipeline over at most ``most`` frames of ``settings.source``, on ``threads`` processors.

    Whatever else the machine does counts against it. ``missing`` says why there is no figure. Raises ``VidikError``
    when there are too few frames.
    """
    allowed = os.sched_getaffinity(0)
    if len(allowed) < threads:
        return {"missing": f"the machine gives {len(allowed)} processors"}
    os.sched_setaffinity(0, sorted(allowed)[-threads:])
    accelerator = msgspec.structs.replace(settings.accelerator, threads=threads)
    try:
        assembly = build.assemble(msgspec.structs.replace(settings, accelerator=accelerator), SystemClock())
        pipeline, done, spent, begun = assembly.pipeline, 0, 0.0, 0.0
        try:
            for number, frame in enumerate(pipeline.camera):
                if number == _WARM:
                    begun, spent = time.perf_counter(), time.process_time()
                if number == most + _WARM:
                    break
                pipeline.step(frame)
                done = number + 1 - _WARM
                progress(max(0, done), most)
            seconds, spent = time.perf_counter() - begun, time.process_time() - spent
        finally:
            pipeline.camera.close()
            pipeline.sender.close()
            assembly.close()
    finally:
        os.sched_setaffinity(0, allowed)
    if done < 1:
        raise VidikError("The footage is too short to measure. Give a longer one.")
    return {"frames": done, "fps": round(done / seconds, 1), "cpu_ms": round(1000 * spent / done, 2)}
