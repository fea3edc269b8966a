"""Hears what cameras have left at the broker, and what they say anew."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from edge.address import Address
from edge.errors import VidikError
from edge.mqtt import Handler, Link
from provisioning.access import ROOT
from provisioning.overview.said import CHANNELS, Statements

_QUIET_SECONDS = 1.5  # without anything new, after which all that is retained has come
_TICK = 0.05
_MQTT5 = 5


class WatchError(VidikError):
    """The broker cannot be asked."""


class Watch(Handler):
    """A connection to the broker that feeds ``statements``. ``cameras``: those that should be there."""

    def __init__(self, address: Address, statements: Statements, cameras: Sequence[str] = ()) -> None:
        self.state = "connecting"
        self._statements, self._cameras = statements, cameras
        self._opened = threading.Event()
        self._last = time.monotonic()
        self._link = Link(address, f"fleet-{secrets.token_hex(6)}", self, longest_pause=2.0)

    def __enter__(self) -> Self:
        self._link.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._link.close(timeout=1.0)

    def gather(self, seconds: float) -> None:
        """Returns when everything that is retained has come, or after ``seconds``. Raises ``WatchError`` when the
        broker could not be asked by then."""
        until = time.monotonic() + seconds
        if not self._opened.wait(seconds):
            raise WatchError(f"The broker cannot be asked: {self.state}. Check its name, its port and the certificate.")
        while time.monotonic() < until and time.monotonic() - self._last < _QUIET_SECONDS:
            time.sleep(_TICK)
        if not self._statements.messages:
            raise WatchError(
                "The broker let us in and told nothing. Is this the certificate of a sender or a subscriber (vidik "
                "provision sender), or has no camera connected yet?"
            )

    def opened(self, version: int, _: int) -> None:
        # QoS 0: what is retained needs no acknowledgement, and a thousand cameras should not wait for ours
        for channel in CHANNELS:
            self._link.subscribe(f"{ROOT}/+/{channel}", qos=0)
        if version != _MQTT5:  # RabbitMQ gives what is retained to those only who name the camera
            for camera in self._cameras:
                for channel in CHANNELS:
                    self._link.subscribe(f"{ROOT}/{camera}/{channel}", qos=0)
        self.state = f"MQTT {_MQTT5 if version == _MQTT5 else '3.1.1'}"
        self._last = time.monotonic()
        self._opened.set()

    def closed(self, reason: str) -> None:
        self.state = reason

    def received(self, topic: str, payload: bytes, number: int, _: bool) -> None:
        self._statements.take(topic, payload)
        self._last = time.monotonic()
        self._link.acknowledge(number)
