"""The addresses that are served on, followed as they come and go: DHCP takes its time, a cable is plugged in late.

No packet of ours crosses a router, whoever asks: they are sent with a time to live of one hop.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable, Collection, Sequence

from edge.setup.local import NotLocal, Place

_NOT_YET = (errno.EADDRNOTAVAIL, errno.ENODEV)  # IPv6 still looks for a duplicate, or the address has just gone
_log = logging.getLogger("vidik.setup")


class Addresses:
    """Listening sockets on the ``port`` of every address that ``look`` lists, as of the last ``follow``.

    Who serves one of ``sockets`` may close it; ``close`` does no harm then.
    """

    def __init__(self, look: Callable[[], Sequence[Place]], port: int) -> None:
        self._look, self._port = look, port
        self._trouble = ""
        self.sockets: dict[Place, socket.socket] = {}

    @property
    def places(self) -> Collection[Place]:
        """The addresses served on at the moment one looks."""
        return self.sockets.keys()

    @property
    def hosts(self) -> str:
        """For people."""
        return ", ".join(place.host for place in self.sockets) or "no address yet"

    def follow(self, gone: Callable[[Place], object] | None = None) -> None:
        """Listens on what has come, and no longer on what is gone, having told ``gone`` before.

        Raises ``NotLocal``, having done what it could.
        """
        trouble: NotLocal | None = None
        try:
            there = self._look()
        except NotLocal as error:
            there, trouble = [], error
        for place in [place for place in self.sockets if place not in there]:
            if gone is not None:
                gone(place)
            self.sockets.pop(place).close()
        for place in there:
            if place in self.sockets:
                continue
            try:
                self.sockets[place] = listen(place, self._port)
            except OSError as error:
                if error.errno not in _NOT_YET:
                    where = f"port {self._port} of {place.host}"
                    trouble = NotLocal(f"The page cannot be served on {where}: {error}. Is it served already?")
        if trouble is not None:
            raise trouble

    def keep_following(self, gone: Callable[[Place], object] | None = None) -> None:
        """As ``follow``, but trouble goes into the log, once: the next look may find it mended."""
        try:
            self.follow(gone)
        except NotLocal as error:
            if str(error) != self._trouble:
                _log.warning("%s", error)
            self._trouble = str(error)
        else:
            self._trouble = ""

    def close(self) -> None:
        """Nothing listens after this."""
        while self.sockets:
            self.sockets.popitem()[1].close()


def listen(place: Place, port: int) -> socket.socket:
    """A listening socket on ``place``. Raises ``OSError``."""
    six = place.interface.version == 6
    listening = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if six:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            listening.bind((place.host, port, 0, place.scope))
        else:
            listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            listening.bind((place.host, port))
        listening.listen()
    except OSError:
        listening.close()
        raise
    return listening
