"""One MQTT connection over mutual TLS that is kept up. The only user of paho.

Speaks MQTT 5, and 3.1.1 to brokers that refuse 5. Every attempt starts from nothing (fresh client, key files
read again), so a lost connection leaves no state behind and a renewed certificate is picked up by itself.
Pauses between attempts have full jitter: uniform between zero and a bound that doubles (Brooker, "Exponential
Backoff And Jitter", 2015), so that many devices do not return at the same moment.
"""

from __future__ import annotations

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edge.address import Address

__all__ = ["Address", "Handler", "Link", "Message"]

KEEPALIVE = 30  # seconds
LARGEST_PAUSE = 60.0  # seconds between attempts at most
FIRST_PAUSE = 0.5
_STEADY_SECONDS = 10.0  # a connection that lasted this long was a success
_UNSUPPORTED_VERSION = 0x84
_ANSWER_SECONDS = 10.0  # a broker that has not answered CONNECT by then will not
_SILENT_REFUSALS = 3  # no answer this often in a row: perhaps it is the version, try the other one
_LARGEST_PACKET = 1 << 20
_PACKET_IDS = 1 << 16
_LARGEST_WINDOW = 65_535  # what MQTT assumes when a broker does not say
_OTHER = {
    MQTTProtocolVersion.MQTTv5: MQTTProtocolVersion.MQTTv311,
    MQTTProtocolVersion.MQTTv311: MQTTProtocolVersion.MQTTv5,
}


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
    """Keeps a connection to one broker. ``name`` is the MQTT client id.

    ``session_seconds``: how long the broker keeps the subscriptions and what comes in for them after a lost
    connection (MQTT 5 only). ``window``: how many unacknowledged messages the broker may send at a time.
    """

    def __init__(
        self,
        address: Address,
        name: str,
        handler: Handler,
        *,
        will: Message | None = None,
        session_seconds: int = 0,
        window: int = 200,
        longest_pause: float = LARGEST_PAUSE,
    ) -> None:
        self._address = address
        self._name = name
        self._handler = handler
        self._will = will
        self._session_seconds = session_seconds
        self._window = window
        self._longest_pause = longest_pause
        self._version = MQTTProtocolVersion.MQTTv5
        self._known = False  # the broker knows a session of this process
        self._refused = False  # the latest answer was a refusal of the version
        self._silent = 0  # attempts in a row without any answer
        self._guessed = False  # the version was changed because of silence, not of a refusal
        self._generation = 0  # counts attempts to connect
        self._open: _Open | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{name}", daemon=True)

    def start(self) -> None:
        """Connects in the background. Raises ``AddressError`` at once when keys or certificates are unusable."""
        self._address.tls()
        self._thread.start()

    def publish(self, message: Message) -> int | None:
        """Sends with QoS 1; returns the number its acknowledgement will carry, or None when not connected."""
        link = self._open
        if link is None:
            return None
        sent = link.client.publish(message.topic, message.payload, 1, message.retain, self._properties(message))
        return _number(link.generation, sent.mid) if sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def subscribe(self, pattern: str) -> None:
        """Asks for everything that matches ``pattern``, QoS 1. Call it from ``Handler.opened``."""
        if (link := self._open) is not None:
            link.client.subscribe(pattern, 1)

    def acknowledge(self, number: int) -> None:
        """Tells the broker that a received message has been dealt with."""
        generation, packet_id = divmod(number, _PACKET_IDS)
        link = self._open
        if link is not None and link.generation == generation and packet_id:
            link.client.ack(packet_id, 1)

    def close(self, timeout: float, farewell: Message | None = None) -> None:
        """Publishes ``farewell``, disconnects in order (no Last Will), and ends the thread within ``timeout``."""
        until = time.monotonic() + timeout
        self._closing.set()
        if (link := self._open) is not None:
            if farewell is not None:
                sent = link.client.publish(
                    farewell.topic, farewell.payload, 1, farewell.retain, self._properties(farewell)
                )
                with suppress(RuntimeError, ValueError):  # not connected any more
                    sent.wait_for_publish(timeout / 2)
            link.client.disconnect(properties=self._disconnect_properties())
        if self._thread.is_alive():
            self._thread.join(max(0.0, until - time.monotonic()))

    def _run(self) -> None:
        bound = FIRST_PAUSE
        while not self._closing.is_set():
            began = time.monotonic()
            attempt = self._connect_once()
            self._open = None
            self._handler.closed(attempt.reason)
            if self._change_version(attempt):
                continue  # at once
            if attempt.answered and time.monotonic() - began > _STEADY_SECONDS:
                bound = FIRST_PAUSE
            self._closing.wait(random.uniform(0.0, bound))
            bound = min(2 * bound, self._longest_pause)

    def _connect_once(self) -> _Attempt:
        """Connects and stays until the connection ends, whatever the broker does."""
        self._generation += 1
        attempt = _Attempt(self._generation)
        client = self._make_client(attempt)
        try:
            client.tls_set_context(self._address.tls())
            if self._version == MQTTProtocolVersion.MQTTv5:
                client.connect(
                    self._address.host,
                    self._address.port,
                    KEEPALIVE,
                    clean_start=not self._known,
                    properties=self._connect_properties(),
                )
            else:
                client.connect(self._address.host, self._address.port, KEEPALIVE)
            attempt.connected = True
            until = time.monotonic() + _ANSWER_SECONDS
            while client.loop() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                if not attempt.answered and time.monotonic() > until:
                    raise TimeoutError("the broker accepts the connection, but does not answer")
        except Exception as error:  # paho lets errors of many types through when a broker sends garbage
            attempt.reason = str(error) or type(error).__name__
        if (left_open := client.socket()) is not None:
            left_open.close()
        return attempt

    def _make_client(self, attempt: _Attempt) -> Client:
        version5 = self._version == MQTTProtocolVersion.MQTTv5
        client = Client(
            CallbackAPIVersion.VERSION2,
            self._name,
            clean_session=None if version5 else True,
            protocol=self._version,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.max_inflight_messages_set(0)  # bounded by the callers of publish
        # with this set, publish only queues and wakes our thread, which does all writing
        client.on_socket_register_write = lambda *_: None
        if self._will is not None:
            will = self._will
            client.will_set(will.topic, will.payload, 1, will.retain)

        def connected(
            _: Client, __: object, ___: ConnectFlags, reason: ReasonCode, properties: Properties | None
        ) -> None:
            attempt.answered = True
            attempt.wrong_version = reason.value == _UNSUPPORTED_VERSION
            if reason.is_failure:
                attempt.reason = f"refused: {reason}"
                return
            self._known = True
            self._open = _Open(attempt.generation, client)
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

    def _disconnect_properties(self) -> Properties | None:
        if self._version != MQTTProtocolVersion.MQTTv5:
            return None
        properties = _new_properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = 0  # we do not come back: the broker need not keep anything for us
        return properties

    def _properties(self, message: Message) -> Properties | None:
        if self._version != MQTTProtocolVersion.MQTTv5:
            return None
        properties = _new_properties(PacketTypes.PUBLISH)
        if message.expires is not None:
            properties.MessageExpiryInterval = message.expires
        if message.content_type is not None:
            properties.ContentType = message.content_type
        return properties

    def _change_version(self, attempt: _Attempt) -> bool:
        """Takes the other protocol version if the broker refused this one. True when that is worth trying at once.

        A broker that says nothing at all may only be in trouble: the version taken because of its silence
        holds for one connection, since 3.1.1 cannot tell us of lost messages.
        """
        if attempt.wrong_version:
            self._version = _OTHER[self._version]
            again, self._refused = self._refused, True
            return not again
        if attempt.answered:
            self._silent, self._refused = 0, False
            if self._guessed:
                self._version, self._guessed = MQTTProtocolVersion.MQTTv5, False
        elif attempt.connected:
            self._silent += 1
            if self._silent == _SILENT_REFUSALS:
                self._version, self._guessed, self._silent = _OTHER[self._version], True, 0
        return False


@dataclass(slots=True)
class _Attempt:
    generation: int
    connected: bool = False  # TLS stands and CONNECT is on its way
    answered: bool = False
    wrong_version: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Open:
    generation: int
    client: Client


def _number(generation: int, packet_id: int) -> int:
    """A number that no other connection of this link uses, unlike the packet ids of MQTT."""
    return generation * _PACKET_IDS + packet_id


def _new_properties(packet: int) -> Properties:
    return Properties(packet)  # type: ignore[no-untyped-call]
