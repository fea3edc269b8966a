"""What is turned away before the page sees it, and what every answer carries. No framework, no state but its settings.

Turned away are peers beyond the local link, requests that name another host (DNS rebinding), changes that another site
asks for, what another site embeds, and bodies that are too long.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from typing import Any

from edge.setup import local
from edge.setup.local import Place

LARGEST = 48 << 10  # bytes of a body
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # not no-referrer: with that, browsers hide the origin of forms too
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), usb=(), payment=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_METHODS = ("GET", "HEAD", "POST")
_log = logging.getLogger("vidik.setup")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]


class TooLong(Exception):
    """A body went on beyond what is taken. The status for it is 413."""


@dataclass(frozen=True, slots=True)
class Guard:
    """An ASGI application around ``app``, for the addresses ``places``, which may come and go, and the ``port``."""

    app: App
    places: Collection[Place]
    port: int

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        peer = (scope.get("client") or ("", 0))[0]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        status = self.verdict(peer, scope["method"], headers)
        if status:
            _log.warning("turned-away peer=%s status=%d", peer, status)
            await self._refuse(status, send)
            return
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST:
                raise TooLong
            return message

        started = False

        async def dressed(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        try:
            await self.app(scope, bounded, dressed)
        except TooLong:
            if not started:
                await self._refuse(413, send)

    def verdict(self, peer: str, method: str, headers: dict[str, str]) -> int:
        """The status with which a request is turned away, 0 for none. ``headers``: names in small letters."""
        host = headers.get("host", "")
        length = headers.get("content-length", "0")
        site = headers.get("sec-fetch-site", "")
        wrong = {
            403: not local.is_near(peer, self.places),
            421: host not in local.names(self.places, self.port),
            405: method not in _METHODS,
            413: not length.isdecimal() or int(length) > LARGEST,
        }
        status = next((status for status, is_wrong in wrong.items() if is_wrong), 0)
        if status:
            return status
        if method == "POST":
            foreign = headers.get("origin") != f"https://{host}" or site not in ("", "same-origin")
        else:
            foreign = site not in ("", "none", "same-origin")
        return 403 if foreign else 0

    @staticmethod
    async def _refuse(status: int, send: Send) -> None:
        length = (b"content-length", b"0")
        await send({"type": "http.response.start", "status": status, "headers": [length, *HEADERS]})
        await send({"type": "http.response.body", "body": b""})
