"""Runs the page on the local link, over TLS, until it is over. The only user of uvicorn."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.setup.addresses import Addresses
from edge.setup.code import CodeError
from edge.setup.guard import App
from edge.setup.local import Place

_CONNECTIONS = 32
_IDLE_SECONDS = 10
_LARGEST_HEAD = 16 << 10  # bytes
_LAST_PAGE = 3.0  # seconds in which the last page may still fetch what it is drawn with
_LOOK = 0.25
_FOLLOW = 20  # ticks of uvicorn, a tenth of a second each, from one look at the addresses to the next


class _Server(uvicorn.Server):
    """``stop`` is told of SIGTERM and SIGINT, and decides when to end; ``stops`` says whether it did."""

    def __init__(
        self,
        config: uvicorn.Config,
        addresses: Addresses,
        changed: Callable[[], object],
        stop: Callable[[], None],
        stops: Callable[[], bool],
    ) -> None:
        super().__init__(config)
        self._addresses, self._changed, self._stop, self._stops = addresses, changed, stop, stops
        self._served: dict[Place, asyncio.Server] = {}

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - as uvicorn calls it
        self._stop()

    async def on_tick(self, counter: int) -> bool:
        if counter == 0:
            await self._serve_all()
        elif counter % _FOLLOW == 0 and not self._stops():
            before = set(self._served)
            self._addresses.keep_following(lambda place: self._served.pop(place).close())
            if self._addresses.places != before:
                await self._serve_all()
        return await super().on_tick(counter)

    async def _serve_all(self) -> None:
        loop = asyncio.get_running_loop()
        for place in [place for place in self._addresses.places if place not in self._served]:
            self._served[place] = await loop.create_server(
                self._protocol, sock=self._addresses.sockets[place], ssl=self.config.ssl, backlog=self.config.backlog
            )
        self.servers = list(self._served.values())  # which uvicorn closes in the end
        self._changed()

    def _protocol(self) -> asyncio.Protocol:
        return H11Protocol(self.config, self.server_state, self.lifespan.state)


class Running:
    """One page being served. ``left``: seconds until it ends by itself."""

    def __init__(self, certificate: Path, key: Path, left: Callable[[], float]) -> None:
        self._certificate, self._key, self._left = certificate, key, left
        self._ends = float("inf")

    def finish(self) -> None:
        """Ends once the last page was drawn: the camera is sealed, or the service manager says so because it is."""
        self._ends = min(self._ends, time.monotonic() + _LAST_PAGE)

    def run(self, app: App, addresses: Addresses, changed: Callable[[], object]) -> None:
        """Serves ``app`` on ``addresses``, and closes them when this is over or SIGTERM comes.

        ``changed`` is called once it is served, and again whenever the addresses are others.
        """
        server = _Server(self._config(app), addresses, changed, self.finish, lambda: self._ends != float("inf"))
        done = threading.Event()
        threading.Thread(target=self._keep, args=(server, done), name="keeper", daemon=True).start()
        try:
            server.run(sockets=[])
        finally:
            done.set()
            addresses.close()

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
