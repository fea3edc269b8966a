"""The certificate of the camera's signing key, which is renewed while vision runs: the key stays, nothing restarts."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edge.clock import Clock
from edge.errors import VidikError
from edge.renewal import Renewal
from edge.signing import KeySigner

_EVERY = 5.0  # seconds between two looks
_DAY = 86400
_log = logging.getLogger(__name__)


class Certified:
    """A signer for ``key`` whose certificate is the one in ``path``, also after that was renewed.

    Raises ``VidikError`` when there is none at the start.
    """

    def __init__(self, key: ec.EllipticCurvePrivateKey, path: Path, clock: Clock) -> None:
        self._key, self._path, self._clock = key, path, clock
        self._renewal = Renewal([path])
        certificate = read(path)
        self.signer = KeySigner(key, certificate)
        self._ends = certificate.not_valid_after_utc.timestamp()
        self._trouble = ""
        self._next = float("-inf")

    def tick(self) -> None:
        """Takes a renewed certificate. Call often, it is cheap."""
        now = self._clock.monotonic()
        if now < self._next:
            return
        self._next = now + _EVERY
        if self._renewal.happened():
            self._take()

    def _take(self) -> None:
        try:
            renewed = read(self._path)
        except VidikError as error:
            self._trouble = str(error)
            return
        if renewed.public_key() != self._key.public_key():
            self._trouble = f"the certificate {self._path} is not of the key in use: a new start is needed"
            return
        self._trouble = ""
        self._ends = renewed.not_valid_after_utc.timestamp()
        self.signer.certify(renewed)
        _log.info("renewed certificate, %d days", self.days)

    @property
    def days(self) -> int:
        """For how many days it still holds."""
        return int((self._ends - self._clock.wall()) // _DAY)

    def facts(self) -> Mapping[str, Any]:
        """For the health."""
        return {"certificate_days": self.days}

    def troubles(self) -> list[str]:
        """What a person should know."""
        return [self._trouble] if self._trouble else []


def read(path: Path) -> x509.Certificate:
    """The certificate in the PEM file ``path``. Raises ``VidikError``."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise VidikError(f"The certificate {path} cannot be read: {error}. Provision the camera again.") from error
