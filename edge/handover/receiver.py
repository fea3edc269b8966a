"""The uplink's side of the hand-over."""

from __future__ import annotations

import os
import selectors
import socket
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edge.handover import frame
from edge.handover.frame import HandoverError, Item
from edge.handover.wake import Wake

_READ = 1 << 16
_CONNECTIONS = 4  # vision needs one; another may overlap while the first dies


@dataclass(slots=True, eq=False)
class _Connection:
    socket: socket.socket
    untrusted: bytearray = field(default_factory=bytearray)


class Arrival(NamedTuple):
    """An item and the connection that waits for its acknowledgement."""

    item: Item
    origin: _Connection


class Receiver:
    """Listens on a socket file that only its own user may open, or on ``given``, which the service manager opened
    there: then vision may start first, and who may connect was decided where the socket was made.

    Bounded on purpose: a few connections, each with one read buffer. ``rejected`` counts the connections
    that were closed because of what came over them, or because there were too many.
    """

    def __init__(self, path: Path, given: socket.socket | None = None) -> None:
        self.rejected = 0
        self._path = None if given else path  # a file that is not ours stays
        self._listening = _take(given, path) if given else _listen(path)
        self._wake = Wake()
        self._connections: set[_Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listening, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)

    def receive(self, timeout: float) -> list[Arrival]:
        """What has arrived. Waits for it, but no longer than ``timeout`` seconds or until ``wake``."""
        arrivals: list[Arrival] = []
        for ready, _ in self._selector.select(timeout):
            if ready.fileobj is self._listening:
                self._accept()
            elif ready.fileobj is self._wake:
                self._wake.clear()
            else:
                arrivals += self._read(ready.data)
        return arrivals

    def wake(self) -> None:
        """Makes a waiting ``receive`` return; any thread or signal handler may call it."""
        self._wake.set()

    def acknowledge(self, arrivals: Sequence[Arrival]) -> None:
        """Tells the senders that ``arrivals`` are safe."""
        for origin in {arrival.origin for arrival in arrivals} & self._connections:
            answer = frame.pack_acknowledgements(arrival.item.key for arrival in arrivals if arrival.origin is origin)
            try:
                sent = origin.socket.send(answer)
            except OSError:
                sent = 0
            if sent < len(answer):  # a sender that does not read: it will connect and send again
                self._close(origin)

    def refuse(self, arrivals: Sequence[Arrival]) -> None:
        """Closes the connections of ``arrivals``, so that their senders send them again later."""
        for origin in {arrival.origin for arrival in arrivals} & self._connections:
            self._close(origin)

    def close(self) -> None:
        """Closes every connection and removes the socket file."""
        for connection in list(self._connections):
            self._close(connection)
        self._selector.close()
        self._listening.close()
        self._wake.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        with suppress(OSError):
            accepted, _ = self._listening.accept()
            if len(self._connections) >= _CONNECTIONS:
                accepted.close()
                self.rejected += 1
                return
            accepted.setblocking(False)
            connection = _Connection(accepted)
            self._connections.add(connection)
            self._selector.register(accepted, selectors.EVENT_READ, connection)

    def _read(self, connection: _Connection) -> list[Arrival]:
        arrivals: list[Arrival] = []
        try:
            received = connection.socket.recv(_READ)
            connection.untrusted += received
            arrivals.extend(Arrival(item, connection) for item in frame.unpack(connection.untrusted))
        except BlockingIOError:
            return arrivals
        except HandoverError:
            self.rejected += 1
            received = b""
        except OSError:
            received = b""
        if not received:
            self._close(connection)
        return arrivals

    def _close(self, connection: _Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _listen(path: Path) -> socket.socket:
    """A listening socket at ``path``, readable and writable by its owner only."""
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(listening.fileno(), 0o600)  # before bind, so that there is no moment with wider rights
        listening.bind(str(path))
        listening.listen(_CONNECTIONS)
        listening.setblocking(False)
    except OSError as error:
        listening.close()
        raise HandoverError(
            f"The inbox {path} cannot be opened: {error}. Check its folder, or shorten the path."
        ) from error
    return listening


def _take(given: socket.socket, path: Path) -> socket.socket:
    """``given``, if it listens at ``path``."""
    try:
        fits = given.family == socket.AF_UNIX and given.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
        if not fits or not path.samefile(given.getsockname()):
            raise HandoverError(
                f"The service manager's socket is not the inbox {path}. Let ListenStream= of vidik-inbox.socket and "
                "the configuration name the same file."
            )
        given.setblocking(False)
    except OSError as error:
        raise HandoverError(f"The service manager's socket for the inbox {path} cannot be used: {error}.") from error
    return given


def _remove_stale(path: Path) -> None:
    """Removes the socket file that a killed process left; refuses to take a living one's place."""
    if not path.exists() or not stat.S_ISSOCK(path.stat().st_mode):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise HandoverError(f"Another uplink listens on {path} already. Stop it first.")
