"""How the fleet is shown: a table for people, a picture of it, JSON for programs."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edge.grant.words import plain
from provisioning.overview.judge import Line, State, counts

_STYLES = {
    State.FAILING: "bold red", State.OFFLINE: "red", State.UNHEARD: "red", State.DEGRADED: "yellow",
    State.WELL: "", State.NEW: "dim", State.REVOKED: "dim",
}  # fmt: skip
_FRAME = 6  # lines of the screen that are not rows
_WIDE, _SOME = 180, 120  # columns of the screen from which on the less important ones are shown
_REASONS, _NAMES = 30, 34  # columns for why, at least, and for names and grants, at most
_LARGE = 1_000_000


class View(NamedTuple):
    """All cameras, those of them that are wanted, and the moment."""

    lines: Sequence[Line]
    shown: Sequence[Line]
    now: datetime


def table(view: View, title: str, width: int, rows: int) -> Table:
    """A table of at most ``rows`` cameras, for a screen of ``width`` columns."""
    lines, shown, now = view
    online = sum(line.online is True for line in lines)
    summary = " · ".join(f"{count} {state}" for state, count in counts(lines).items())
    left = len(shown) - rows
    caption = summary or "no camera was heard of"
    if left > 0:
        caption += f" · {left} more: a taller screen, --only or --match shows them"
    above = plain(f"{title} · {online} of {len(lines)} online")
    made = Table(title=above, caption=caption, expand=True, box=box.SIMPLE_HEAD)
    for heading, _, wanted in _COLUMNS:
        if width >= wanted:
            why = heading == "why"
            made.add_column(
                heading, no_wrap=not why, overflow="fold" if why else "ellipsis", ratio=1 if why else None,
                min_width=_REASONS if why else None, max_width=None if why else _NAMES,
            )  # fmt: skip
    for line in shown[: max(1, rows)]:
        cells = [cell(line, now) for _, cell, wanted in _COLUMNS if width >= wanted]
        made.add_row(*(Text(cell) for cell in cells), style=_STYLES[line.state])
    return made


def rows_of(console: Console) -> int:
    """How many rows fit on the screen."""
    return max(3, console.height - _FRAME)


def picture(made: Table, width: int, title: str) -> str:
    """The table as SVG."""
    console = Console(record=True, width=width, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    console.print(made)
    # without the fonts that Rich would have a viewer fetch from elsewhere
    return re.sub(r"@font-face\s*\{.*?\}", "", console.export_svg(title=plain(title)), flags=re.DOTALL)


def as_builtins(line: Line) -> dict[str, object]:
    """``line`` for JSON; times in ISO 8601, UTC."""
    found: dict[str, object] = msgspec.to_builtins(line)
    return found


def days(until: datetime, now: datetime) -> str:
    """How long it is until ``until``, in the unit that matters."""
    hours = (until - now).total_seconds() / 3600
    if hours < 0:
        return "over"
    return f"{hours:.0f} h" if hours < 72 else f"{hours / 24:.0f} d"


def _name(line: Line, _: datetime) -> str:
    return f"{line.camera}  {line.label}".strip()


def _fps(line: Line, _: datetime) -> str:
    if line.fps is None:
        return ""
    return f"{line.fps:.1f}" if abs(line.fps) < 10_000 else "?"


def _grants(line: Line, now: datetime) -> str:
    return ", ".join(f"{permit.function} {days(permit.until, now)}" for permit in line.permits)


def _certificate(line: Line, _: datetime) -> str:
    return "" if line.certificate_days is None else f"{line.certificate_days} d"


def _reports(line: Line, _: datetime) -> str:
    if not line.waiting and not line.lost:
        return ""
    return f"{_number(line.waiting)} / {_number(line.lost)}"


def _number(count: int) -> str:
    return f"{count:,}" if count < _LARGE else "many"


# heading, what is in it, and how wide a screen must be for it
_COLUMNS = (
    ("camera", _name, 0),
    ("place", lambda line, _: line.place, _WIDE),
    ("state", lambda line, _: line.state, 0),
    ("since", lambda line, _: line.since[:16], _WIDE),
    ("fps", _fps, 0),
    ("grants", _grants, 0),
    ("cert.", _certificate, 0),
    ("version", lambda line, _: line.version, _SOME),
    ("update", lambda line, _: line.update, _WIDE),
    ("waiting / lost", _reports, _SOME),
    ("why", lambda line, _: "; ".join(line.causes), 0),
)
