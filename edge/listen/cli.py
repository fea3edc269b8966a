"""``vidik listen``: receives reports, verifies and opens them, shows them."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from edge.address import Address
from edge.listen.client import Listener, read_ca, read_keys
from edge.listen.display import Board, Lines
from edge.listen.opener import Opened

app = typer.Typer(add_completion=False)


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
) -> None:
    """Receives reports, checks who signed them, opens those it holds a key for, and shows each once.

    Without a recipient's key it still shows which camera reported, and that it truly was that camera.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    address = Address(host, port, ca, certificate, key)
    listener = Listener(address, read_ca(ca), read_keys(recipient_key or []), camera)
    opened = 0
    with suppress(KeyboardInterrupt), listener, Lines() if jsonl else Board(listener) as display:
        for finding in listener:
            display.show(finding)
            opened += isinstance(finding, Opened)
            if count and opened >= count:
                break


def _interrupt(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    app()
