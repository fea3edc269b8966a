"""``vidik lab fleet``: a city of simulated cameras at one broker."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from models.lab import console
from provisioning.fleet import report
from provisioning.fleet.run import Plan, run


def fleet(
    cameras: Annotated[int, typer.Option(help="How many cameras, each with its own certificate.", min=1)] = 1_000,
    rate: Annotated[float, typer.Option(help="Reports a second of all cameras together.", min=0.1)] = 1_000.0,
    steady: Annotated[float, typer.Option(help="Seconds of steady load before and after the outage.")] = 30.0,
    outage: Annotated[float, typer.Option(help="Seconds for which the broker is gone.")] = 10.0,
    crash: Annotated[bool, typer.Option("--crash", help="End the broker by SIGKILL instead of in order.")] = False,
    ramp: Annotated[float, typer.Option(help="Connections opened a second at the beginning.")] = 150.0,
    workers: Annotated[int, typer.Option(help="Processes that the cameras share.", min=1)] = 2,
    png: Annotated[Path | None, typer.Option(help="Write the plot here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Simulate a fleet of cameras at a Mosquitto of its own: steady load, a broker restart, the drain.

    Exit code 1 when a report was lost.
    """
    plan = Plan(cameras, rate, ramp, steady, outage, crash, workers)
    with console.progress("fleet") as show:
        result = run(plan, lambda _, done, of: show(int(done), int(of)))
    found = report.figures(result)
    if as_json:
        typer.echo(json.dumps(found))
    else:
        for name, value in found.items():
            typer.echo(f"{name:<48}{value}")
    if png is not None:
        report.plot(result, png)
    if result.lost:
        sys.exit(1)
