"""``vidik audit``: check and show a camera's audit log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.audit import chain, verify
from edge.audit.chain import Entry, Link
from edge.audit.log import ANCHOR
from edge.errors import VidikError
from edge.grant.words import plain
from provisioning import statements

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
Folder = Annotated[Path, typer.Argument(help="The camera's audit folder, or a copy of it.")]


@app.command(name="verify")
def verify_(
    folder: Folder,
    head: Annotated[Path | None, typer.Option(help="A head the camera published (its topic audit).")] = None,
    ca: Annotated[Path | None, typer.Option(help="The deployment's CA certificate (PEM).")] = None,
) -> None:
    """Say whether the log is whole. Exit code 0 if so, 1 with every problem found, 2 when it cannot be examined."""
    signed = statements.read_file(head) if head is not None else None
    camera = ""
    if signed is not None:
        if ca is None:
            raise VidikError("A head proves nothing unless its signer is known. Name the deployment's CA with --ca.")
        camera = statements.check_head(signed, statements.read_ca(ca)).camera
    found = verify.examine(folder, signed)
    problems = list(found.problems)
    anchor = folder / ANCHOR
    if ca is not None and anchor.exists():
        problems += _anchor(anchor, ca, camera)
    _tell(found, problems, camera)
    raise typer.Exit(1 if problems else 0)


@app.command()
def show(
    folder: Folder,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per entry and line.")] = False,
) -> None:
    """Print the entries of a log, whether or not it is whole."""
    for entry in _entries(folder):
        if jsonl:
            facts = {"number": entry.number, "time": _time(entry), "event": entry.event, **entry.facts}
            typer.echo(msgspec.json.encode(facts).decode())
        else:
            facts_said = " ".join(f"{plain(str(name))}={plain(str(value))}" for name, value in entry.facts.items())
            typer.echo(f"{entry.number:>7}  {_time(entry)}  {plain(entry.event):<17} {facts_said}")


def _anchor(path: Path, ca: Path, camera: str) -> list[str]:
    try:
        stated = statements.check_head(statements.read_file(path), statements.read_ca(ca))
    except VidikError as error:
        return [f"{path.name}: {error}"]
    return [f"{path.name}: it is of the camera {stated.camera}."] if camera and stated.camera != camera else []


def _tell(found: verify.Finding, problems: list[str], camera: str) -> None:
    if found.first is not None and found.last is not None:
        whose = f" of {camera}" if camera else ""
        typer.echo(
            f"{found.entries} entries{whose}: number {found.first.number} of {_time(found.first)} to number "
            f"{found.last.number} of {_time(found.last)}."
        )
    for note in found.notes:
        typer.echo(f"Note: {plain(note)}")
    for problem in problems:
        typer.echo(f"PROBLEM: {plain(problem)}")
    typer.echo("The log is NOT whole." if problems else "The log is whole: every entry follows from the one before.")


def _entries(folder: Path) -> list[Entry]:
    found = []
    for path in chain.segments(folder):
        content = chain.read(path)
        begin = chain.start(content)
        if begin is not None:
            found += [link.entry for link in chain.walk(content, begin.hash) if isinstance(link, Link)]
    if not found:
        raise VidikError(f"There is no audit log in {folder}. Name the folder that holds the *.audit files.")
    return found


def _time(entry: Entry) -> str:
    try:
        return datetime.fromtimestamp(entry.time / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):  # a changed entry may hold any number
        return "no possible time"
