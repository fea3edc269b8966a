"""Runs the page on the local link, over TLS, until it is over. The only user of uvicorn.

No packet of ours crosses a router, whoever asks: they are sent with a time to live of one hop.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

import uvicorn

from edge.setup.code import CodeError
from edge.setup.guard import App
from edge.setup.local import NotLocal, Place

_CONNECTIONS = 32
_IDLE_SECONDS = 10
_LARGEST_HEAD = 16 << 10  # bytes
_LAST_PAGE = 3.0  # seconds in which the last page may still fetch what it is drawn with
_LOOK = 0.25


class _Server(uvicorn.Server):
    """``stop`` is told of SIGTERM and SIGINT, and decides when to end."""

    def __init__(self, config: uvicorn.Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        self._stop()


class Running:
    """One page being served. ``left``: seconds until it ends by itself."""

    def __init__(self, certificate: Path, key: Path, left: Callable[[], float]) -> None:
        self._certificate, self._key, self._left = certificate, key, left
        self._ends = float("inf")

    def finish(self) -> None:
        """Ends once the last page was drawn: the camera is sealed, or the service manager says so because it is."""
        self._ends = min(self._ends, time.monotonic() + _LAST_PAGE)

    def run(self, app: App, sockets: Sequence[socket.socket]) -> None:
        """Serves ``app`` on ``sockets``, and closes them when this is over or SIGTERM comes."""
        server = _Server(self._config(app), self.finish)
        done = threading.Event()
        threading.Thread(target=self._keep, args=(server, done), name="keeper", daemon=True).start()
        try:
            server.run(sockets=list(sockets))
        finally:
            done.set()
            for listening in sockets:
                listening.close()

    def _config(self, app: App) -> uvicorn.Config:
        config = uvicorn.Config(
            app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            server_header=False, limit_concurrency=_CONNECTIONS, timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=2, h11_max_incomplete_event_size=_LARGEST_HEAD, ssl_certfile=self._certificate,
            ssl_keyfile=self._key,
        )  # fmt: skip
        try:
            config.load()
        except OSError as error:
            raise CodeError(
                f"The page's certificate {self._certificate} cannot be used: {error}. Make a new label: "
                "python -m edge.setup --label"
            ) from error
        assert config.ssl is not None
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
        return config

    def _keep(self, server: uvicorn.Server, done: threading.Event) -> None:
        while not done.wait(_LOOK):
            sealed = self._ends != float("inf")
            if time.monotonic() > self._ends or (not sealed and self._left() <= 0.0):
                server.should_exit = True
                return


def listen(places: Sequence[Place], port: int) -> list[socket.socket]:
    """A listening socket for each of ``places``. Raises ``NotLocal`` when none can be had."""
    sockets: list[socket.socket] = []
    try:
        for place in places:
            six = place.interface.version == 6
            listening = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if six:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
                listening.bind((place.host, port, 0, place.scope))
            else:
                listening.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
                listening.bind((place.host, port))
    except OSError as error:
        for listening in sockets:
            listening.close()
        raise NotLocal(f"The page cannot be served on port {port}: {error}. Is it served already?") from error
    return sockets
