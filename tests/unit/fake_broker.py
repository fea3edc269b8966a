"""A broker that follows a script, for what no well-behaved broker does."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CONNECT, PUBLISH, DISCONNECT = 1, 3, 14
ACCEPT_5 = bytes([0x20, 3, 0, 0, 0])
ACCEPT_311 = bytes([0x20, 2, 0, 0])
REFUSE_VERSION = bytes([0x20, 2, 0, 1])


class Session:
    """One client's connection, packet by packet."""

    def __init__(self, link: ssl.SSLSocket) -> None:
        self._link = link
        self.certificate = link.getpeercert() or {}
        self.user = dict(name for names in self.certificate["subject"] for name in names)["commonName"]

    def read(self) -> tuple[int, bytes]:
        """The next packet: its type and the whole of its bytes. Raises ``EOFError`` at the end."""
        head = self._exactly(2)
        while head[-1] & 0x80:
            head += self._exactly(1)
        length = sum((byte & 0x7F) << (7 * place) for place, byte in enumerate(head[1:]))
        return head[0] >> 4, head + self._exactly(length)

    def write(self, packet: bytes) -> None:
        self._link.sendall(packet)

    def wait_for_close(self) -> None:
        with suppress(EOFError):
            while True:
                self.read()

    def _exactly(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            piece = self._link.recv(count - len(got))
            if not piece:
                raise EOFError
            got += piece
        return got


class FakeBroker:
    """Runs ``script`` for each connection, with mutual TLS. ``connects`` holds the CONNECT packets' bytes."""

    def __init__(self, folder: Path, script: Callable[[Session, int], None], host: str = "127.0.0.1") -> None:
        self._script = script
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
        self._context.load_cert_chain(folder / "broker.pem", folder / "broker.key")
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._server = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port: int = self._server.getsockname()[1]
        self.connects: list[bytes] = []
        self.users: list[str] = []
        self._links: list[ssl.SSLSocket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def versions(self) -> list[int]:
        """The protocol version of each CONNECT."""
        return [packet[packet.index(b"MQTT") + 4] for packet in self.connects]

    def close(self) -> None:
        self._server.close()

    def drop(self) -> None:
        """Ends the connections there are."""
        links, self._links = self._links, []
        for link in links:
            with suppress(OSError):
                socket.socket.shutdown(link, socket.SHUT_RDWR)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                raw, _ = self._server.accept()
                threading.Thread(target=self._one, args=(raw,), daemon=True).start()

    def _one(self, raw: socket.socket) -> None:
        with suppress(OSError, EOFError), self._context.wrap_socket(raw, server_side=True) as link:
            self._links.append(link)
            session = Session(link)
            _, packet = session.read()
            self.users.append(session.user)
            self.connects.append(packet)
            self._script(session, self.versions[-1])


def puback(publish: bytes, reason: int | None = None) -> bytes:
    """The answer to a QoS 1 PUBLISH packet, with an MQTT 5 ``reason`` or in the form of 3.1.1."""
    start = 1
    while publish[start] & 0x80:
        start += 1
    start += 1
    (length,) = struct.unpack_from("!H", publish, start)
    packet_id = publish[start + 2 + length : start + 4 + length]
    return bytes([0x40, 2]) + packet_id if reason is None else bytes([0x40, 3]) + packet_id + bytes([reason])
