"""One MQTT connection over mutual TLS that is kept up. The only user of paho.

Speaks MQTT 5, and 3.1.1 to brokers that refuse 5. Every attempt starts from nothing (fresh client, key files
read again), so a lost connection leaves no state behind and a renewed certificate is picked up by itself. A broker
may do what it likes: nothing that it sends makes this process end or grow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.address import Address
from edge.mqtt_brokers import LARGEST_PAUSE, Attempt, Broker, Brokers

__all__ = ["Address", "Handler", "Link", "Message"]

KEEPALIVE = 30  # seconds
_UNSUPPORTED_VERSION = 0x84
_CONNECT_SECONDS = 15.0  # for each address of the broker, and again for the TLS handshake
_ANSWER_SECONDS = 20.0  # a broker that has not answered CONNECT by then will not
_LARGEST_PACKET = 1 << 20
_PACKET_IDS = 1 << 16
_LARGEST_WINDOW = 65_535  # what MQTT assumes when a broker does not say


@dataclass(frozen=True, slots=True)
class Message:
    """What is published. ``expires``: seconds it may wait at the broker (MQTT 5 only)."""

    topic: str
    payload: bytes
    retain: bool = False
    expires: int | None = None
    content_type: str | None = None


class Handler:
    """What the owner of a link hears. Called from the link's thread: be quick."""

    def opened(self, version: int, window: int, /) -> None:
        """Connected with MQTT ``version``; the broker takes ``window`` unacknowledged messages at a time."""

    def closed(self, reason: str, /) -> None:
        """The connection, or an attempt at one, has ended; another follows."""

    def acknowledged(self, number: int, code: int, /) -> None:
        """The broker answered the publication ``number`` with an MQTT 5 reason code (0 under 3.1.1)."""

    def received(self, topic: str, payload: bytes, number: int, retained: bool, /) -> None:
        """A message came in; acknowledge ``number`` when it is dealt with."""


class Link:
    """Keeps a connection to one broker, of those at ``address`` in order of preference. ``name`` is the client id.

    ``session_seconds``: how long the broker keeps the subscriptions and what comes in for them after a lost
    connection (MQTT 5 only). ``window``: how many unacknowledged messages the broker may send at a time.
    ``resume``: the session is to outlive this process, and is taken up where an earlier one of this name left it.
    """

    def __init__(
        self,
        address: Address | Sequence[Address],
        name: str,
        handler: Handler,
        *,
        will: Message | None = None,
        session_seconds: int = 0,
        window: int = 200,
        longest_pause: float = LARGEST_PAUSE,
        keepalive: int = KEEPALIVE,
        resume: bool = False,
    ) -> None:
        self._brokers = Brokers([address] if isinstance(address, Address) else address, longest_pause)
        self._name = name
        self._handler = handler
        self.will = will  # for connections to come
        self._session_seconds = session_seconds
        self._window = window
        self._keepalive = keepalive
        self._resume = resume
        self._generation = 0  # counts attempts to connect
        self._open: _Open | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Connects in the background. Raises ``AddressError`` at once when keys or certificates are unusable."""
        for broker in self._brokers.all:
            broker.address.tls()
        self._thread.start()

    def publish(self, message: Message) -> int | None:
        """Sends with QoS 1; returns the number its acknowledgement will carry, or None when not connected."""
        link = self._open
        if link is None:
            return None
        sent = link.client.publish(message.topic, message.payload, 1, message.retain, _properties(message, link))
        return _number(link.generation, sent.mid) if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, pattern: str, qos: int = 1) -> None:
        """Asks for everything that matches ``pattern``. Call it from ``Handler.opened``."""
        if (link := self._open) is not None:
            link.client.subscribe(pattern, qos)

    def acknowledge(self, number: int) -> None:
        """Tells the broker that a received message has been dealt with."""
        generation, packet_id = divmod(number, _PACKET_IDS)
        link = self._open
        if link is not None and link.generation == generation and packet_id:
            link.client.ack(packet_id, 1)

    def abandon(self, reason: str, *, useless: bool) -> None:
        """Ends the present connection for a fresh start; with the next broker if this one was ``useless``.

        Any thread may.
        """
        if (link := self._open) is not None:
            link.attempt.reason, link.attempt.useless, link.attempt.over = reason, useless, True

    def close(self, timeout: float, farewell: Message | None = None) -> None:
        """Publishes ``farewell``, disconnects in order (no Last Will), and ends the thread within ``timeout``."""
        until = time.monotonic() + timeout
        self._closing.set()
        if (link := self._open) is not None:
            if farewell is not None:
                sent = link.client.publish(
                    farewell.topic, farewell.payload, 1, farewell.retain, _properties(farewell, link)
                )
                with suppress(RuntimeError, ValueError):  # not connected any more
                    sent.wait_for_publish(timeout / 2)
            link.client.disconnect(
                properties=_disconnect_properties(link, self._session_seconds if self._resume else 0)
            )
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        while not self._closing.is_set():
            began = time.monotonic()
            attempt = self._connect_once(self._brokers.current)
            self._open = None
            self._handler.closed(attempt.reason)
            self._closing.wait(self._brokers.after(attempt, time.monotonic() - began))

    def _connect_once(self, broker: Broker) -> Attempt:
        """Connects and stays until the connection ends, whatever the broker does."""
        self._generation += 1
        attempt = Attempt(self._generation)
        client = self._make_client(broker, attempt)
        try:
            address = broker.address
            client.tls_set_context(address.tls())
            session: dict[str, Any] = (
                {"clean_start": not (broker.known or self._resume), "properties": self._connect_properties()}
                if broker.version == MQTTProtocolVersion.MQTTv5
                else {}
            )
            client.connect(address.host, address.port, self._keepalive, **session)
            attempt.connected = True
            until = time.monotonic() + _ANSWER_SECONDS
            while client.loop() == MQTTErrorCode.MQTT_ERR_SUCCESS and not attempt.over:
                if not attempt.answered and time.monotonic() > until:
                    raise TimeoutError("the broker accepts the connection, but does not answer")
                _check_incoming(client)
        except Exception as error:  # paho lets errors of many types through when a broker sends garbage
            attempt.reason = str(error) or type(error).__name__
        if (left_open := client.socket()) is not None:
            left_open.close()
        return attempt

    def _make_client(self, broker: Broker, attempt: Attempt) -> Client:
        version5 = broker.version == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._name,
            clean_session=None if version5 else not self._resume,
            protocol=MQTTProtocolVersion(broker.version),
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_SECONDS
        client.max_inflight_messages_set(0)  # bounded by the callers of publish
        # with this set, publish only queues and wakes our thread, which does all writing
        client.on_socket_register_write = lambda *_: None
        if (will := self.will) is not None:
            client.will_set(will.topic, will.payload, 1, will.retain)

        def connected(
            _: Client, __: object, ___: ConnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            attempt.answered = True
            attempt.wrong_version = reason.value == _UNSUPPORTED_VERSION
            if reason.is_failure:
                attempt.reason = f"refused: {reason}"
                return
            broker.known = True
            self._open = _Open(attempt.generation, client, attempt, version5)
            self._handler.opened(5 if version5 else 4, getattr(properties, "ReceiveMaximum", _LARGEST_WINDOW))

        def disconnected(_: Client, __: object, ___: DisconnectFlags, reason: ReasonCode, ____: object) -> None:
            attempt.reason = attempt.reason or str(reason)

        client.on_connect = connected
        client.on_disconnect = disconnected
        client.on_publish = lambda _, __, packet_id, reason, ___: self._handler.acknowledged(
            _number(attempt.generation, packet_id), reason.value
        )
        client.on_message = lambda _, __, message: self._handler.received(
            message.topic, bytes(message.payload), _number(attempt.generation, message.mid), message.retain
        )
        return client

    def _connect_properties(self) -> Properties:
        properties = _new_properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._session_seconds
        properties.ReceiveMaximum = self._window
        properties.MaximumPacketSize = _LARGEST_PACKET
        return properties


@dataclass(frozen=True, slots=True)
class _Open:
    generation: int
    client: Client
    attempt: Attempt
    version5: bool


def _check_incoming(client: Client) -> None:
    """Raises ``ValueError`` for what no broker that we talk to has reason to send, and what would fill our memory."""
    # paho takes packets of up to 256 MB, whatever limit CONNECT has stated, and has no public way to look at them
    incoming = client._in_packet["remaining_length"]  # noqa: SLF001
    if incoming > _LARGEST_PACKET:
        raise ValueError(f"the broker sends a packet of {incoming} bytes, more than it may")
    if client._in_messages:  # noqa: SLF001 - QoS 2: stored until released, and never asked for
        raise ValueError("the broker sends with a quality of service that nobody has asked for")


def _properties(message: Message, link: _Open) -> Properties | None:
    if not link.version5:
        return None
    properties = _new_properties(PacketTypes.PUBLISH)
    if message.expires is not None:
        properties.MessageExpiryInterval = message.expires
    if message.content_type is not None:
        properties.ContentType = message.content_type
    return properties


def _disconnect_properties(link: _Open, session_seconds: int) -> Properties | None:
    if not link.version5:
        return None
    properties = _new_properties(PacketTypes.DISCONNECT)
    properties.SessionExpiryInterval = session_seconds  # 0: we do not come back, nothing need be kept for us
    return properties


def _number(generation: int, packet_id: int) -> int:
    """A number that no other connection of this link uses, unlike the packet ids of MQTT."""
    return generation * _PACKET_IDS + packet_id


def _new_properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]
