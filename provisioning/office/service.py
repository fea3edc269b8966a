"""The enrolment service: EST (RFC 7030) and, beside it, what a camera needs besides certificates. Uses Starlette.

    GET  /.well-known/est/cacerts                      the deployment's CAs
    POST /.well-known/est/connection/simpleenroll      HTTP Basic: camera id and the claim's secret
    POST /.well-known/est/signing/simpleenroll
    POST /.well-known/est/{connection,signing}/simplereenroll   with the camera's connection certificate
    GET  /vidik/v1/deployment                          either: broker, recipients and trust file
    GET  /vidik/v1/crl                                 the revocation list, for brokers
    /vidik/v1/update                                   updates.py

An EST client that knows no labels gets a connection certificate.
"""

from __future__ import annotations

import base64
import binascii
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from edge.errors import VidikError
from provisioning.office import est
from provisioning.office.folder import Office
from provisioning.office.limit import FailureLimit
from provisioning.office.registrar import CONNECTION, PURPOSES, Refused, Registrar
from provisioning.office.rollouts import Rollouts
from provisioning.office.updates import Updates

PEER = "vidik.peer"  # the key of a request's scope under which the client's certificate (DER) lies, if it has one
_log = logging.getLogger("vidik.enrol")

Endpoint = Callable[[Request], Awaitable[Response]]


def application(office: Office, registrar: Registrar, rollouts: Rollouts) -> Starlette:
    """The service of ``office`` as an ASGI application. Raises ``VidikError`` when the office is not complete."""
    service = _Service(office, registrar, office.checked_trust())
    prefix = est.PREFIX
    routes = [
        Route(f"{prefix}/cacerts", service.guarded(service.authorities)),
        Route(f"{prefix}/simpleenroll", service.guarded(service.enrol), methods=["POST"]),
        Route(f"{prefix}/simplereenroll", service.guarded(service.renew), methods=["POST"]),
        Route(prefix + "/{label}/cacerts", service.guarded(service.authorities)),
        Route(prefix + "/{label}/simpleenroll", service.guarded(service.enrol), methods=["POST"]),
        Route(prefix + "/{label}/simplereenroll", service.guarded(service.renew), methods=["POST"]),
        Route("/vidik/v1/deployment", service.guarded(service.deployment)),
        Route("/vidik/v1/crl", service.guarded(service.revoked)),
        *Updates(rollouts, registrar, office.bundles, lambda request: request.scope.get(PEER)).routes(service.guarded),
    ]
    return Starlette(routes=routes)


@dataclass
class _Service:
    office: Office
    registrar: Registrar
    trust: bytes
    limit: FailureLimit = field(default_factory=FailureLimit)

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """``endpoint`` with refusals turned into answers, put down, and limited."""

        async def answer(request: Request) -> Response:
            source = request.client.host if request.client is not None else ""
            wait = self.limit.wait(source, time.monotonic())
            if wait > 0.0:
                return PlainTextResponse("Too many failures.\n", 429, {"Retry-After": str(int(wait) + 1)})
            try:
                return await endpoint(request)
            except Refused as refusal:
                self.limit.failed(source, time.monotonic())
                camera = _user(request)[0][:64]
                _log.warning("refused source=%s camera=%r status=%d", source, camera, refusal.status)
                await run_in_threadpool(self.registrar.refuse, camera, source, refusal)
                demand = {"WWW-Authenticate": 'Basic realm="vidik"'} if refusal.status == 401 else {}
                return PlainTextResponse(f"{refusal}\n", refusal.status, demand)
            except VidikError as error:  # ours to mend, and none of the client's business
                _log.error("failed source=%s error=%s", source, error)
                return PlainTextResponse("The service cannot answer now. Try again.\n", 503, {"Retry-After": "5"})

        return answer

    async def authorities(self, _: Request) -> Response:
        found = x509.load_pem_x509_certificates(self.office.ca.read_bytes())
        return _certificates(found)

    async def enrol(self, request: Request) -> Response:
        purpose, wanted = _purpose(request), await _requested(request)
        camera, secret = _user(request)
        return _certificates([await run_in_threadpool(self.registrar.enrol, camera, secret, purpose, wanted)])

    async def renew(self, request: Request) -> Response:
        purpose, wanted = _purpose(request), await _requested(request)
        peer = request.scope.get(PEER)
        if peer is None:
            raise Refused(403, "A renewal needs the camera's connection certificate. Enrol with a new claim.")
        return _certificates([await run_in_threadpool(self.registrar.renew, peer, purpose, wanted)])

    async def deployment(self, request: Request) -> Response:
        peer = request.scope.get(PEER)
        if peer is not None:  # an enrolled camera, which has no claim any more
            await run_in_threadpool(self.registrar.camera_of, peer)
        else:
            await run_in_threadpool(self.registrar.check, *_user(request))
        return JSONResponse(await run_in_threadpool(self.office.deployment, self.trust))

    async def revoked(self, _: Request) -> Response:
        der = x509.load_pem_x509_crl(self.office.crl.read_bytes()).public_bytes(Encoding.DER)
        return Response(der, media_type="application/pkix-crl")


def _certificates(certificates: list[x509.Certificate]) -> Response:
    headers = {"Content-Transfer-Encoding": "base64"}
    return Response(est.answer(certificates), headers=headers, media_type=est.CERTS_ONLY)


def _purpose(request: Request) -> str:
    label = str(request.path_params.get("label", CONNECTION))
    if label not in PURPOSES:
        raise Refused(404, f"There is no {label[:32]!r} here, only {' and '.join(PURPOSES)}.")
    return label


async def _requested(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > est.LARGEST:
            raise Refused(413, f"A request is at most {est.LARGEST} bytes.")
    try:
        return est.request(body)
    except ValueError as error:
        raise Refused(400, f"That is no certificate request: {error}.") from error


def _user(request: Request) -> tuple[str, str]:
    """Camera id and secret of the Authorization header, empty where there is none."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return "", ""
    try:
        camera, _, secret = base64.b64decode(encoded, validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return camera, secret
