"""What comes down to the camera over the uplink's own connection: documents of the law, states of signals.

The uplink understands none of it. It puts what arrives where vision finds it, and vision believes nothing that it
has not checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from edge.uplink.publisher import Publisher


class Inlet(Protocol):
    """Takes what comes on some of the camera's topics. Called from the connection's thread."""

    @property
    def pattern(self) -> str:
        """What to subscribe to, below ``vidik/v1/{camera}/``: a channel, or a channel and ``/+``."""
        ...

    def take(self, name: str, payload: bytes) -> None:
        """Keeps ``payload``, or refuses it in the log. ``name`` is what ``+`` stood for. Raises nothing."""
        ...

    def asks_again(self) -> bool:
        """Whether something that is retained at the broker should come again now, because it could not be kept."""
        ...


class Downlink(Publisher):
    """A publisher that also listens, for its ``inlets``."""

    def __init__(self, camera: str, *given: Any, inlets: Sequence[Inlet] = (), **named: Any) -> None:
        super().__init__(camera, *given, **named)
        self._root = f"vidik/v1/{camera}/"
        self._inlets = inlets
        self._open = False

    def attend(self) -> None:
        """Asks the broker again for what could not be kept. Call often, it is cheap."""
        for inlet in self._inlets if self._open else ():
            if inlet.asks_again():
                self._link.subscribe(self._root + inlet.pattern)

    def opened(self, version: int, window: int) -> None:
        self._open = True
        for inlet in self._inlets:
            self._link.subscribe(self._root + inlet.pattern)
        super().opened(version, window)

    def closed(self, reason: str) -> None:
        self._open = False
        super().closed(reason)

    def received(self, topic: str, payload: bytes, number: int, _: bool) -> None:
        for inlet in self._inlets:
            stem = self._root + inlet.pattern.removesuffix("+")
            if topic.startswith(stem) if inlet.pattern.endswith("/+") else topic == stem:
                inlet.take(topic.removeprefix(stem), payload)
        self._link.acknowledge(number)
