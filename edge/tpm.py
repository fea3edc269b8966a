"""Keys in a TPM 2.0, through OpenSSL's tpm2 provider (tpm2-openssl): made there, used there, never on the disk.

What lies on the disk is a "TSS2 PRIVATE KEY" (draft-bottomley-tpm2-keys): the key wrapped by this very TPM, useless to
another one. Two use it: the ``openssl`` command, which makes keys and signs with them, and Python's ``ssl``, whose
OpenSSL is told here to load the provider. The ``cryptography`` package brings an OpenSSL of its own, which knows
nothing of all this; and a command for every signature is too slow for reports, so these keys sign TLS handshakes and
requests.
"""

from __future__ import annotations

import ctypes
import os
import ssl
import subprocess
from functools import cache
from pathlib import Path

from edge.errors import VidikError

DEVICE = Path("/dev/tpmrm0")  # the kernel's resource manager, so that processes do not fill the TPM's few slots
LABEL = b"-----BEGIN TSS2 PRIVATE KEY-----"
_ACCESS = "TPM2OPENSSL_TCTI"  # how the provider reaches the TPM
_SECONDS = 60.0
# all that the key does is done in the TPM; what has nothing to do with it is not, as far as the provider can tell
_PREFERENCE = "?provider=tpm2,tpm2.digest!=yes,tpm2.cipher!=yes"
_PROVIDERS = ("-provider", "tpm2", "-provider", "default", "-propquery", "?provider=tpm2")


class TpmError(VidikError):
    """The TPM, or the provider for it, does not do what it should."""


def present() -> bool:
    """Whether this machine has a TPM 2.0 that may be used."""
    return os.access(DEVICE, os.R_OK | os.W_OK)


def usable() -> bool:
    """Whether the ``openssl`` command can use the TPM."""
    try:
        _openssl("rand", "-hex", "1")
    except TpmError:
        return False
    return True


def holds(key: bytes) -> bool:
    """Whether ``key`` (PEM) is one that a TPM has wrapped."""
    return key.lstrip().startswith(LABEL)


def make() -> bytes:
    """A new P-256 key as PEM, wrapped by the TPM. Raises ``TpmError``."""
    return _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "group:P-256")


def sign(path: Path, content: bytes) -> bytes:
    """ECDSA with SHA-256 over ``content`` in the TPM, by the key in ``path``; DER. Raises ``TpmError``."""
    return _openssl("dgst", "-sha256", "-sign", str(path), given=content)


def public_key(path: Path) -> bytes:
    """The public key (DER SubjectPublicKeyInfo) of the key in ``path``. Raises ``TpmError``."""
    return _openssl("pkey", "-in", str(path), "-pubout", "-outform", "DER")


@cache
def activate() -> None:
    """From now on Python's ``ssl`` can use keys that the TPM has wrapped, in this process. Raises ``TpmError``.

    Signatures and their checks then happen in the TPM. It leaves no elliptic curve of NIST's for TLS 1.2, so 1.3 is
    needed.
    """
    _choose_access()
    library = ctypes.CDLL(_library())
    library.OSSL_PROVIDER_load.restype = ctypes.c_void_p
    library.OSSL_PROVIDER_load.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.EVP_set_default_properties.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    for provider in (b"tpm2", b"default"):
        if not library.OSSL_PROVIDER_load(None, provider):
            raise TpmError(
                f"OpenSSL's provider {provider.decode()} cannot be loaded. Is the package tpm2-openssl installed, and "
                f"may this process use {os.environ[_ACCESS]}?"
            )
    if not library.EVP_set_default_properties(None, _PREFERENCE.encode()):
        raise TpmError("OpenSSL cannot be told to use the TPM. Start the process again.")


def _library() -> str:
    """The libcrypto that Python's ``ssl`` uses, to which the provider must be added and to no other."""
    assert ssl.OPENSSL_VERSION  # loaded by now
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith("libcrypto.so.3"):
            return f"/{path}"
    raise TpmError("This Python brings an OpenSSL of its own, which cannot use a TPM. Use the system's Python.")


def _openssl(command: str, *options: str, given: bytes = b"") -> bytes:
    _choose_access()
    try:
        done = subprocess.run(
            ["openssl", command, *_PROVIDERS, *options], input=given, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TpmError(f"The openssl command cannot be used: {error}. Install openssl and tpm2-openssl.") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["nothing"]
        raise TpmError(f"The TPM cannot be used (openssl {command}): {said[0][:300]}. Is tpm2-openssl installed?")
    return done.stdout


def _choose_access() -> None:
    os.environ.setdefault(_ACCESS, f"device:{DEVICE}")
