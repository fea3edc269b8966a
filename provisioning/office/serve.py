"""Runs the enrolment service. The only user of uvicorn.

TLS with the certificate that claims are pinned to; a client certificate is asked for, and needed for renewals only.
One process: the inventory's transactions, not the number of workers, are what claims are safe by.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.errors import VidikError
from provisioning import pki
from provisioning.office import est, revocation, service
from provisioning.office.folder import Office
from provisioning.office.inventory import Inventory
from provisioning.office.registrar import Registrar
from provisioning.office.rollouts import Rollouts

_CONNECTIONS = 2_000
_IDLE_SECONDS = 20
_LIST_EVERY = 20.0  # seconds between looks whether the revocation list is out of date
_log = logging.getLogger("vidik.enrol")


class _WithPeer(H11Protocol):
    """HTTP/1.1 that puts the client's TLS certificate into the scope of each request, as uvicorn does not."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        peer = tls.getpeercert(binary_form=True) if tls is not None else None
        inner = self.app

        async def app(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
            scope[service.PEER] = peer
            await inner(scope, receive, send)

        self.app = app


def run(office: Office, inventory: Inventory, ca: pki.Issued, host: str = "::", port: int | None = None) -> None:
    """Serves until SIGTERM or SIGINT. ``port``: by default the one in the settings. Raises ``VidikError``."""
    settings = office.settings()
    config = uvicorn.Config(
        service.application(office, Registrar(inventory, ca), Rollouts(inventory)),
        host=host,
        port=settings.enrol_port if port is None else port,
        http=_WithPeer,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_SECONDS,
        h11_max_incomplete_event_size=est.LARGEST,
        ssl_certfile=office.service / "server.pem",
        ssl_keyfile=office.service / "server.key",
        ssl_ca_certs=office.ca,
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
    )
    inventory.note("service started", settings.name)
    with _fresh_list(office, inventory, ca):
        uvicorn.Server(config).run()
    inventory.note("service stopped", settings.name)


@contextmanager
def _fresh_list(office: Office, inventory: Inventory, ca: pki.Issued) -> Iterator[None]:
    """Keeps the revocation list up to date meanwhile."""
    done = threading.Event()

    def work() -> None:
        while not done.is_set():
            try:
                if revocation.refresh(office, inventory, ca, datetime.now(UTC)):
                    _log.info("revocation-list written")
            except VidikError as error:
                _log.error("revocation-list error=%s", error)
            done.wait(_LIST_EVERY)

    thread = threading.Thread(target=work, name="revocation-list")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
