"""``python -m models.lab.bench.soak``: the vision pipeline at full speed for half an hour; does it grow?

One clip is opened again and again, so that sources too have to give back what they take. Resident memory and open
files are read from the kernel at even distances; a slope is that of a straight line through what follows warming up.

What the process holds is its resident memory without what its allocator keeps free (mallinfo2(3)). A source that is
opened anew leaves a hole of a picture or two there, 6 or 12 MiB of 1920x1080, or fills one, and that for minutes: in
resident memory alone half an hour's slope is then 0.1 MiB a minute, up or down, by chance. So what is held must not
grow, and resident memory not beyond that chance.
"""

from __future__ import annotations

import ctypes
import dataclasses
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from edge import config
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.vision import build, sources
from edge.vision.values import Frame
from models.lab import console

_WARM = 0.15  # share of the run that is not counted: caches fill, allocators settle
_GAP = 40.0  # seconds on the frame clock between two passes, so that no plate counts as a repeat
MOST_MIB = 220.0  # what holds: resident MiB,
MOST_SLOPE, MOST_RESIDENT_SLOPE = 0.1, 0.5  # and MiB a minute of what is held, and of resident memory

app = console.command()


def passes(clip: str, until: float, start: float) -> Iterator[Frame]:
    """The frames of ``clip`` over and over until the monotonic time ``until``, in one rising time."""
    index, offset = 0, 0.0
    while time.monotonic() < until:
        last = 0.0
        with sources.open_source(clip, wall_start=0.0) as source:
            for frame in source:
                last = offset + frame.monotonic
                yield dataclasses.replace(frame, index=index, monotonic=last, wall=start + (last % 3600))
                index += 1
                if time.monotonic() >= until:
                    return
        offset = last + _GAP


def verdict(minutes: list[float], mib: list[float], free: list[float], files: list[int]) -> dict[str, Any]:
    """What the samples say: the slopes after warming up, the most memory, the range of open files, and ``holds``.

    ``mib`` is resident memory, ``free`` what of it the allocator keeps free.
    """
    begin = int(len(minutes) * _WARM)
    if len(minutes) - begin < 3:
        raise VidikError("The run was too short to say anything. Give it more minutes.")
    held = [resident - unused for resident, unused in zip(mib, free, strict=True)]
    slope, resident_slope = (float(np.polyfit(minutes[begin:], series[begin:], 1)[0]) for series in (held, mib))
    fewest, most = min(files[begin:]), max(files[begin:])
    # a pass that ends while a sample is taken has its file closed for that moment, or two are open
    flat = slope <= MOST_SLOPE and resident_slope <= MOST_RESIDENT_SLOPE
    holds = max(mib) <= MOST_MIB and flat and most - fewest <= 2
    return {
        "mib_most": round(max(mib), 1), "mib_after_warming": round(mib[begin], 1), "mib_end": round(mib[-1], 1),
        "held_after_warming": round(held[begin], 1), "held_end": round(held[-1], 1),
        "slope_mib_a_minute": round(slope, 4), "resident_slope_mib_a_minute": round(resident_slope, 4),
        "files": [fewest, most], "holds": bool(holds),
    }  # fmt: skip


def _other_side(folder: Path, clip: str, ready: Any) -> None:
    """In a process of its own, whose memory does not count: a deployment, then an inbox that takes all reports."""
    from edge.handover import Receiver  # noqa: PLC0415
    from provisioning import deployment  # noqa: PLC0415
    from provisioning.demo.cli import clip_people  # noqa: PLC0415

    made = deployment.create(folder)
    deployment.grant_plates(made)
    deployment.configure(made, clip, 1)
    deployment.grant_faces(made, clip_people())
    inbox = Receiver(made.camera_folder / "run" / "inbox")
    ready.send(made.config)
    while True:
        inbox.acknowledge(inbox.receive(1.0))


def _full_hd() -> Path:
    """The project's clip in 1920x1080, made by another process: what drawing needs must not count as the camera's."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        return elsewhere.submit(_rendered).result()


def _rendered() -> Path:
    from rich.console import Console  # noqa: PLC0415 - see above

    from models.lab.bench.budget import full_hd  # noqa: PLC0415

    return full_hd(Console(stderr=True))


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class _Heaps(ctypes.Structure):
    """``struct mallinfo2`` of the GNU C library since 2.33."""

    _fields_ = [("numbers", ctypes.c_size_t * 10)]  # the ninth, fordblks, is what is free


def _free() -> float:
    """MiB that the allocator keeps free; 0 with a C library that does not say."""
    ask = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if ask is None:
        return 0.0
    ask.restype = _Heaps
    return int(ask().numbers[8]) / 2**20


@app.command()
def soak(
    clip: Annotated[Path | None, typer.Argument(help="A video; default: the project's own clip in 1920x1080.")] = None,
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0,
) -> None:
    """Run, print one JSON line, and fail when memory or open files grow."""
    clip = clip or _full_hd()
    times: list[float] = []
    mib: list[float] = []
    free: list[float] = []
    files: list[int] = []
    with tempfile.TemporaryDirectory(prefix="vidik-soak-") as folder:
        here, there = multiprocessing.Pipe(duplex=False)
        other = multiprocessing.get_context("fork").Process(target=_other_side, args=(Path(folder), str(clip), there))
        other.start()
        if not here.poll(120):
            other.kill()
            raise VidikError("The deployment for the run was not made within two minutes.")
        assembly = build.assemble(config.load(here.recv(), config.Vision), SystemClock())
        pipeline, begun = assembly.pipeline, time.monotonic()
        every, frames = max(0.2, minutes / 3), 0
        for frame in passes(str(clip), begun + 60 * minutes, time.time()):
            pipeline.step(frame)
            frames += 1
            now = time.monotonic() - begun
            if now >= every * len(times):
                times.append(now / 60)
                mib.append(_resident())
                free.append(_free())
                files.append(len(list(Path("/proc/self/fd").iterdir())))
        reported = sum(pipeline.gate.reported.values())
        pipeline.sender.close()
        pipeline.camera.close()
        assembly.close()
        other.kill()
        other.join()
    found = verdict(times, mib, free, files)
    typer.echo(json.dumps({"minutes": round(times[-1], 2), "frames": frames, "reported": reported, **found}))
    if not found["holds"]:
        sys.exit(1)


if __name__ == "__main__":
    sys.exit(app())
