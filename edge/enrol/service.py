"""What a camera asks of an enrolment service, whatever is in between."""

from __future__ import annotations

from typing import Any, Protocol

from cryptography import x509


class Service(Protocol):
    """An enrolment service, as the camera sees it. Methods raise ``EnrolError``, or ``TryLater``."""

    def authorities(self) -> list[x509.Certificate]:
        """The deployment's CAs, in any order."""

    def enrol(self, purpose: str, request: bytes) -> x509.Certificate:
        """A certificate for ``request`` (PKCS #10, DER), by the claim."""

    def renew(self, purpose: str, request: bytes) -> x509.Certificate:
        """The same, by the certificate in force."""

    def deployment(self) -> dict[str, Any]:
        """What a camera needs besides certificates, by the claim or by the certificate in force.

        ``broker`` and ``enrol`` (host, port), ``trust`` (TOML), ``recipients`` (public keys of those who open reports,
        by name).
        """

    def close(self) -> None: ...
