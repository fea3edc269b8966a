"""What a frame allocates: the memory that it takes and gives back, which buffers could have held instead."""

from __future__ import annotations

import resource
import statistics
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

from edge import config
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.vision import build
from edge.vision.values import Frame
from models.lab.labels import Progress

_WARM = 10  # frames: buffers are made, and grow to their size


def measure(settings: config.Vision, most: int, progress: Progress) -> dict[str, Any]:
    """Sends at most ``most`` frames of ``settings.source`` through the pipeline; figures as of ``watch``."""
    assembly = build.assemble(settings, SystemClock())
    pipeline = assembly.pipeline
    try:
        return watch(pipeline.step, pipeline.camera, most, progress)
    finally:
        pipeline.camera.close()
        pipeline.sender.close()
        assembly.close()


def watch(step: Callable[[Frame], Any], frames: Iterable[Frame], most: int, progress: Progress) -> dict[str, Any]:
    """Sends at most ``most`` of ``frames`` through ``step``; medians a frame. Raises ``VidikError`` for too few frames.

    ``kib_transient`` is by how much memory grew at most while a frame was worked on, pictures and tensors of numpy and
    OpenCV included, what models do inside left out. ``page_faults`` are the process's while it did, minor ones too:
    memory that was given back to the kernel and fetched again.
    """
    transient: list[float] = []
    faults: list[int] = []
    tracemalloc.start()
    try:
        for number, frame in enumerate(frames):
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            paged = _page_faults()
            step(frame)
            paged = _page_faults() - paged
            _, peak = tracemalloc.get_traced_memory()
            if number >= _WARM:
                transient.append((peak - before) / 1024)
                faults.append(paged)
                progress(number - _WARM, most)
            if number + 1 == most + _WARM:
                break
    finally:
        tracemalloc.stop()
    if not transient:
        raise VidikError("The footage is too short to measure. Give a longer one.")
    return {
        "frames": len(transient), "kib_transient": round(statistics.median(transient), 1),
        "page_faults": statistics.median(faults),
    }  # fmt: skip


def _page_faults() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_minflt + used.ru_majflt
