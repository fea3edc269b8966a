"""One result line a picture: what ``vidik read`` and ``vidik faces`` share."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import typer

from edge.errors import VidikError
from edge.vision.values import Box, Pixels
from models.lab import console, media
from models.lab.still import Still, StillPath, analyse_still

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
Line = dict[str, Any]


def lines(images: Iterable[Path], path: StillPath[T], entries: Callable[[Still[T]], Line]) -> Iterator[Line]:
    """One line a picture: ``image``, the ``entries`` made of what was seen, and ``ms``; or ``image`` and ``error``."""
    for image in images:
        try:
            still = analyse_still(media.load(image), path)
        except VidikError as error:
            yield {"image": str(image), "error": str(error)}
            continue
        yield {"image": str(image), **entries(still), "ms": round(still.milliseconds, 2)}


def run(results: Iterable[Line], table: Callable[[Iterable[Line]], Table], as_json: bool) -> None:
    """Prints ``results`` as JSON lines, each as soon as it is there, or as a table. Exits with 1 when any failed."""
    failed = 0
    done = []
    for line in results:
        failed += "error" in line
        if as_json:
            sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
            sys.stdout.flush()
        else:
            done.append(line)
    if not as_json:
        console.show(table(done))
    if failed:
        typer.echo(f"{failed} of the pictures could not be used.", err=True)
        raise typer.Exit(1)


def xywh(box: Box) -> list[float]:
    """``box`` as x, y, width, height in pixels, to a tenth of a pixel."""
    return [round(float(v), 1) for v in (box.x0, box.y0, box.width, box.height)]


def warm_up(path: StillPath[T]) -> None:
    """Runs once on an empty picture, so that the first picture's time is like the others'."""
    empty: Pixels = np.zeros((480, 640, 3), np.uint8)
    analyse_still(empty, path)
