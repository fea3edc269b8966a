"""The embedded broker: amqtt with mutual TLS and Vidik's access rules. Started by ``provisioning.broker``.

amqtt keeps nothing on disk, and by itself acknowledges a message before it passes it on. Here it is the other
way round: a report is acknowledged when a subscriber has acknowledged it, and waits, unacknowledged, while
there is none. So the camera's spool is the only store, and a crash of this broker loses nothing. That makes it
slow (one report of a camera at a time), which is well enough for a demonstration.

Written for amqtt 0.12, some of whose internals it overrides.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqtt.broker
from amqtt.adapters import ReaderAdapter, WriterAdapter
from amqtt.contexts import Action, BrokerConfig, ListenerConfig
from amqtt.mqtt.protocol.broker_handler import BrokerProtocolHandler
from amqtt.mqtt.puback import PubackPacket
from amqtt.plugins.base import BaseAuthPlugin, BaseTopicPlugin
from amqtt.session import INCOMING, Session

from provisioning.access import CAMERA, OFFICE, ROOT, SUBSCRIBER

_MQTT5 = 5
_UNACCEPTABLE_VERSION = bytes([0x20, 2, 0, 1])  # CONNACK of MQTT 3.1.1
_REPORTS = ("/plate", "/face", "/gap")  # topics of which nothing may be lost; the others are retained
_RETRY_SECONDS = 0.2  # between attempts to find a subscriber for a report


class Access(BaseAuthPlugin, BaseTopicPlugin):  # type: ignore[misc]
    """Who may connect, and who may do what. The user is the common name of the client's certificate."""

    @dataclass
    class Config:
        """``subscribers``: the common names that may read all cameras; ``offices``: that may send them documents."""

        subscribers: list[str] = field(default_factory=list)
        offices: list[str] = field(default_factory=list)

    async def authenticate(self, *, session: Session) -> bool:
        user = _common_name(session)
        session.username = user
        if user is None or not session.clean_session:  # a kept session would bring its old certificate along
            return False
        if user not in (*self.config.subscribers, *self.config.offices) and session.client_id != user:
            return False  # a camera must not push another one out by taking its client id
        return not session.will_flag or self._may(user, str(session.will_topic), Action.PUBLISH)

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        return session is not None and self._may(session.username, topic or "", action)

    def _may(self, user: str | None, topic: str, action: Action | None) -> bool:
        if not topic.startswith(f"{ROOT}/"):
            return False
        camera, _, channel = topic.removeprefix(f"{ROOT}/").partition("/")
        role = CAMERA
        if user in self.config.subscribers:
            role = SUBSCRIBER
        elif user in self.config.offices:
            role = OFFICE
        elif camera != user:
            return False
        return role.may_write(channel) if action == Action.PUBLISH else role.may_read(channel)


class _Handler(BrokerProtocolHandler):  # type: ignore[misc]
    """Leaves it to the broker to acknowledge what a client has published."""

    async def _handle_qos1_message_flow(self, app_message: Any) -> None:
        if app_message.direction == INCOMING:
            await self.session.delivered_message_queue.put(app_message)
        else:
            await super()._handle_qos1_message_flow(app_message)


class _Replay(ReaderAdapter):  # type: ignore[misc]
    """Gives back what was read already, then the rest."""

    def __init__(self, read: bytes, rest: ReaderAdapter) -> None:
        self._read, self._rest = read, rest

    async def read(self, n: int = -1) -> bytes:
        if not self._read:
            rest: bytes = await self._rest.read(n)
            return rest
        head, self._read = self._read[:n], self._read[n:]
        return head if len(head) == n else head + await self.read(n - len(head))

    def feed_eof(self) -> None:
        self._rest.feed_eof()


class _Broker(amqtt.broker.Broker):  # type: ignore[misc]
    """Passes on first, acknowledges then. Refuses MQTT 5 in order, where amqtt would wait for ever."""

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        context: ssl.SSLContext = amqtt.broker.Broker._create_ssl_context(listener)  # noqa: SLF001
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    async def _client_connected(self, listener_name: str, reader: ReaderAdapter, writer: WriterAdapter) -> None:
        with suppress(OSError, EOFError):
            start = await reader.read(2)
            while start[-1] & 0x80 and len(start) < 5:  # the rest of the packet's length
                start += await reader.read(1)
            start += await reader.read(7)  # protocol name and version
            if start[-1] == _MQTT5:
                writer.write(_UNACCEPTABLE_VERSION)
                await writer.drain()
                await writer.close()
            else:
                await super()._client_connected(listener_name, _Replay(start, reader), writer)

    async def _handle_message_delivery(self, client_session: Session, handler: Any, wait_deliver: Any) -> bool:
        goes_on: bool = await super()._handle_message_delivery(client_session, handler, wait_deliver)
        message = wait_deliver.result()
        if goes_on and message is not None and message.packet_id is not None and handler.writer is not None:
            await handler._send_packet(PubackPacket.build(message.packet_id))  # noqa: SLF001
        return goes_on

    async def _broadcast_message(self, session: Session, topic: str, data: bytes, force_qos: int | None = None) -> None:
        """Returns when a subscriber has the report, or its publisher is gone; at once for what is no report."""
        publisher = self._get_handler(session)
        while not await self._pass_on(topic, data, force_qos) and topic.endswith(_REPORTS):
            if publisher is None or publisher.writer is None or publisher.writer.is_closed:
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        """Leaves out subscriptions that were refused, for which amqtt sends what is retained all the same."""
        if any(target is session for target, _ in self._subscriptions.get(subscription[0], ())):
            await super()._publish_retained_messages_for_subscription(subscription, session)

    async def _pass_on(self, topic: str, data: bytes, qos: int | None) -> bool:
        """Sends to all who subscribe. Whether at least one of them acknowledged it."""
        sending = [
            self._get_handler(target).mqtt_publish(topic, data, agreed if qos is None else qos, retain=False)
            for pattern, targets in self._subscriptions.items()
            if self._matches(topic, pattern)
            for target, agreed in targets
            if target.transitions.state == "connected"
        ]
        results = await asyncio.gather(*sending, return_exceptions=True)
        return any(not isinstance(result, BaseException) for result in results)


def _common_name(session: Session) -> str | None:
    certificate = session.ssl_object.getpeercert() if session.ssl_object is not None else None
    for names in (certificate or {}).get("subject", ()):
        for name, value in names:
            if name == "commonName":
                return str(value)
    return None


async def _serve(arguments: argparse.Namespace) -> None:
    listener = ListenerConfig(
        bind=f"127.0.0.1:{arguments.port}",
        ssl=True,
        cafile=arguments.ca,
        certfile=arguments.certificate,
        keyfile=arguments.key,
    )
    users = {"subscribers": arguments.subscriber, "offices": arguments.office}
    plugins = {f"{__package__}.embedded_broker.Access": users}
    broker = _Broker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    await broker.start()
    await stopping.wait()
    await broker.shutdown()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    for file in ("--ca", "--certificate", "--key"):
        parser.add_argument(file, type=Path, required=True)
    parser.add_argument("--subscriber", action="append", default=[])
    parser.add_argument("--office", action="append", default=[])
    logging.basicConfig(level=logging.WARNING)
    amqtt.broker.BrokerProtocolHandler = _Handler
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
