"""``python -m models.lab.bench``: prints how fast and how large the camera is, and how its peers do."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from edge import config
from edge.errors import VidikError
from models.lab import console, faces_eval, labels
from models.lab.bench import allocations, budget, crowd, law, pace, peers, processes, stages
from provisioning import deployment
from provisioning.demo.cli import clip_people, default_clip
from provisioning.deployment import Deployment

_EVALUATED = ("s2[1-9]", "s3?", "s40")  # subjects of faces-att that nothing was calibrated on

app = console.command()


@app.command()
def bench(
    clip: Annotated[Path | None, typer.Option(help="A video; default: the project's own clip.")] = None,
    frames: Annotated[int, typer.Option(help="Frames timed stage by stage, of each source.")] = 200,
    photos: Annotated[int, typer.Option(help="Photos on which plate readers are compared; 0: all.")] = 0,
    peer_python: Annotated[str, typer.Option(help="Interpreter in whose environment the peers are.")] = sys.executable,
    drawing: Annotated[Path, typer.Option(help="Where the flame graph goes.")] = Path("build/flame.svg"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Measure the pipeline, both processes, and peers on the same pictures. One thread each."""
    footage = clip or default_clip(Console(stderr=True))
    shared = Path(os.environ.get("VIDIK_SHARED", Path(__file__).parents[3].parent / "shared"))
    street, att = shared / "data" / "plates-ro", shared / "data" / "faces-att"
    found: dict[str, Any] = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    }
    found["law"] = law.measure()
    with tempfile.TemporaryDirectory(prefix="vidik-bench-") as folder:
        made = deployment.create(Path(folder))
        deployment.grant_plates(made)
        found["clip"] = _source(made, str(footage), frames)
        found["full hd"] = _budget(made, frames, drawing)
        if street.is_dir():
            found["street photos"] = _source(made, str(street / "images"), frames)
    with console.progress("peers") as progress:
        if street.is_dir():
            pictures = labels.load(street, street / "labels.csv", "valid")
            found["plates"] = peers.plates(pictures, photos, peer_python, progress)
        if att.is_dir():
            found["faces"] = peers.faces(faces_eval.people_of(att, _EVALUATED), peer_python, progress)
        if att.is_dir() and street.is_dir():
            five = [att / f"s{subject}" for subject in range(21, 26)]
            ground = min((street / "images").iterdir())
            found["five people"] = crowd.measure(ground, five, peer_python, 6, progress)
        timed = found["clip"]["stages"]["frames"]
        numbers = range(stages.WARM_UP, stages.WARM_UP + timed, max(1, timed // 15))
        found["faces in the clip"] = peers.frames(footage, numbers, peer_python, progress)
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False))
    else:
        show(found)


def _source(made: Deployment, source: str, frames: int) -> dict[str, Any]:
    with console.progress(f"frames of {Path(source).name}") as progress:
        both = processes.measure(made, source)  # first, for it writes the configuration that the next line reads
        timed = stages.measure(config.load(made.config, config.Vision), frames, progress)
    return {"processes": both, "stages": timed}


def _budget(made: Deployment, frames: int, drawing: Path) -> dict[str, Any]:
    """The project's clip in 1920x1080, plates and faces on: CPU time on one core, the clock on one and two, memory."""
    deployment.configure(made, str(budget.full_hd(Console(stderr=True))), 1)
    deployment.grant_faces(made, clip_people())
    settings = config.load(made.config, config.Vision)
    with console.progress("frames of 1920x1080 on one core") as progress:
        found = budget.measure(settings, frames, drawing, progress)
    found["clock"] = {}
    for cores in (1, 2):
        with console.progress(f"frames of 1920x1080 by the clock, cores: {cores}") as progress:
            found["clock"][str(cores)] = pace.measure(settings, cores, frames, progress)
    with console.progress("frames of 1920x1080, memory") as progress:
        return {**found, "allocations": allocations.measure(settings, 60, progress)}


def show(found: dict[str, Any]) -> None:
    """Prints everything as tables."""
    if "law" in found:
        console.show(_law(found["law"]))
    for name in ("clip", "street photos"):
        if name in found:
            console.show(_stages(name, found[name]["stages"]), _processes(name, found[name]["processes"]))
    console.show(_core(found["full hd"]))
    peer_tables = [_plates(found["plates"])] if "plates" in found else []
    if "faces" in found:
        peer_tables.append(_faces(found["faces"]))
    if "five people" in found:
        peer_tables.append(_crowd(found["five people"]))
    console.show(*peer_tables, _clip_faces(found["clip"]["stages"], found["faces in the clip"]))


def _stages(name: str, figures: dict[str, Any]) -> Table:
    title = f"{name}: {figures['frames']} frames, {figures['size']}, one thread; {figures['fps']}/s without decoding"
    table = Table("stage", "median ms a frame", "mean ms a frame", title=title)
    for stage, median in figures["ms_median"].items():
        table.add_row(stage, f"{median:.2f}", f"{figures['ms_mean'][stage]:.2f}")
    return table


def _core(figures: dict[str, Any]) -> Table:
    title = f"one core, {figures['size']}, {figures['frames']} frames, CPU time; drawn in {figures['flame_graph']}"
    table = Table("what", "figure", title=title)
    for part, spent in figures["cpu_ms"].items():
        table.add_row(f"{part}, ms a frame", f"{spent:.2f}")
    table.add_row("overhead besides inference", f"{figures['overhead_share']:.1%}")
    table.add_row("share of the core at 15 frames/s", f"{figures['core_share_at_15_fps']:.1%}")
    table.add_row("the same with decoding the clip", f"{figures['core_share_with_decoding']:.1%}")
    for cores, clocked in figures["clock"].items():
        shown = f"{clocked['fps']:.1f}" if "fps" in clocked else f"not measured: {clocked['missing']}"
        table.add_row(f"frames/s by the clock, with decoding, cores: {cores}", shown)
    taken = figures["allocations"]
    table.add_row("memory a frame takes and gives back, KiB", f"{taken['kib_transient']:.0f}")
    table.add_row("page faults a frame", f"{taken['page_faults']:.0f}")
    return table


def _law(figures: dict[str, Any]) -> Table:
    idle = figures["idle frame"]
    title = f"The law, median ms of processor time; a frame in which nothing happens costs {idle:.3f} ms"
    table = Table("a report", "gate", "seal", "both", "bytes sealed", title=title)
    for name, cost in figures["report"].items():
        table.add_row(name, *(f"{cost[part]:.3f}" for part in ("gate", "seal", "both")), f"{cost['bytes']:.0f}")
    return table


def _processes(name: str, figures: dict[str, Any]) -> Table:
    title = f"{name}: both processes over all {figures['frames']} frames, {figures['fps']} frames/s from start to end"
    table = Table("process", "resident MiB, median", "resident MiB, most", title=title)
    for process, memory in figures["rss_mib"].items():
        table.add_row(process, f"{memory['median']:.0f}", f"{memory['most']:.0f}")
    return table


def _plates(figures: dict[str, Any]) -> Table:
    title = f"{figures['plates']} plates in {figures['pictures']} street photos (1280x720), one thread"
    table = Table("program", "exact", "median ms a photo", title=title)
    for name in ("vidik", "rapidocr"):
        _row(table, name, figures[name], "exact", "ms_median")
    return table


def _faces(figures: dict[str, Any]) -> Table:
    title = f"Verification, {figures['people']} people, {figures['pictures']} photos of 92x112, one thread"
    table = Table("program", "AUC", "AUC, found", "not found", "median ms a photo", title=title)
    for name in ("vidik", "face_recognition"):
        _row(table, name, figures[name], "auc", "auc_found", "not_found", "ms_median")
    return table


def _crowd(figures: dict[str, Any]) -> Table:
    title = "Face path, five people, 1920x1080, processor time of one thread"
    table = Table("program", "ms a frame, mean", "most", "faces found", "named right", "false", title=title)
    for name in ("vidik", "face_recognition"):
        _row(table, name, figures[name], "ms_mean", "ms_most", "found", "named_right", "strangers")
    return table


def _clip_faces(ours: dict[str, Any], theirs: dict[str, Any]) -> Table:
    table = Table("program", "mean ms a frame", title=f"Face path in the clip ({ours['size']}), one thread")
    means = ours["ms_mean"]
    table.add_row("vidik", f"{means.get('detect faces', 0) + means.get('embed faces', 0):.2f}")
    _row(table, "face_recognition", theirs, "ms_mean")
    return table


def _row(table: Table, name: str, figures: dict[str, Any], *columns: str) -> None:
    if "missing" in figures:
        table.add_row(name, f"not installed ({figures['missing']})")
        return
    shown = [f"{figures[c]:.4g}" if figures[c] is not None else "-" for c in columns]
    table.add_row(f"{name} {figures.get('version', '')}".strip(), *shown)


if __name__ == "__main__":
    try:
        app()
    except VidikError as error:
        sys.exit(str(error))
