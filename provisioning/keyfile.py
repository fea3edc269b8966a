"""Keys of people: made offline, kept in encrypted PEM (PKCS #8, PBES2).

The private key is encrypted with AES-256-CBC under PBKDF2-HMAC-SHA256 of the passphrase. The library writes
that form with few rounds only, so the envelope (RFC 8018 appendix A) is put together here; reading it back is
the library's own work.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edge.errors import VidikError
from provisioning import passphrase, pki

ROUNDS = 600_000  # of PBKDF2-HMAC-SHA256: the figure of OWASP's Password Storage Cheat Sheet, 2023
SHORTEST = 12  # characters of a passphrase
PrivateKey = ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey

# DER of the object identifiers, RFC 8018 and RFC 5754
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC = bytes.fromhex("060960864801650304012a")
_SEQUENCE, _OCTETS, _INTEGER, _NULL = 0x30, 0x04, 0x02, b"\x05\x00"


class KeyFileError(VidikError):
    """A key file that cannot be made or used."""


def save(key: PrivateKey, path: Path, secret: str) -> None:
    """Writes ``key`` to a new file. Raises ``KeyFileError``; an existing file is never overwritten."""
    if path.exists():
        raise KeyFileError(f"{path} exists already. Choose another name: a key that is gone cannot be made again.")
    if len(secret) < SHORTEST:
        raise KeyFileError(f"The passphrase has {len(secret)} characters. Use {SHORTEST} or more, best several words.")
    pki.write(path, encrypt(key, secret), mode=0o600)


def load(path: Path, passphrase_file: Path | None) -> ec.EllipticCurvePrivateKey:
    """The signer's key in ``path``; its passphrase is only asked for when it has one. Raises ``KeyFileError``."""
    try:
        content = path.read_bytes()
        secret = passphrase.ask(f"the key {path}", passphrase_file).encode() if is_encrypted(content) else None
        key = serialization.load_pem_private_key(content, password=secret)
    except OSError as error:
        raise KeyFileError(f"The key {path} cannot be read: {error.strerror}. Check the path.") from error
    except passphrase.PassphraseError:
        raise
    except Exception as error:  # the library tells a wrong passphrase by several types
        raise KeyFileError(f"The key {path} cannot be opened: wrong passphrase, or not a private key.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise KeyFileError(f"The key {path} is not a signer's, which is on the curve P-256. Name another file.")
    return key


def is_encrypted(content: bytes) -> bool:
    """Whether a PEM file asks for a passphrase."""
    return b"BEGIN ENCRYPTED PRIVATE KEY" in content


def encrypt(key: PrivateKey, given: str) -> bytes:
    """``key`` as encrypted PKCS #8 in PEM."""
    salt, vector = os.urandom(16), os.urandom(16)
    secret = PBKDF2HMAC(hashes.SHA256(), 32, salt, ROUNDS).derive(given.encode())
    padder = padding.PKCS7(128).padder()
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    encryptor = Cipher(algorithms.AES(secret), modes.CBC(vector)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    rounds = ROUNDS.to_bytes(4, "big").lstrip(b"\0")
    derivation = _der(_SEQUENCE, _der(_OCTETS, salt), _der(_INTEGER, rounds), _der(_SEQUENCE, _HMAC_SHA256, _NULL))
    scheme = _der(_SEQUENCE, _AES256_CBC, _der(_OCTETS, vector))
    parameters = _der(_SEQUENCE, _der(_SEQUENCE, _PBKDF2, derivation), scheme)
    body = base64.encodebytes(_der(_SEQUENCE, _der(_SEQUENCE, _PBES2, parameters), _der(_OCTETS, sealed)))
    lines = body.replace(b"\n", b"")
    wrapped = b"\n".join(lines[at : at + 64] for at in range(0, len(lines), 64))
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n" + wrapped + b"\n-----END ENCRYPTED PRIVATE KEY-----\n"


def public_der(key: ec.EllipticCurvePublicKey) -> str:
    """A signer's public key as a trust file wants it: base64 of DER."""
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def _der(tag: int, *parts: bytes) -> bytes:
    """A value of ASN.1 in DER."""
    content = b"".join(parts)
    if len(content) < 128:
        return bytes((tag, len(content))) + content
    size = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(size))) + size + content
