"""``vidik send``: hands a grant, a revocation or a trust file to cameras through the broker, which keeps it for those
that are away. Whether it counts is for each camera to say."""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from threading import Condition
from typing import Annotated

import typer

from edge.address import Address
from edge.errors import VidikError
from edge.mqtt import Handler, Link, Message

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
LARGEST = 1 << 20  # bytes; larger ones are carried by hand
_REFUSED = 0x80


class SendError(VidikError):
    """A document did not reach the broker."""


@app.command()
def send(  # noqa: PLR0917 - the options of the command
    file: Annotated[Path, typer.Argument(help="The signed document.")],
    camera: Annotated[list[str], typer.Option(help="For which camera. May be repeated.")],
    ca: Annotated[Path, typer.Option(help="The deployment's CA certificate (PEM).")],
    certificate: Annotated[Path, typer.Option(help="The office's certificate (PEM).")],
    key: Annotated[Path, typer.Option(help="The private key of the certificate (PEM).")],
    host: Annotated[str, typer.Option(help="The broker's name, as in its certificate.")] = "localhost",
    port: Annotated[int, typer.Option(help="The broker's port.", min=1, max=65535)] = 8883,
    seconds: Annotated[float, typer.Option(help="How long to try.", min=1.0)] = 30.0,
) -> None:
    """Publish a document, retained, on the topic grant of each camera, in place of what was there."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SendError(f"The file {file} cannot be read: {error.strerror}. Check the path.") from error
    if not 0 < len(content) <= LARGEST:
        raise SendError(f"{file} has {len(content)} bytes; 1 to {LARGEST} can be sent. Carry it to the camera by hand.")
    messages = [Message(f"vidik/v1/{name}/grant", content, retain=True) for name in camera]
    deliver(messages, Address(host, port, ca, certificate, key), seconds)
    typer.echo(f"The broker keeps {file.name} for {', '.join(camera)}. The card of a camera shows what it accepted.")


def deliver(messages: list[Message], address: Address, seconds: float) -> None:
    """Publishes ``messages``; the broker has all of them when this returns. Raises ``SendError``."""
    courier = _Courier(messages)
    link = courier.link = Link(address, f"send-{secrets.token_hex(6)}", courier, longest_pause=2.0)
    link.start()
    try:
        courier.wait(seconds)
    finally:
        link.close(1.0)


class _Courier(Handler):
    """Publishes on every new connection what the broker has not acknowledged yet."""

    link: Link

    def __init__(self, messages: list[Message]) -> None:
        self._left = list(messages)
        self._under_way: dict[int, Message] = {}
        self._said = "no connection"
        self._refused = 0
        self._changed = Condition()

    def wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while self._left and not self._refused:
                if not self._changed.wait(until - time.monotonic()):
                    raise SendError(f"The broker has not taken the document: {self._said}. Check name, port and files.")
        if self._refused:
            raise SendError(
                f"The broker refused the document (MQTT 0x{self._refused:02x}). Is this the office's certificate?"
            )

    def opened(self, _: int, __: int) -> None:
        with self._changed:
            self._said = "no answer"
            for message in self._left:
                if (number := self.link.publish(message)) is not None:
                    self._under_way[number] = message

    def closed(self, reason: str) -> None:
        with self._changed:
            self._said = reason
            self._under_way.clear()

    def acknowledged(self, number: int, code: int) -> None:
        with self._changed:
            message = self._under_way.pop(number, None)
            if message is not None and code >= _REFUSED:
                self._refused = code
            elif message is not None:
                self._left.remove(message)
            self._changed.notify_all()
