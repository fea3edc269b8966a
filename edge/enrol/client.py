"""The network side of enrolment, and of updates: EST (RFC 7030) over HTTPS. The only user of http.client.

The standard library, because a camera should carry no more than it needs, and because it lets us look at the
server's certificate after the handshake and before the first byte of a request: that is where a pin is checked.
"""

from __future__ import annotations

import base64
import hmac
import json
import ssl
from collections.abc import Iterator
from http.client import HTTPException, HTTPSConnection
from typing import Any, NoReturn

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from edge.address import Address
from edge.enrol.claim import Claim, pin_of
from edge.enrol.errors import EnrolError, TryLater
from edge.enrol.service import Service

_SECONDS = 30.0
_LARGEST = 256 << 10  # bytes of an answer
_CHUNK = 1 << 16  # bytes read at a time of what may be long
_LATER = (408, 425, 429, 500, 502, 503, 504)
_REQUEST = {"Content-Type": "application/pkcs10", "Content-Transfer-Encoding": "base64"}


class HttpService:
    """An enrolment service over one connection; nothing is sent on another. Raises as ``Service`` does."""

    def __init__(self, connection: HTTPSConnection, claim: Claim | None) -> None:
        self._connection = connection
        self._claim = claim
        try:
            connection.connect()
            if claim is not None:
                _check_pin(connection, claim)
        except (OSError, HTTPException) as error:
            connection.close()
            raise _unreachable(connection, error) from error
        except EnrolError:
            connection.close()
            raise
        connection.auto_open = 0  # a connection that ends is not replaced by one whose pin nobody has checked

    def authorities(self) -> list[x509.Certificate]:
        return self._certificates("GET", "/.well-known/est/cacerts", b"", {})

    def enrol(self, purpose: str, request: bytes) -> x509.Certificate:
        headers = _REQUEST | self._authorization()
        return self._one(f"/.well-known/est/{purpose}/simpleenroll", request, headers)

    def renew(self, purpose: str, request: bytes) -> x509.Certificate:
        return self._one(f"/.well-known/est/{purpose}/simplereenroll", request, _REQUEST)

    def deployment(self) -> dict[str, Any]:
        headers = self._authorization() if self._claim is not None else {}
        content = self._ask("GET", "/vidik/v1/deployment", b"", headers)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise EnrolError(f"The enrolment service's answer is no JSON: {error}. Tell the office.") from error
        if not isinstance(found, dict):
            raise EnrolError("The enrolment service's answer is of another form. Tell the office.")
        return found

    def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The answer to a request that is not EST's, of at most 256 KiB."""
        return self._ask(method, path, body, {"Content-Type": "application/json"} if body else {})

    def stream(self, path: str, begin: int) -> Iterator[bytes]:
        """What lies at ``path``, from its byte ``begin`` on, in pieces; whoever wants no more of it closes the service.

        Raises ``TryLater`` also in the middle: what came until then is good, and the rest can be asked for.
        """
        try:
            self._connection.request("GET", path, None, {"Range": f"bytes={begin}-"} if begin else {})
            answer = self._connection.getresponse()
            if answer.status not in (200, 206):
                _refuse(answer.status, answer.read(_LARGEST))
            if (answer.status == 206) != (begin > 0):
                raise EnrolError("The enrolment service sent another part than was asked for. Tell the office.")
            while piece := answer.read(_CHUNK):
                yield piece
        except (OSError, HTTPException) as error:
            raise _unreachable(self._connection, error) from error
        if answer.length:
            raise _unreachable(self._connection, HTTPException("it ended in the middle of its answer"))

    def close(self) -> None:
        self._connection.close()

    def _authorization(self) -> dict[str, str]:
        assert self._claim is not None  # asked for only where there is one
        token = base64.b64encode(f"{self._claim.camera}:{self._claim.secret}".encode()).decode()
        return {"Authorization": f"Basic {token}"}

    def _one(self, path: str, request: bytes, headers: dict[str, str]) -> x509.Certificate:
        found = self._certificates("POST", path, base64.encodebytes(request), headers)
        if len(found) != 1:
            raise EnrolError(f"The enrolment service sent {len(found)} certificates instead of one. Tell the office.")
        return found[0]

    def _certificates(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> list[x509.Certificate]:
        content = self._ask(method, path, body, headers)
        try:
            return pkcs7.load_der_pkcs7_certificates(base64.b64decode(b"".join(content.split()), validate=True))
        except Exception as error:  # hostile content makes the library raise errors of many types
            raise EnrolError(f"The enrolment service sent no certificates ({type(error).__name__}).") from error

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        try:
            self._connection.request(method, path, body or None, headers)
            answer = self._connection.getresponse()
            content = answer.read(_LARGEST + 1)
        except (OSError, HTTPException) as error:
            raise _unreachable(self._connection, error) from error
        # reading says nothing of an answer that ends too early, so what is left of its announced length is looked at
        if not (answer.chunked or answer.length == 0) and len(content) <= _LARGEST:
            raise _unreachable(self._connection, HTTPException("it ended in the middle of its answer"))
        if answer.status != 200:
            _refuse(answer.status, content)
        if len(content) > _LARGEST:
            raise EnrolError("The enrolment service's answer is too long. Tell the office.")
        return content


def by_claim(claim: Claim) -> Service:
    """Connects to the service that ``claim`` pins. Raises ``EnrolError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # no CA is known yet: the pin takes its place, before anything is sent
    return HttpService(HTTPSConnection(claim.host, claim.port, timeout=_SECONDS, context=context), claim)


def by_certificate(address: Address) -> HttpService:
    """Connects with the identity in force, to a service that the deployment's CA vouches for. Raises ``VidikError``."""
    connection = HTTPSConnection(address.host, address.port, timeout=_SECONDS, context=address.tls())
    return HttpService(connection, None)


def _refuse(status: int, content: bytes) -> NoReturn:
    if status in _LATER:
        raise TryLater(f"The enrolment service has no time now (status {status}). Trying again helps.")
    said = content[:300].decode("utf-8", "replace").strip()
    raise EnrolError(f"The enrolment service refused ({status}): {said}")


def _check_pin(connection: HTTPSConnection, claim: Claim) -> None:
    der = connection.sock.getpeercert(binary_form=True)
    key = x509.load_der_x509_certificate(der or b"").public_key()
    pin = pin_of(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    if not hmac.compare_digest(pin, claim.pin):
        raise EnrolError(
            f"What answers at {claim.host}:{claim.port} is not the enrolment service of the claim. Nothing was sent. "
            "Check the address, and who else is on this network."
        )


def _unreachable(connection: HTTPSConnection, error: Exception) -> TryLater:
    where = f"{connection.host}:{connection.port}"
    return TryLater(f"The enrolment service {where} cannot be reached: {error}. Check network and address.")
