"""Runs the camera as it is - two processes and a broker - and measures it from outside."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import psutil

from provisioning.demo.stage import Stage
from provisioning.deployment import Deployment

_INTERVAL = 0.05  # seconds between two looks at memory


def measure(made: Deployment, source: str) -> dict[str, Any]:
    """Runs both processes over ``source``, as fast as it goes. Raises ``VidikError`` when one fails.

    Memory is the resident set (as /proc states it) in MiB, the median and the largest seen. ``seconds`` runs
    from the start of the vision process to its end, so that it includes loading models and handing over.
    """
    resident: dict[str, list[int]] = defaultdict(list)
    with Stage(made, source) as stage:
        start = time.monotonic()
        stage.start_vision()
        watched = {name: psutil.Process(pid) for name, pid in stage.pids.items()}
        while stage.watching:
            _look(watched, resident)
            time.sleep(_INTERVAL)
        seconds = time.monotonic() - start
        _look(watched, resident)
        summary = stage.summary()
    memory = {name: {"median": _mib(sorted(v)[len(v) // 2]), "most": _mib(max(v))} for name, v in resident.items()}
    return {"seconds": round(seconds, 2), "fps": round(summary["frames"] / seconds, 1), **summary, "rss_mib": memory}


def _look(watched: dict[str, psutil.Process], resident: dict[str, list[int]]) -> None:
    for name, process in watched.items():
        try:
            bytes_used = process.memory_info().rss
        except psutil.Error:
            continue  # it ended a moment ago; what was seen stands
        if bytes_used:  # 0 for a process that has ended and waits to be asked for its exit code
            resident[name].append(bytes_used)


def _mib(bytes_used: int) -> float:
    return round(bytes_used / 2**20, 1)
