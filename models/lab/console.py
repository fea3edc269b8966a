"""What the lab's commands print, and how: results to standard output, progress to standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from models.lab.labels import Progress

Paths = Annotated[list[Path], typer.Argument(help="Picture files, or folders of them.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON line a picture instead of a table.")]


def command() -> typer.Typer:
    """An empty command line application; errors of the program pass through it to ``vidik``."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@contextmanager
def progress(what: str = "pictures") -> Iterator[Progress]:
    """A progress bar on standard error, so that results can be piped on."""
    from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and JSON does without
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, of: bar.update(task, completed=done, total=of or None)


def show(*tables: Table) -> None:
    """Prints ``tables`` to standard output."""
    from rich.console import Console  # noqa: PLC0415

    for table in tables:
        Console().print(table)
