"""The few MQTT 5 packets that a camera needs (OASIS MQTT 5.0, chapter 3). Raises nothing: a simulator's own bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator

CONNACK, PUBLISH, PUBACK = 2, 3, 4
PING = b"\xc0\x00"
_MESSAGE_EXPIRY, _CONTENT_TYPE, _SESSION_EXPIRY, _RECEIVE_MAXIMUM = 0x02, 0x03, 0x11, 0x21
_CLEAN_WILL_QOS1_RETAIN = 0x02 | 0x04 | 0x08 | 0x20
_WIDTHS = {0x11: 4, 0x21: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x22: 2, 0x28: 1, 0x29: 1, 0x2A: 1, 0x13: 2}  # of CONNACK


def connect(name: str, keepalive: int, will_topic: str, will: bytes) -> bytes:
    """CONNECT with a clean start and a retained will of QoS 1."""
    head = _text("MQTT") + bytes([5, _CLEAN_WILL_QOS1_RETAIN]) + struct.pack("!H", keepalive) + b"\x00"
    return _packet(0x10, head + _text(name) + b"\x00" + _text(will_topic) + _bytes(will))


def resume(name: str, keepalive: int, session_seconds: int, window: int) -> bytes:
    """CONNECT that takes up the session of ``name``, which outlives the connection. ``window``: messages under way."""
    properties = struct.pack("!BIBH", _SESSION_EXPIRY, session_seconds, _RECEIVE_MAXIMUM, window)
    head = _text("MQTT") + bytes([5, 0]) + struct.pack("!H", keepalive) + _length(len(properties)) + properties
    return _packet(0x10, head + _text(name))


def subscribe(pattern: str) -> bytes:
    """SUBSCRIBE with QoS 1."""
    return _packet(0x82, struct.pack("!H", 1) + b"\x00" + _text(pattern) + b"\x01")


def publication(body: bytes) -> tuple[bytes, bytes]:
    """From a PUBLISH of QoS 1: the packet id as it stands there, and the payload."""
    at = 2 + int.from_bytes(body[:2], "big")
    start = at + 3 + body[at + 2]  # the properties are few, their length is one byte
    return body[at : at + 2], body[start:]


def acknowledge(packet_id: bytes) -> bytes:
    """PUBACK."""
    return b"\x40\x02" + packet_id


def publish(topic: str, packet_id: int, payload: bytes, *, expires: int, content_type: str, retain: bool) -> bytes:
    """PUBLISH with QoS 1. ``expires``: seconds, 0 for never."""
    properties = struct.pack("!BI", _MESSAGE_EXPIRY, expires) if expires else b""
    properties += bytes([_CONTENT_TYPE]) + _text(content_type)
    body = _text(topic) + struct.pack("!H", packet_id) + _length(len(properties)) + properties + payload
    return _packet(0x32 | retain, body)


def split(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Takes whole packets out of ``buffer``: type, and all that follows the length."""
    while len(buffer) >= 2:
        length, at = 0, 1
        while True:
            if at >= len(buffer):
                return
            length |= (buffer[at] & 0x7F) << (7 * (at - 1))
            at += 1
            if not buffer[at - 1] & 0x80:
                break
        if len(buffer) < at + length:
            return
        kind, body = buffer[0] >> 4, bytes(buffer[at : at + length])
        del buffer[: at + length]
        yield kind, body


def accepted(body: bytes) -> int:
    """From a CONNACK: how many unacknowledged reports the broker takes; 0 when it refuses."""
    if body[1] >= 0x80:
        return 0
    at, end = 3, 3 + body[2]  # the properties are few, their length is one byte
    while at < end:
        identifier = body[at]
        width = _WIDTHS.get(identifier)
        if identifier == _RECEIVE_MAXIMUM:
            return int.from_bytes(body[at + 1 : at + 3], "big")
        at += 1 + (width if width is not None else 2 + int.from_bytes(body[at + 1 : at + 3], "big"))
    return 65_535


def acknowledged(body: bytes) -> tuple[int, int]:
    """From a PUBACK: packet id and reason."""
    return int.from_bytes(body[:2], "big"), body[2] if len(body) > 2 else 0


def _packet(first: int, body: bytes) -> bytes:
    return bytes([first]) + _length(len(body)) + body


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _bytes(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def _text(value: str) -> bytes:
    return _bytes(value.encode())
