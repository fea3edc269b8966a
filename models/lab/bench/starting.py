"""``python -m models.lab.bench.starting``: how long the vision process takes to its first frame, and to its end.

Start: from the command to the moment at which systemd would hear ``READY=1``, the first frame described. End: from
SIGTERM to the exit, with reports that no uplink takes, and with a camera that delivers nothing. Exit code 1 when a
median is over what is promised.
"""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from models.lab import console
from provisioning import deployment
from provisioning.demo.cli import clip_people, default_clip
from provisioning.deployment import Deployment

START, STOP = 3.0, 2.0  # seconds that are promised
_PATIENCE = 60.0  # seconds
_RUNNING = 2.0  # seconds until it is told to stop
_NO_CAMERA = "link:run/nobody"  # there is no such socket, so the camera is tried again and again

app = console.command()


@app.command()
def starting(runs: Annotated[int, typer.Option(help="Starts of each kind.")] = 5) -> None:
    """Measure start and end of the vision process."""
    table = Table("what", "median s", "most s", "promised s", title=f"The vision process, {runs} starts")
    late = False
    with tempfile.TemporaryDirectory(prefix="vidik-starting-") as folder:
        made = deployment.create(Path(folder))
        deployment.grant_plates(made)
        deployment.grant_faces(made, clip_people())
        clip = str(default_clip(Console(stderr=True)))
        times: dict[str, list[float]] = {}
        with console.progress("starts") as progress:
            for run in range(runs):
                progress(run, runs)
                deployment.configure(made, clip, 1, pace=True)
                start, stop = measure(made, _RUNNING)
                times.setdefault("start to first frame described", []).append(start)
                times.setdefault("end, reports that no uplink takes", []).append(stop)
                deployment.configure(made, _NO_CAMERA, 1)
                times.setdefault("end, no camera", []).append(measure(made, _RUNNING, ready=False)[1])
    for what, found in times.items():
        promised = START if what.startswith("start") else STOP
        late |= statistics.median(found) > promised
        table.add_row(what, f"{statistics.median(found):.2f}", f"{max(found):.2f}", f"{promised:.1f}")
    console.show(table)
    raise typer.Exit(int(late))


def measure(made: Deployment, running: float, *, ready: bool = True) -> tuple[float, float]:
    """Starts the vision process of ``made``, stops it ``running`` seconds after the first frame, or after its start if
    none will come; the seconds to the first frame, and those from SIGTERM to its end."""
    address = made.folder / "notify"
    address.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(address))
        manager.settimeout(_PATIENCE)
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.vision", "--config", str(made.config)],
            env=dict(os.environ, NOTIFY_SOCKET=str(address)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while (b"READY=1" if ready else b"WATCHDOG=1") not in manager.recv(1024):
                pass
            started = time.monotonic() - began
            time.sleep(running)
            told = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE)
            return started, time.monotonic() - told
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    app()
