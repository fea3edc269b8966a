"""Receives from a broker. ``Listener`` gives out findings, one by one or in batches::

    with Listener(address, ca, keys) as listener:
        for finding in listener:
            ...

    with Listener(address, ca, keys, name="archive-1", state=Path("archive-1.state")) as listener:
        for batch in listener.batches():
            sink.write(batch)

What was given out counts as dealt with when the next is asked for: then it goes into the checkpoint, and after that
it is acknowledged to the broker. So a subscriber that dies at any moment gets again what it had not finished, and a
sink may see that, but nothing else, twice. A lost connection comes back by itself.
"""

from __future__ import annotations

import queue
import secrets
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import seal, trial_form
from edge.address import Address
from edge.errors import VidikError
from edge.listen.checkpoint import Checkpoint
from edge.listen.opener import CHANNELS, Finding, Opener, Tried
from edge.mqtt import Handler, Link, Message

WINDOW = 2_000  # messages that the broker may have under way to us; more than may wait for their signer
_TICK = 1.0  # seconds after which an idle listener looks after what waits
_SESSION_SECONDS = 300  # the broker keeps what comes in while we reconnect
_RESUMED_SECONDS = 7 * 86400  # and, for a subscriber with a name, while it does not run
_ANSWER_SECONDS = 120  # for which the answer to a test report may wait at the broker
_LONGEST_PAUSE = 5.0  # seconds between attempts to connect
_SHARED = ("plate", "face", "gap", "trial")  # what a group shares; every member needs every camera's status


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
    """Subscribes to reports, gaps and statuses of all cameras, or of one.

    ``address``: the broker, or the nodes of a cluster, of which it uses the first that answers.
    ``ca`` is the deployment's CA, ``keys`` the recipient's private keys by key id (see ``read_keys``).

    ``name``, unique among the subscribers of a broker, makes the broker keep what comes in while this one does not
    run, for a week at most. ``state`` is the file of the checkpoint; it goes with a name. ``group``: subscribers
    that give the same one share the reports among them, each getting a part (MQTT 5 brokers, and Mosquitto, EMQX
    and HiveMQ under 3.1.1 as well). ``confirm``: tell a camera that its test report was opened, so that whoever puts
    it up knows; the broker has to let this subscriber write on ``vidik/v1/+/confirm``. Raises ``CheckpointError``.
    """

    def __init__(
        self,
        address: Address | Sequence[Address],
        ca: x509.Certificate,
        keys: Mapping[bytes, x25519.X25519PrivateKey],
        camera: str = "+",
        *,
        name: str = "",
        state: Path | None = None,
        group: str = "",
        window: int = WINDOW,
        confirm: bool = True,
    ) -> None:
        self.checkpoint = Checkpoint(state)
        self.opener = Opener(ca, keys, self.checkpoint)
        self._camera = camera
        self._group = group
        self._confirm = confirm
        self._asked: set[str] = set()  # cameras whose status was asked for by name, on this connection
        self._window = window
        # holds all that may be under way, so that the broker is slowed down by its window and not by this queue,
        # which would hold up the status that reports wait for
        self._queue: queue.Queue[_Message | Connection | None] = queue.Queue(2 * window)
        self._link = Link(
            address,
            name or f"listen-{secrets.token_hex(6)}",
            self,
            session_seconds=_RESUMED_SECONDS if name else _SESSION_SECONDS,
            window=window,
            longest_pause=_LONGEST_PAUSE,
            resume=bool(name),
        )

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close(timeout=1.0)
        self.checkpoint.close()

    def __iter__(self) -> Iterator[Finding | Connection]:
        for batch in self.batches(most=1, wait=0.0):
            yield from batch

    def batches(self, most: int = 500, wait: float = 1.0) -> Generator[list[Finding | Connection], None, None]:
        """What has come in, about ``most`` findings at a time, but no later than ``wait`` seconds after the first."""
        going_on = True
        while going_on:
            batch, going_on = self._collect(most, wait)
            if batch:
                yield batch
            self.done()

    def done(self) -> None:
        """Everything given out so far is dealt with. Called by itself when the next is asked for.

        Raises ``CheckpointError``.
        """
        self.checkpoint.commit()
        settled, self.opener.settled = self.opener.settled, []
        for number in settled:
            self._link.acknowledge(number)

    def stop(self) -> None:
        """Ends the iteration; any thread may call it."""
        self._queue.put(None)

    def opened(self, version: int, _: int) -> None:
        self._asked = set()
        shared = f"$share/{self._group}/" if self._group else ""
        for channel in CHANNELS:
            topic = f"vidik/v1/{self._camera}/{channel}"
            if channel in _SHARED:
                self._link.subscribe(shared + topic)
            else:  # QoS 0: outside of the window, so that it arrives even when all of that waits for it
                self._link.subscribe(topic, qos=0)
        self._put(Connection(True, f"MQTT {5 if version == 5 else '3.1.1'}"))

    def closed(self, reason: str) -> None:
        self._put(Connection(False, reason))

    def received(self, topic: str, payload: bytes, number: int, _: bool) -> None:
        self._put(_Message(topic, payload, number))

    def _collect(self, most: int, wait: float) -> tuple[list[Finding | Connection], bool]:
        """The next findings, perhaps none; and whether more may come."""
        batch: list[Finding | Connection] = []
        until = time.monotonic() + _TICK
        while len(batch) < most:
            try:
                message = self._queue.get(timeout=max(0.0, until - time.monotonic()))
            except queue.Empty:
                return batch + self.opener.give_up(), True
            if message is None:
                return batch, False
            if not batch:
                until = time.monotonic() + wait
            if isinstance(message, Connection):
                batch.append(message)
            else:
                waiting = self.opener.waiting
                found = self.opener.take(message.topic, message.payload, message.number)
                batch += [self._answered(each) if isinstance(each, Tried) else each for each in found]
                if self.opener.waiting > waiting:
                    self._ask(message.topic.split("/")[2])
        return batch, True

    def _answered(self, trial: Tried) -> Tried:
        """Tells the camera that its test report was opened, once: a broker that cuts us off for it is not tempted."""
        if not self._confirm:
            return trial
        answer = Message(
            f"vidik/v1/{trial.camera}/{trial_form.ANSWER}", trial.confirmation, expires=_ANSWER_SECONDS,
            content_type="application/cbor",
        )  # fmt: skip
        return replace(trial, answered=self._link.publish(answer) is not None)

    def _ask(self, camera: str) -> None:
        """Asks for the retained status of a stranger: RabbitMQ gives none to those who ask for all cameras."""
        if camera not in self._asked:
            self._asked.add(camera)
            self._link.subscribe(f"vidik/v1/{camera}/status", qos=0)

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
