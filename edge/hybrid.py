"""Post-quantum hybrid encryption to one recipient: HPKE (RFC 9180) with the KEM MLKEM768-X25519, which holds as long
as either ML-KEM-768 (FIPS 203) or X25519 does; HKDF-SHA256 and AES-256-GCM.

A ciphertext is 1,088 bytes longer than with X25519 alone, which is why it is an option and not the rule.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from edge.errors import VidikError

PUBLIC_BYTES = 1184 + 32
PRIVATE_BYTES = 64 + 32
ENCAPSULATED_BYTES = 1088 + 32
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class HybridError(VidikError):
    """A hybrid key or ciphertext cannot be used."""


@dataclass(frozen=True, slots=True)
class HybridPublicKey:
    """``raw``: the ML-KEM-768 encapsulation key, then the X25519 public key."""

    raw: bytes

    @property
    def kid(self) -> bytes:
        """The 8 bytes that name this key: the start of the SHA-256 of ``raw``."""
        return hashlib.sha256(self.raw).digest()[:8]

    def encrypt(self, plaintext: bytes, info: bytes) -> tuple[bytes, bytes]:
        """The encapsulated key and the ciphertext; ``info`` must be known to decrypt. Raises ``HybridError``."""
        try:
            kem = mlkem.MLKEM768PublicKey.from_public_bytes(self.raw[:-32])
            curve = x25519.X25519PublicKey.from_public_bytes(self.raw[-32:])
            both = _SUITE.encrypt(plaintext, hpke.MLKEM768X25519PublicKey(kem, curve), info=info)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise HybridError(f"The hybrid key cannot be used: {error}. Ask its owner for another.") from error
        return both[:ENCAPSULATED_BYTES], both[ENCAPSULATED_BYTES:]


@dataclass(frozen=True, slots=True)
class HybridPrivateKey:
    """``raw``: the seed of the ML-KEM-768 key (64 bytes), then the X25519 private key."""

    raw: bytes

    @classmethod
    def generate(cls) -> HybridPrivateKey:
        """A fresh key."""
        kem, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
        return cls(kem.private_bytes_raw() + curve.private_bytes_raw())

    def public_key(self) -> HybridPublicKey:
        """The key to give to authorities."""
        kem, curve = self._parts()
        return HybridPublicKey(kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw())

    def decrypt(self, encapsulated: bytes, ciphertext: bytes, info: bytes) -> bytes:
        """What ``HybridPublicKey.encrypt`` was given. Raises ``HybridError``."""
        try:
            key = hpke.MLKEM768X25519PrivateKey(*self._parts())
            return _SUITE.decrypt(encapsulated + ciphertext, key, info=info)
        except (ValueError, InvalidTag) as error:
            raise HybridError("The hybrid ciphertext does not belong to this key, or was changed.") from error

    def _parts(self) -> tuple[mlkem.MLKEM768PrivateKey, x25519.X25519PrivateKey]:
        kem = mlkem.MLKEM768PrivateKey.from_seed_bytes(self.raw[:-32])
        return kem, x25519.X25519PrivateKey.from_private_bytes(self.raw[-32:])
