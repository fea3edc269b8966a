"""How findings are shown: a live table for people, JSON Lines for programs."""

from __future__ import annotations

import sys
from collections import Counter, deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TextIO

import msgspec
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.gaps import Gap
from edge.listen.client import Connection, Listener
from edge.listen.opener import Finding, Opened, Rejected, Sealed, Status, Tried
from edge.records import FaceReport, PlateReport, Report

_ROWS = 20
_COUNTED = ("opened", "sealed", "rejected", "gap", "tried")


class Lines:
    """One JSON object per opened report, each on its own line and at once; warnings on standard error."""

    def __init__(self, output: TextIO = sys.stdout, warnings: TextIO = sys.stderr) -> None:
        self._output, self._warnings = output, warnings
        self._counts = Counter[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._warn("received " + (_summary(self._counts) or "nothing"))

    def show(self, finding: Finding | Connection) -> None:
        self._counts[_name(finding)] += 1
        match finding:
            case Opened(report):
                self._output.write(as_json(report) + "\n")
                self._output.flush()
            case Sealed() if self._counts["sealed"] == 1:
                self._warn("A report is sealed to a key that is not held here. Further ones are only counted.")
            case Rejected(camera, channel, reason):
                self._warn(f"rejected from {plain(camera)}/{channel}: {plain(reason)}")
            case Tried(camera):
                self._warn(f"test report of {plain(camera)}: {_outcome(finding)}")
            case Gap():
                self._warn(f"gap of {plain(finding.camera)}: {finding}")
            case Connection(up, detail):
                self._warn(f"{'connected' if up else 'not connected'}: {plain(detail)}")

    def _warn(self, text: str) -> None:
        self._warnings.write(text + "\n")
        self._warnings.flush()


class Board:
    """A live table of the latest findings, with the state of the connection and counts above it."""

    def __init__(self, listener: Listener, console: Console | None = None) -> None:
        self._listener = listener
        self._rows: deque[tuple[Text, ...]] = deque(maxlen=_ROWS)
        self._counts = Counter[str]()
        self._cameras: dict[str, str] = {}
        self._connection = Text("connecting")
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, finding: Finding | Connection) -> None:
        self._counts[_name(finding)] += 1
        match finding:
            case Opened(report, size):
                self._rows.append(_row(report, size))
            case Sealed(camera, channel, size):
                self._rows.append(_texts("", camera, channel, "sealed to somebody else", "", f"{size} B", style="dim"))
            case Rejected(camera, channel, reason):
                self._rows.append(_texts("", camera, channel, f"REJECTED: {reason}", "", "", style="bold red"))
            case Status(camera, content):
                self._cameras[camera] = str(content.get("state"))
            case Tried(camera, time, _, size):
                says = f"test report: {_outcome(finding)}"
                self._rows.append(_texts(_moment(time)[11:19], camera, "trial", says, "", f"{size} B", style="green"))
            case Gap():
                self._rows.append(_texts("", finding.camera, "gap", str(finding), "", "", style="bold yellow"))
            case Connection(up, detail):
                self._connection = Text(plain(detail), style="green" if up else "yellow")

    def _render(self) -> Table:
        online = sum(state == "online" for state in list(self._cameras.values()))
        title = Text.assemble("Vidik · ", self._connection, f" · {online} of {len(self._cameras)} cameras online")
        caption = _summary(self._counts)
        if self._listener.opener.duplicates:
            caption += f", {self._listener.opener.duplicates} duplicates left out"
        table = Table(title=title, caption=caption or "nothing received yet", expand=True)
        for heading in ("taken (UTC)", "camera", "what", "says", "grant", "size"):
            table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=heading != "says")
        for row in list(self._rows):
            table.add_row(*row)
        return table


def as_json(report: Report) -> str:
    """``report`` as one line of JSON; ``vector`` is a list of signed integers, times also in words."""
    content = {"kind": _kind(report), "taken": _moment(report.time)} | msgspec.structs.asdict(report)
    if report.trigger is None:
        del content["trigger"]
    else:
        content["trigger"] = msgspec.structs.asdict(report.trigger) | {
            "measure": report.trigger.measure.word,
            "unit": report.trigger.measure.unit,
            "at": _moment(report.trigger.time),
        }
    if isinstance(report, FaceReport):
        content["vector"] = [value - 256 if value > 127 else value for value in report.vector]
        content["model"] = report.model.hex()
    return msgspec.json.encode(content).decode()


def plain(text: str) -> str:
    """``text`` without anything that could steer a terminal."""
    return "".join(character if character.isprintable() else "�" for character in text)


def _row(report: Report, size: int) -> tuple[Text, ...]:
    if isinstance(report, PlateReport):
        says = f"{report.text}  {report.confidence:.0%}" + (f"  {report.country}" if report.country else "")
    else:
        match = f"{report.entry}  {report.similarity:.3f}" if report.entry else "face"
        says = f"{match}  quality {report.quality:.0f}"
    if report.trigger is not None:
        says += f"  {report.trigger.rule} {report.trigger.value:.1f} {report.trigger.measure.unit}"
    return _texts(_moment(report.time)[11:19], report.camera, _kind(report), says, report.grant, f"{size} B")


def _outcome(trial: Tried) -> str:
    return "opened, and the camera told so" if trial.answered else "opened; the camera was not told"


def _texts(*cells: str, style: str = "") -> tuple[Text, ...]:
    return tuple(Text(plain(cell), style=style) for cell in cells)


def _kind(report: Report) -> str:
    return "plate" if isinstance(report, PlateReport) else "face"


def _moment(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _name(finding: Finding | Connection) -> str:
    return type(finding).__name__.lower()


def _summary(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[name]} {name}" for name in _COUNTED if counts[name])
