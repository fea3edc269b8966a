"""The command ``vidik provision fleet``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.live import Live

from edge.address import Address
from edge.errors import VidikError
from provisioning import pki, statements
from provisioning.office import table as inventory_table
from provisioning.office.cli_parts import HERE, Folder, inventory_of
from provisioning.office.folder import Office, OfficeError
from provisioning.overview import board, judge
from provisioning.overview.board import View
from provisioning.overview.judge import Order, State
from provisioning.overview.said import Said, Statements
from provisioning.overview.watch import Watch

_REFRESH = 0.5  # seconds
_REREAD = 30.0  # seconds between looks into the inventory
_PICTURE = 180  # columns


class FleetError(VidikError):
    """What was asked for cannot be shown."""


def fleet(  # noqa: PLR0917 - the options of the command
    certificate: Annotated[Path, typer.Option(help="A sender's or subscriber's certificate (PEM).", exists=True)],
    key: Annotated[Path, typer.Option(help="The private key of the certificate (PEM).", exists=True)],
    office: Folder = HERE,
    ca: Annotated[Path | None, typer.Option(help="The deployment's CA (PEM); default: the office's.")] = None,
    host: Annotated[str, typer.Option(help="The broker; default: the office's.")] = "",
    port: Annotated[int, typer.Option(help="Its port; default: the office's, or 8883.", min=0, max=65535)] = 0,
    only: Annotated[list[State] | None, typer.Option(help="Only cameras in this state. May be repeated.")] = None,
    match: Annotated[str, typer.Option(help="Only cameras whose id, label or place contains this.")] = "",
    sort: Annotated[Order, typer.Option(help="In which order.")] = Order.STATE,
    json: Annotated[bool, typer.Option("--json", help="One JSON document, and end.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line and camera, and end.")] = False,
    svg: Annotated[Path | None, typer.Option(help="Write a picture of the table, and end.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Show the table once, and end.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the broker, where it ends.", min=0.5)] = 10.0,
) -> None:
    """Show how every camera is: a live table, or once for monitoring.

    Exit code 0: all is well, or degraded at most. 1: a camera is failing, offline, or was never heard of. 2: the broker
    could not be asked. The code is about all cameras, whatever is shown of them.
    """
    place = Office(office)
    address = replace(_broker(place, ca, host, port), certificate=certificate, key=key)
    inventory = _Inventory(place if (office / "office.toml").exists() else None)
    view = _View(
        Statements(statements.read_ca(address.ca)), inventory, only or [], match, sort
    )
    console = Console()
    with Watch(address, view.statements, list(inventory.entries or ())) as watch:
        if not (once or json or jsonl or svg) and console.is_terminal:
            _live(view, watch, console)
            return
        watch.gather(timeout)
        state = watch.state
    found = view.now()
    if json:
        typer.echo(_document(found))
    elif jsonl:
        for line in found.shown:
            typer.echo(msgspec.json.encode(board.as_builtins(line)).decode())
    elif svg is not None:
        made = board.table(found, inventory.title(state), _PICTURE, len(found.shown))
        pki.write(svg, board.picture(made, _PICTURE, "vidik provision fleet").encode(), mode=0o644)
        typer.echo(f"Written: {svg}")
    else:
        console.print(board.table(found, inventory.title(state), console.width, len(found.shown)))
    sys.stdout.flush()
    raise typer.Exit(1 if any(line.state in judge.ALARMS for line in found.lines) else 0)


@dataclass
class _Inventory:
    """What the office knows of its cameras, read again from time to time. ``entries`` is None without an office."""

    office: Office | None
    clock: Callable[[], float] = time.monotonic
    entries: dict[str, inventory_table.Row] | None = None
    _next: float = float("-inf")

    def __post_init__(self) -> None:
        self.look()

    def look(self) -> None:
        """Reads the inventory, if it is time to."""
        if self.office is None or self.clock() < self._next:
            return
        self._next = self.clock() + _REREAD
        with inventory_of(self.office) as inventory:
            self.entries = {row.camera.id: row for row in inventory_table.rows(inventory, int(time.time()))}

    def title(self, state: str) -> str:
        name = self.office.settings().name if self.office is not None else "Vidik"
        return f"{name} · {state}"


@dataclass
class _View:
    """What is known, and what of it is wanted."""

    statements: Statements
    inventory: _Inventory
    only: list[State]
    match: str
    by: Order
    said: dict[str, Said] = field(default_factory=dict)

    def now(self) -> View:
        """How things are."""
        now = datetime.now(UTC)
        self.inventory.look()
        self.statements.read(self.said, now)
        lines = judge.lines(self.said, self.inventory.entries, now)
        return View(lines, judge.ordered(judge.chosen(lines, self.only, self.match), self.by), now)


def _live(view: _View, watch: Watch, console: Console) -> None:
    with Live(console=console, auto_refresh=False, screen=True) as live:
        try:
            while True:
                title, rows = view.inventory.title(watch.state), board.rows_of(console)
                live.update(board.table(view.now(), title, console.width, rows), refresh=True)
                time.sleep(_REFRESH)
        except KeyboardInterrupt:
            return


def _document(view: View) -> str:
    cameras = [board.as_builtins(line) for line in view.shown]
    content = {"time": view.now, "counts": judge.counts(view.lines), "cameras": cameras}
    return msgspec.json.format(msgspec.json.encode(content), indent=1).decode()


def _broker(place: Office, ca: Path | None, host: str, port: int) -> Address:
    try:
        settings = place.settings()
    except OfficeError as error:
        if ca is None or not host:
            raise FleetError(f"Without an office, name broker and CA with --host and --ca. {error}") from error
        return Address(host, port or 8883, ca, Path(), Path())
    return Address(host or settings.broker_host, port or settings.broker_port, ca or place.ca, Path(), Path())
