"""A plain MQTT client for tests of brokers."""

from __future__ import annotations

from typing import Self

from edge.mqtt import Handler, Link, Message
from tests.rig import Rig, wait_for


class Client(Handler):
    """Any client: subscribes to ``patterns``, keeps what it hears."""

    def __init__(
        self, rig: Rig, port: int, certificate: str, *patterns: str, name: str = "", **options: object
    ) -> None:
        self.link = Link(rig.address(certificate, port), name or certificate, self, **options)  # type: ignore[arg-type]
        self.patterns = patterns
        self.versions: list[int] = []
        self.closes: list[str] = []
        self.answers: dict[int, int] = {}
        self.messages: list[tuple[str, bytes]] = []
        self.retained: list[str] = []

    def __enter__(self) -> Self:
        self.link.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.close(2)

    def opened(self, version: int, window: int) -> None:
        for pattern in self.patterns:
            self.link.subscribe(pattern)
        self.versions.append(version)

    def closed(self, reason: str) -> None:
        self.closes.append(reason)

    def acknowledged(self, number: int, code: int) -> None:
        self.answers[number] = code

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        self.messages.append((topic, payload))
        if retained:
            self.retained.append(topic)
        self.link.acknowledge(number)

    def connected(self) -> Client:
        wait_for(lambda: self.versions)
        return self

    def publish(self, topic: str, payload: bytes, retain: bool = False) -> int:
        number = self.link.publish(Message(topic, payload, retain))
        assert number is not None
        return number

    def has(self, topic: str, payload: bytes) -> bool:
        return (topic, payload) in self.messages
