"""Receives from a broker. ``Listener`` is an iterator of findings::

    with Listener(address, ca, keys) as findings:
        for finding in findings:
            ...

A message is acknowledged to the broker when the next finding is asked for, so that a subscriber which dies
while it deals with one gets it again. A lost connection comes back by itself.
"""

from __future__ import annotations

import queue
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import seal
from edge.address import Address
from edge.errors import VidikError
from edge.listen.opener import CHANNELS, Finding, Opener
from edge.mqtt import Handler, Link

_WINDOW = 200  # messages that the broker may have under way to us
_QUEUE = 1_000  # messages that wait for the consumer, before the connection is made to wait
_SESSION_SECONDS = 300  # the broker keeps what comes in while we reconnect
_LONGEST_PAUSE = 5.0  # seconds between attempts to connect


class KeyFileError(VidikError):
    """A certificate or a recipient's key cannot be read."""


@dataclass(frozen=True, slots=True)
class Connection:
    """The connection to the broker has come up or gone down."""

    up: bool
    detail: str


@dataclass(frozen=True, slots=True)
class _Message:
    topic: str
    payload: bytes
    number: int


class Listener(Handler):
    """Subscribes to the reports and statuses of all cameras, or of one.

    ``ca`` is the deployment's CA, ``keys`` the recipient's private keys by key id (see ``read_keys``).
    """

    def __init__(
        self, address: Address, ca: x509.Certificate, keys: Mapping[bytes, x25519.X25519PrivateKey], camera: str = "+"
    ) -> None:
        self.opener = Opener(ca, keys)
        self._camera = camera
        self._queue: queue.Queue[_Message | Connection | None] = queue.Queue(_QUEUE)
        name = f"listen-{secrets.token_hex(6)}"
        self._link = Link(
            address, name, self, session_seconds=_SESSION_SECONDS, window=_WINDOW, longest_pause=_LONGEST_PAUSE
        )

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close(timeout=1.0)

    def __iter__(self) -> Iterator[Finding | Connection]:
        while (message := self._queue.get()) is not None:
            if isinstance(message, Connection):
                yield message
                continue
            yield from self.opener.take(message.topic, message.payload)
            self._link.acknowledge(message.number)

    def stop(self) -> None:
        """Ends the iteration; any thread may call it."""
        self._queue.put(None)

    def opened(self, version: int, _: int) -> None:
        for channel in CHANNELS:
            self._link.subscribe(f"vidik/v1/{self._camera}/{channel}")
        self._put(Connection(True, f"MQTT {5 if version == 5 else '3.1.1'}"))

    def closed(self, reason: str) -> None:
        self._put(Connection(False, reason))

    def received(self, topic: str, payload: bytes, number: int, _: bool) -> None:
        self._put(_Message(topic, payload, number))

    def _put(self, message: _Message | Connection) -> None:
        self._queue.put(message)  # waits for a slow consumer: that is how the broker learns to


def read_ca(path: Path) -> x509.Certificate:
    """The CA certificate in the PEM file ``path``. Raises ``KeyFileError``."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise KeyFileError(f"The CA certificate {path} cannot be read: {error}. Give the deployment's CA.") from error


def read_keys(paths: list[Path]) -> dict[bytes, x25519.X25519PrivateKey]:
    """The recipient's private keys (PEM, X25519) by key id. Raises ``KeyFileError``."""
    keys = {}
    for path in paths:
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise KeyFileError(f"The recipient's key {path} cannot be read: {error}.") from error
        if not isinstance(key, x25519.X25519PrivateKey):
            raise KeyFileError(f"The key {path} is not an X25519 key, so nothing can be sealed to it. Give another.")
        keys[seal.key_id(key.public_key())] = key
    return keys
