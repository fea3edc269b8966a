"""The page itself: what each address answers. The only user of Starlette.

Claim, aim, draw, check, seal: each step is a page with one form, so that a change is one POST with the session's
cookie, its proof, and an origin that ``guard`` has looked at.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from edge.errors import VidikError
from edge.setup import drawing, render
from edge.setup.door import Door
from edge.setup.guard import TooLong
from edge.setup.steps import Steps
from edge.setup.words import wanted, words

COOKIE, LANGUAGE = "__Host-vidik", "lang"
_STATIC = {"page.css": "text/css", "icon.svg": "image/svg+xml"} | {
    f"{name}.js": "text/javascript" for name in ("page", "claim", "aim", "draw", "shapes", "checks")
}
_NUMBERS = {"claim": 1, "aim": 2, "draw": 3, "checks": 4}
_log = logging.getLogger("vidik.setup")

Form = dict[str, str]
Handler = Callable[[Request], Awaitable[Response]]
Change = Callable[[Request, Form], Awaitable[Response]]


def application(steps: Steps, door: Door, finish: Callable[[], None]) -> Starlette:
    """The page as an ASGI application. ``finish`` is called once the camera is sealed and the last page was made."""
    page = _Page(steps, door, finish)
    routes = [
        Route("/", page.home),
        Route("/code", page.code, methods=["POST"]),
        Route("/claim", page.shown(page.claim)),
        Route("/claim", page.changed(page.enrol), methods=["POST"]),
        Route("/aim", page.shown(page.aim)),
        Route("/aim", page.changed(page.aimed), methods=["POST"]),
        Route("/draw", page.shown(page.draw)),
        Route("/draw", page.changed(page.drawn), methods=["POST"]),
        Route("/checks", page.shown(page.checks)),
        Route("/checks/state", page.shown(page.state)),
        Route("/trial", page.changed(page.again), methods=["POST"]),
        Route("/seal", page.changed(page.seal), methods=["POST"]),
        Route("/measures", page.shown(page.measures)),
        Route("/preview", page.shown(page.preview)),
        Route("/static/{name}", page.static),
    ]
    return Starlette(
        routes=routes,
        exception_handlers={404: page.missing, 405: page.missing, VidikError: page.failed, TooLong: _too_long},
    )


@dataclass
class _Page:
    steps: Steps
    door: Door
    finish: Callable[[], None]

    def shown(self, handler: Handler) -> Handler:
        """``handler`` for whoever is inside; others are sent to the door, scripts of theirs are told so."""

        async def answer(request: Request) -> Response:
            if self.door.admits(request.cookies.get(COOKIE, "")):
                chosen = request.query_params.get(LANGUAGE, "")
                return _choose(request, chosen) if chosen else await handler(request)
            scripted = request.headers.get("sec-fetch-mode", "navigate") != "navigate"
            return Response(status_code=401) if scripted else RedirectResponse("/", 303)

        return answer

    def changed(self, handler: Change) -> Handler:
        """``handler`` for a form that the session's own page has sent."""

        async def answer(request: Request) -> Response:
            token = request.cookies.get(COOKIE, "")
            form = form_of(await request.body())
            if not self.door.admits(token) or not self.door.proves(token, form.get("proof", "")):
                return self._refused(request, "refused.form", 403)
            return await handler(request, form)

        return answer

    async def home(self, request: Request) -> Response:
        if chosen := request.query_params.get(LANGUAGE, ""):
            return _choose(request, chosen)
        if self.door.admits(request.cookies.get(COOKIE, "")):
            return RedirectResponse(f"/{self.steps.next()}", 303)
        return self._door(request)

    async def code(self, request: Request) -> Response:
        token, form = request.cookies.get(COOKIE, ""), form_of(await request.body())
        if not self.door.proves(token, form.get("proof", "")):
            return self._door(request, status=403, error=self._says(request, "refused.form"))
        outcome = self.door.enter(form.get("code", "")[:64])
        if outcome.refusal is None:
            self.steps.began()
            return _with_cookie(RedirectResponse(f"/{self.steps.next()}", 303), COOKIE, outcome.token)
        if outcome.closes:
            self.steps.closed(outcome.refusal)
        error = self._says(request, f"code.{outcome.refusal}", seconds=round(outcome.wait + 0.5))
        return self._door(request, status=429 if outcome.wait else 403, error=error)

    async def claim(self, request: Request) -> Response:
        return RedirectResponse("/aim", 303) if self.steps.enrolled else self._step(request, "claim")

    async def enrol(self, request: Request, form: Form) -> Response:
        try:
            await run_in_threadpool(self.steps.enrol, form.get("claim", ""))
        except VidikError as error:
            return self._step(request, "claim", 422, cause=str(error))
        return RedirectResponse("/aim", 303)

    async def aim(self, request: Request) -> Response:
        return self._step(request, "aim") if self.steps.enrolled else RedirectResponse("/claim", 303)

    async def aimed(self, _: Request, __: Form) -> Response:
        self.steps.aimed = True
        return RedirectResponse("/draw", 303)

    async def draw(self, request: Request) -> Response:
        if not self.steps.enrolled:
            return RedirectResponse("/claim", 303)
        return self._step(request, "draw", drawing=msgspec.to_builtins(self.steps.drawing()))

    async def drawn(self, request: Request, form: Form) -> Response:
        text = form.get("drawing", "").encode()
        try:
            await run_in_threadpool(self.steps.draw, text)
        except VidikError as error:
            try:
                again = msgspec.to_builtins(drawing.parse(text))
            except VidikError:
                again = msgspec.to_builtins(self.steps.drawing())
            return self._step(request, "draw", 422, cause=str(error), drawing=again)
        return RedirectResponse("/checks", 303)

    async def checks(self, request: Request) -> Response:
        return self._step(request, "checks") if self.steps.enrolled else RedirectResponse("/claim", 303)

    async def state(self, request: Request) -> Response:
        says = render.fill(words(_language(request)))
        results = await run_in_threadpool(self.steps.check)
        found = [
            {
                "name": result.name, "state": result.state, "title": says(f"check.{result.name}"),
                "text": says(f"check.{result.says}", **result.facts),
            }
            for result in results
        ]  # fmt: skip
        return JSONResponse(found)

    async def again(self, _: Request, __: Form) -> Response:
        await run_in_threadpool(self.steps.send_again)
        return RedirectResponse("/checks", 303)

    async def seal(self, request: Request, _: Form) -> Response:
        try:
            sealed = await run_in_threadpool(self.steps.seal)
        except VidikError as error:
            return self._step(request, "checks", 500, cause=str(error))
        if not sealed:
            return self._step(request, "checks", 409, cause="")
        self.door.shut()
        self.finish()
        return self._page(request, "sealed")

    async def measures(self, request: Request) -> Response:
        scan = request.query_params.get("scan") == "1" and not self.steps.enrolled
        measures, claim = await run_in_threadpool(self.steps.measures, scan)
        shown = msgspec.to_builtins(measures)
        shown["claim"] = claim
        return JSONResponse(shown)

    async def preview(self, _: Request) -> Response:
        picture = await run_in_threadpool(self.steps.preview)
        return Response(picture, media_type="image/jpeg") if picture else Response(status_code=503)

    async def static(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        if name not in _STATIC:
            return Response(status_code=404)
        content = (resources.files("edge.setup") / "static" / name).read_bytes()
        return Response(content, media_type=_STATIC[name])

    async def failed(self, request: Request, error: Exception) -> Response:
        _log.error("failed path=%s %s", request.url.path, error)
        return self._page(request, "refused", 500, says=str(error))

    async def missing(self, request: Request, _: Exception) -> Response:
        return self._refused(request, "refused.missing", 404)

    def _door(self, request: Request, status: int = 200, error: str = "") -> Response:
        token = request.cookies.get(COOKIE, "")[:64] or secrets.token_urlsafe(32)
        answer = self._page(request, "code", status, token=token, error=error)
        return _with_cookie(answer, COOKIE, token)

    def _step(self, request: Request, name: str, status: int = 200, **shown: Any) -> Response:
        shown = {"cause": None, "number": _NUMBERS[name], **shown}
        return self._page(request, name, status, **shown)

    def _refused(self, request: Request, key: str, status: int) -> Response:
        return self._page(request, "refused", status, says=self._says(request, key))

    def _page(self, request: Request, name: str, status: int = 200, token: str = "", **shown: Any) -> Response:
        language = _language(request)
        proof = self.door.proof(token or request.cookies.get(COOKIE, ""))
        html = render.page(
            name, language, words(language), proof=proof, left=round(self.door.left), camera=self.steps.name,
            **{"number": 0, **shown},
        )  # fmt: skip
        return HTMLResponse(html, status)

    @staticmethod
    def _says(request: Request, key: str, **facts: object) -> str:
        return render.fill(words(_language(request)))(key, **facts)


def _language(request: Request) -> str:
    return wanted(request.headers.get("accept-language", ""), request.cookies.get(LANGUAGE, ""))


def _choose(request: Request, chosen: str) -> Response:
    return _with_cookie(RedirectResponse(request.url.path, 303), LANGUAGE, wanted("", chosen))


def _with_cookie(answer: Response, name: str, value: str) -> Response:
    answer.set_cookie(name, value, path="/", secure=True, httponly=True, samesite="strict")
    return answer


async def _too_long(_: Request, __: Exception) -> Response:
    return Response(status_code=413)


def form_of(body: bytes) -> Form:
    """The fields of a form, each once; nothing when it is none."""
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, strict_parsing=True, max_num_fields=8)
    except ValueError:
        return {}
    return {name: values[0] for name, values in fields.items()}
