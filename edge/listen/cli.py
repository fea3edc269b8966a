"""``vidik listen``: receives reports, verifies and opens them, shows them, and puts them where they are wanted."""

from __future__ import annotations

import signal
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from edge.address import Address
from edge.errors import VidikError
from edge.listen.client import Listener, read_ca, read_keys
from edge.listen.display import Board, Lines
from edge.listen.opener import Opened
from edge.listen.sinks.base import open_sink

app = typer.Typer(add_completion=False)


class OptionError(VidikError):
    """Options that do not go together."""


@app.command()
def listen(  # noqa: PLR0917 - the options of the command
    ca: Annotated[Path, typer.Option(help="The deployment's CA certificate (PEM).")],
    certificate: Annotated[Path, typer.Option(help="This subscriber's certificate (PEM).")],
    key: Annotated[Path, typer.Option(help="The private key of the certificate (PEM).")],
    recipient_key: Annotated[
        list[Path] | None, typer.Option(help="A private key that reports are sealed to (PEM, X25519). May be repeated.")
    ] = None,
    host: Annotated[str, typer.Option(help="The broker's name, as in its certificate.")] = "localhost",
    port: Annotated[int, typer.Option(help="The broker's port.", min=1, max=65535)] = 8883,
    camera: Annotated[str, typer.Option(help="Only this camera.")] = "+",
    count: Annotated[int, typer.Option(help="Stop after so many opened reports; 0: never.", min=0)] = 0,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object per report and line.")] = False,
    name: Annotated[str, typer.Option(help="Miss nothing while not running: a name of its own at the broker.")] = "",
    state: Annotated[Path | None, typer.Option(help="Remember in this file what was received (with --name).")] = None,
    group: Annotated[str, typer.Option(help="Share the reports with the others of this group.")] = "",
    sink: Annotated[
        list[str] | None,
        typer.Option(help="Keep reports: jsonl:FILE, parquet:FOLDER, postgresql://…, onvif:FILE. May be repeated."),
    ] = None,
    batch: Annotated[int, typer.Option(help="Reports that go to the sinks at a time, at most.", min=1)] = 500,
    wait: Annotated[float, typer.Option(help="Seconds that a batch may wait for more.", min=0.0)] = 1.0,
    confirm: Annotated[bool, typer.Option(help="Tell cameras that their test reports were opened.")] = True,
) -> None:
    """Receives reports, checks who signed them, opens those it holds a key for, and shows each once.

    Without a recipient's key it still shows which camera reported, and that it truly was that camera.
    """
    if (state is not None or group) and not name:
        raise OptionError("--state and --group need --name: without one the broker keeps nothing. Give a unique one.")
    signal.signal(signal.SIGTERM, _interrupt)
    address = Address(host, port, ca, certificate, key)
    with ExitStack() as stack:
        sinks = [stack.enter_context(closing(open_sink(text))) for text in sink or []]
        window = max(2_000, 2 * batch)
        listener = Listener(
            address, read_ca(ca), read_keys(recipient_key or []), camera,
            name=name, state=state, group=group, window=window, confirm=confirm,
        )  # fmt: skip
        opened = 0
        stack.enter_context(suppress(KeyboardInterrupt))
        stack.enter_context(listener)
        display: Lines | Board = Lines() if jsonl else Board(listener)
        stack.enter_context(display)
        for findings in listener.batches(batch, wait) if sinks else ([finding] for finding in listener):
            for place in sinks:
                place.write(findings)
            for finding in findings:
                display.show(finding)
                opened += isinstance(finding, Opened)
            if count and opened >= count:
                listener.done()
                break


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    app()
