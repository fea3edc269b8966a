"""The camera's private keys: made on the camera, never sent anywhere. In a TPM where there is one, else in files of
mode 0600."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from cryptography.x509.oid import NameOID

from edge import durable, tpm
from edge.enrol.errors import EnrolError
from edge.tpm import TpmError

_ECDSA_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")  # AlgorithmIdentifier without parameters, RFC 5758
Where = Literal["auto", "file", "tpm"]
_log = logging.getLogger("vidik.enrol")


class Key(Protocol):
    """A private key on P-256, wherever it is. Methods raise ``EnrolError``."""

    def public_key(self) -> ec.EllipticCurvePublicKey: ...

    def request(self, camera: str) -> bytes:
        """A certificate request for ``camera`` (PKCS #10, DER), which proves that its sender holds the key."""


class FileKey:
    """A key that lies in a file."""

    def __init__(self, path: Path) -> None:
        key = load_pem_private_key(path.read_bytes(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise EnrolError(f"The key {path} is not a P-256 key. Reset the camera and enrol it with a new claim.")
        self._key = key

    @staticmethod
    def make() -> bytes:
        """A new one as PEM."""
        made = ec.generate_private_key(ec.SECP256R1())
        return made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public_key(self) -> ec.EllipticCurvePublicKey:
        return self._key.public_key()

    def request(self, camera: str) -> bytes:
        made = x509.CertificateSigningRequestBuilder().subject_name(_name(camera)).sign(self._key, hashes.SHA256())
        return made.public_bytes(Encoding.DER)


class TpmKey:
    """A key that never leaves the TPM; the file holds what this TPM alone can load again."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @staticmethod
    def make() -> bytes:
        """A new one as PEM, wrapped."""
        return tpm.make()

    def public_key(self) -> ec.EllipticCurvePublicKey:
        try:
            key = load_der_public_key(tpm.public_key(self._path))
        except (TpmError, ValueError) as error:
            raise EnrolError(f"The key {self._path} is of no use. {error} Another board needs a new claim.") from error
        assert isinstance(key, ec.EllipticCurvePublicKey)  # as it was made
        return key

    def request(self, camera: str) -> bytes:
        # by hand, since cryptography signs with none but its own keys; and the requests that the openssl command makes
        # with tpm2-openssl 1.1 give the algorithm a parameter that RFC 5758 forbids
        key = self.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        wanted = _sequence(b"\x02\x01\x00" + _name(camera).public_bytes() + key + b"\xa0\x00")
        try:
            signature = tpm.sign(self._path, wanted)
        except TpmError as error:
            raise EnrolError(f"The key {self._path} cannot sign. {error} Another board needs a new claim.") from error
        return _sequence(wanted + _ECDSA_SHA256 + _tagged(0x03, b"\x00" + signature))


def at(path: Path, where: Where = "file") -> Key:
    """The key in ``path``, be it in a file or in the TPM; if there is none, a new one, by then on the medium.

    ``where`` a new one is made: ``auto`` is the TPM if there is one that can be used. Raises ``EnrolError``.
    """
    try:
        if not path.exists():
            durable.write(path, (TpmKey if _in_tpm(where) else FileKey).make(), mode=0o600)
        return TpmKey(path) if tpm.holds(path.read_bytes()) else FileKey(path)
    except TpmError as error:
        raise EnrolError(f"No key can be made in the TPM. {error} Or choose files: --keys file.") from error
    except (OSError, ValueError, TypeError) as error:
        raise EnrolError(f"The key {path} cannot be kept or read: {error}. Check the data partition.") from error


def _name(camera: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, camera)])


def _sequence(content: bytes) -> bytes:
    return _tagged(0x30, content)


def _tagged(tag: int, content: bytes) -> bytes:
    """DER; a length from 128 on is told by how many bytes it takes."""
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    length = size if len(content) < 128 else bytes([0x80 | len(size)]) + size
    return bytes([tag]) + length + content


def _in_tpm(where: Where) -> bool:
    if where == "auto" and tpm.present() and not tpm.usable():
        _log.warning("tpm-unused: OpenSSL cannot use it, so the key goes into a file. Is tpm2-openssl installed?")
        return False
    return where == "tpm" or (where == "auto" and tpm.present())
