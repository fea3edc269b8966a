"""Updates over the enrolment service. Everything here needs the connection certificate of a camera in service.

    GET  /vidik/v1/update?board=B&version=V&channel=C   {"offer": {...}} or {"offer": null}
    GET  /vidik/v1/update/bundle/DIGEST                 the bundle, whole or from a byte on (Range)
    POST /vidik/v1/update                               what became of an offer

A camera is known by its certificate alone; what it says of itself chooses among offers, and proves nothing.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from edge.update.image import Image
from edge.update.office import PATH
from edge.update.state import Outcome
from provisioning.office.registrar import Refused, Registrar
from provisioning.office.rollouts import Rollouts

LARGEST = 4 << 10  # bytes of a report
MOST_AT_ONCE = 64  # bundles on their way; more cameras are asked to come back
MOST_A_MINUTE = 60  # requests of one camera
_DIGEST = re.compile(r"[0-9a-f]{64}")
_CAMERAS = 100_000  # whose requests are counted

Endpoint = Callable[[Request], Awaitable[Response]]
Table = TypeVar("Table")


class Updates:
    """Answers cameras that ask for updates. ``folder``: where bundles lie, each named after its digest;
    ``peer_of``: the certificate (DER) that whoever made a request has shown."""

    def __init__(
        self, rollouts: Rollouts, registrar: Registrar, folder: Path, peer_of: Callable[[Request], bytes | None]
    ) -> None:
        self._rollouts, self._registrar, self._folder, self._peer_of = rollouts, registrar, folder, peer_of
        self._pace = Pace()
        self._on_the_way = 0

    def routes(self, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
        """``guarded`` turns refusals into answers."""
        return [
            Route(PATH, guarded(self._of_a_camera(self.offer))),
            Route(PATH, guarded(self._of_a_camera(self.report)), methods=["POST"]),
            Route(PATH + "/bundle/{digest}", guarded(self._of_a_camera(self.bundle))),
        ]

    async def offer(self, request: Request, camera: str) -> Response:
        asked = {name: request.query_params.get(name, "") for name in ("board", "version", "channel")}
        image = _parsed(lambda: msgspec.convert(asked | {"floor": "0"}, Image))
        found = await run_in_threadpool(self._rollouts.offer, camera, image, int(time.time()))
        return JSONResponse({"offer": msgspec.to_builtins(found)})

    async def report(self, request: Request, camera: str) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST:
                raise Refused(413, f"A report is at most {LARGEST} bytes.")
        outcome = _parsed(lambda: msgspec.json.decode(body, type=Outcome))
        await run_in_threadpool(self._rollouts.report, camera, outcome, int(time.time()))
        return JSONResponse({})

    async def bundle(self, request: Request, camera: str) -> Response:
        digest = str(request.path_params["digest"])
        if not _DIGEST.fullmatch(digest) or not await run_in_threadpool(self._rollouts.may_fetch, camera, digest):
            # no failure that counts: a rollout that stops ends many downloads of cameras that share an address
            return PlainTextResponse("This camera has no offer of that bundle, or no longer. Ask again.\n", 404)
        if self._on_the_way >= MOST_AT_ONCE:
            return PlainTextResponse("Too many downloads.\n", 503, {"Retry-After": "30"})
        return _Counted(self._folder / f"{digest}.raucb", self._count)

    def _of_a_camera(self, endpoint: Callable[[Request, str], Awaitable[Response]]) -> Endpoint:
        """``endpoint`` for those who show the certificate of a camera in service, and do not ask too often."""

        async def answer(request: Request) -> Response:
            camera = await run_in_threadpool(self._registrar.camera_of, self._peer_of(request))
            if not self._pace.allows(camera, time.monotonic()):
                return PlainTextResponse("Too many requests of this camera.\n", 429, {"Retry-After": "60"})
            return await endpoint(request, camera)

        return answer

    def _count(self, by: int) -> None:
        self._on_the_way += by


class Pace:
    """At most ``most`` requests of a camera within a minute."""

    def __init__(self, most: int = MOST_A_MINUTE) -> None:
        self._most = most
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def allows(self, camera: str, now: float) -> bool:
        """Whether ``camera`` may ask at ``now`` (monotonic seconds), which then counts."""
        recent = self._asked.setdefault(camera, deque(maxlen=self._most))
        self._asked.move_to_end(camera)
        if len(self._asked) > _CAMERAS:
            self._asked.popitem(last=False)
        if len(recent) == self._most and now - recent[0] < 60.0:
            return False
        recent.append(now)
        return True


class _Counted(FileResponse):
    """A file on its way, which counts until it has got there or its receiver is gone."""

    def __init__(self, path: Path, count: Callable[[int], None]) -> None:
        super().__init__(path, media_type="application/vnd.rauc.bundle")
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._count(1)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._count(-1)


def _parsed(parse: Callable[[], Table]) -> Table:
    try:
        return parse()
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(400, f"That cannot be read: {error}.") from error
