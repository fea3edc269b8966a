"""Where the broker is, and the files for mutual TLS with it."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from edge import tpm
from edge.errors import VidikError


class AddressError(VidikError):
    """The keys or certificates for the connection are missing or unusable."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the broker is, and the files that prove who both sides are."""

    host: str
    port: int
    ca: Path
    certificate: Path
    key: Path

    def tls(self) -> ssl.SSLContext:
        """Mutual TLS, 1.2 or later (with a key in a TPM: 1.3), host name checked. Raises ``AddressError`` naming the
        file to mend."""
        for file in (self.ca, self.certificate, self.key):
            if not file.is_file():
                raise AddressError(f"The file {file} for the connection to the broker is missing. Provision it first.")
        try:
            in_tpm = tpm.holds(self.key.read_bytes())
            if in_tpm:
                tpm.activate()
            context = ssl.create_default_context(cafile=str(self.ca))
            context.minimum_version = ssl.TLSVersion.TLSv1_3 if in_tpm else ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError, tpm.TpmError) as error:
            raise AddressError(
                f"The certificate {self.certificate}, its key {self.key} or the CA {self.ca} cannot be used: {error}. "
                "Provision them again."
            ) from error
        return context
