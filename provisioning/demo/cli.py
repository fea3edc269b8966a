"""``vidik demo``: a whole throwaway deployment on one machine, from footage to what the subscriber receives."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
import time
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from edge.address import Address
from edge.errors import VidikError
from edge.grant.document import ListedFace
from edge.listen.client import Listener, read_ca, read_keys
from edge.listen.display import Board, Lines
from edge.listen.opener import Opened
from edge.vision import sources
from provisioning import deployment
from provisioning.demo import clip
from provisioning.demo.stage import Stage
from provisioning.face_templates import Enroller

_ARRIVAL = 20.0  # seconds that what was reported may take to reach the subscriber
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def demo(
    source: Annotated[str, typer.Option(help="A video, a folder of photos or a device; default: our clip.")] = "",
    sought: Annotated[Path | None, typer.Option(help="A folder of photos, one a sought person.")] = None,
    jsonl: Annotated[bool, typer.Option(help="Print reports as JSON Lines; everything else goes to stderr.")] = False,
) -> None:
    """Makes keys and grants, starts broker and camera, shows what arrives; removes everything at the end."""
    console = Console(stderr=jsonl)
    if source:
        sources.open_source(source).close()  # a wrong path is said before anything is started
    with tempfile.TemporaryDirectory(prefix="vidik-") as folder:
        made = deployment.create(Path(folder))
        footage = source or str(default_clip(console))
        people = _people(sought) if sought else [] if source else clip_people()
        deployment.grant_plates(made)
        if people:
            deployment.grant_faces(made, people)
        # a clip is shown as it would have happened; anybody's own footage as fast as it goes
        with Stage(made, footage, pace=not source) as stage:
            _say_what_runs(console, stage, [person.entry for person in people])
            Show(console, stage, jsonl).run(footage)


def default_clip(console: Console) -> Path:
    """The project's own clip, rendered once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vidik"
    path = cache / f"street-{_fingerprint()}.mp4"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        columns = (TextColumn("Rendering the default clip"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console) as bar:
            task = bar.add_task("", total=None)
            fresh = path.with_name(f"fresh-{os.getpid()}-{path.name}")

            def progress(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            clip.render(fresh, path.with_suffix(".json"), progress=progress)
        fresh.replace(path)
    return path


def _fingerprint() -> str:
    """Changes with whatever draws the clip, so that an outdated one is not shown."""
    digest = hashlib.sha256()
    for package in ("provisioning.demo", "models.plategen"):
        for file in sorted(Path(str(resources.files(package))).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class Show:
    """Shows what the subscriber receives while the camera runs, and sums up when it is done."""

    def __init__(self, console: Console, stage: Stage, jsonl: bool) -> None:
        self._console = console
        self._stage = stage
        self._received: list[Opened] = []
        folder = stage.made.subscriber
        address = Address(
            "localhost", stage.broker.port, folder / "ca.pem", folder / "subscriber.pem", folder / "subscriber.key"
        )
        keys = read_keys([folder / "recipient.key"])
        self._listener = Listener(address, read_ca(folder / "ca.pem"), keys, stage.made.camera)
        self._display = Lines() if jsonl else Board(self._listener, console)

    def run(self, footage: str) -> None:
        """Runs the camera over ``footage`` to its end or Ctrl-C."""
        with self._listener, self._display:
            reader = threading.Thread(target=self._read, name="subscriber", daemon=True)
            reader.start()
            self._stage.start_vision()
            try:
                while self._stage.watching:
                    time.sleep(0.1)
            except KeyboardInterrupt:
                self._stage.stop_vision()
            counted = self._stage.summary()
            self._await(sum(counted["reported"].values()))
            self._listener.stop()
            reader.join()
        _sum_up(self._console, counted, self._received, footage)

    def _read(self) -> None:
        for finding in self._listener:
            self._display.show(finding)
            if isinstance(finding, Opened):
                self._received.append(finding)

    def _await(self, expected: int) -> None:
        until = time.monotonic() + _ARRIVAL
        while len(self._received) < expected and time.monotonic() < until:
            time.sleep(0.05)


def clip_people() -> list[ListedFace]:
    """List entries for the persons who walk through the default clip, made from their photos."""
    enroller = Enroller()
    return [enroller.photo(path, name).listed() for name, path in clip.photos().items()]


def _people(folder: Path) -> list[ListedFace]:
    return [person.listed() for person in Enroller().folder(folder)]


def _say_what_runs(console: Console, stage: Stage, names: list[str]) -> None:
    network = "no network at all" if stage.isolated else "no network library (this machine does not allow more)"
    broker = "Mosquitto, MQTT 5" if stage.broker.mqtt5 else "embedded broker, MQTT 3.1.1"
    console.print(f"[bold]Camera[/] {stage.made.camera}: vision has {network}; uplink sees ciphertext only.")
    console.print(f"[bold]Broker[/] {broker}, mutual TLS on port {stage.broker.port}; sees ciphertext only.")
    faces = f"; faces of {', '.join(names)} and nobody else" if names else "; no faces"
    console.print(f"[bold]Grants[/] plates of all vehicles{faces}; for one day.\n")


def _sum_up(console: Console, counted: dict[str, Any], received: list[Opened], footage: str) -> None:
    sent = sum(finding.size for finding in received)
    size = _bytes_of(footage)
    table = Table(title="What became of everything the camera saw", show_header=False)
    skipped = "".join(f", {count} skipped ({why})" for why, count in counted["skipped"].items() if count)
    table.add_row("frames", f"{counted['frames']}{skipped}")
    table.add_row("objects tracked", str(counted["tracks"]))
    for kind, count in counted["reported"].items():
        table.add_row(f"reported: {kind}", str(count))
    for reason, count in counted["discarded"].items():
        table.add_row(f"discarded: {reason}", str(count))
    table.add_row("received and opened by the subscriber", str(len(received)))
    table.add_row("bytes of footage", f"{size:,}" if size else "live")
    share = f" ({sent / size:.5%} of the footage)" if size else ""
    table.add_row("bytes sent, sealed", f"{sent:,}{share}")
    console.print(table)
    missing = sum(counted["reported"].values()) - len(received)
    if missing > 0 or counted["not_handed_over"]:
        raise VidikError(f"{missing} reports did not arrive within {_ARRIVAL:.0f} s. Is this machine very busy?")


def _bytes_of(footage: str) -> int:
    path = Path(footage)
    if path.is_dir():
        return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    return path.stat().st_size if path.is_file() else 0


if __name__ == "__main__":
    sys.exit(app())
