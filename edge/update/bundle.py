"""RAUC's bundles of the format ``verity``, examined before RAUC is asked, so that a refusal names its cause.

A bundle is one file: a squashfs image in blocks of 4 KiB, the dm-verity hash tree over it, a CMS message (RFC 5652)
with the manifest inside, signed, and the length of that message in 8 bytes, big-endian. The manifest states the root of
the tree, so the signature covers every byte before it. RAUC has the kernel check the tree while it reads, when the slot
is being overwritten already; here the whole file is read once beforehand.
"""

from __future__ import annotations

import configparser
import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from edge.errors import VidikError

BLOCK = 4096  # bytes, of data and of the tree
_LARGEST_SIGNATURE = 64 << 10  # bytes
_SQUASHFS = b"hsqs"
_OF_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")  # DER of the object identifiers in RFC 5652
_OF_DATA = bytes.fromhex("06092a864886f70d010701")
_HASH = 32  # bytes of SHA-256


class BundleError(VidikError):
    """A bundle that is not installed; the message is the cause, one clause without a full stop."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What a bundle says, before anybody has verified it. ``signer``: its certificate; ``data``, ``tree``: bytes."""

    path: Path
    board: str
    version: str
    signer: x509.Certificate
    data: int
    tree: int
    root: bytes
    salt: bytes


def read(path: Path) -> Bundle:
    """What is in ``path``. Raises ``BundleError`` when it is not signed, not whole or no bundle; ``OSError``."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(48)
        if not head.startswith(_SQUASHFS) or len(head) < 48:
            raise BundleError("it is no bundle" if size else "it is empty")
        filled = -(-int.from_bytes(head[40:48], "little") // BLOCK) * BLOCK  # as it says itself
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(8), "big")
        message = b""
        if 0 < length <= min(_LARGEST_SIGNATURE, size - 8):
            file.seek(size - 8 - length)
            message = file.read(length)
    if not message or not _is_whole(message):
        if size < filled:
            raise BundleError(f"it is truncated: {size} bytes are there of more than {filled}")
        unsigned = size in (filled, filled + tree_size(filled))
        raise BundleError("it is not signed" if unsigned else "it is truncated: the signature at its end is missing")
    manifest, signer = _opened(message)
    return _described(path, size - 8 - length, manifest, signer)


def check_content(bundle: Bundle) -> None:
    """Raises ``BundleError`` unless every byte of the image and of its hash tree is what the manifest states."""
    levels = [b"".join(_hash(bundle.salt, block) for block in _blocks(bundle.path, bundle.data))]
    while len(levels[-1]) > _HASH:
        levels.append(b"".join(_hash(bundle.salt, block) for block in _cut(_padded(levels[-1]))))
    if levels.pop() != bundle.root:
        raise BundleError("its content was changed or damaged after it was signed")
    expected = b"".join(_padded(level) for level in reversed(levels))
    with bundle.path.open("rb") as file:
        file.seek(bundle.data)
        if file.read(bundle.tree) != expected:
            raise BundleError("its hash tree was changed or damaged after it was signed")


def tree_size(data: int) -> int:
    """How many bytes the hash tree over ``data`` bytes has."""
    total, blocks = 0, data // BLOCK
    while blocks > 1:
        blocks = -(-blocks * _HASH // BLOCK)
        total += blocks * BLOCK
    return total


def _described(path: Path, before: int, manifest: bytes, signer: x509.Certificate) -> Bundle:
    parsed = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
    try:
        parsed.read_string(manifest.decode("utf-8"))
        update, stated = parsed["update"], parsed["bundle"]
        form = stated.get("format", "plain")
        if form != "verity":
            raise BundleError(f"it has the format {form[:20]!r}; only 'verity' is taken")
        tree, root, salt = int(stated["verity-size"]), stated["verity-hash"], stated["verity-salt"]
        data = before - tree
        found = Bundle(
            path, update["compatible"], update["version"], signer, data, tree, bytes.fromhex(root),
            bytes.fromhex(salt),
        )  # fmt: skip
    except (configparser.Error, KeyError, ValueError) as error:
        raise BundleError(f"its manifest cannot be read ({type(error).__name__})") from error
    if data <= BLOCK or data % BLOCK or tree != tree_size(data):
        raise BundleError("it is truncated or damaged: it has another length than its manifest states")
    return found


def _opened(message: bytes) -> tuple[bytes, x509.Certificate]:
    """The content of a CMS message, and the one certificate in it."""
    try:
        outer = _inside(message, 0x30)
        signed = _inside(_inside(_after(outer, _OF_SIGNED_DATA), 0xA0), 0x30)
        _, signed = _split(signed, 0x02)
        _, signed = _split(signed, 0x31)
        content = _inside(_inside(_after(_inside(signed, 0x30), _OF_DATA), 0xA0), 0x04)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # the library takes more than DER, and warns of it
            certificates = pkcs7.load_der_pkcs7_certificates(message)
    except Exception as error:  # damaged content makes the library raise errors of many types
        raise BundleError("its signature is damaged, or of an unknown form") from error
    if len(certificates) != 1:
        raise BundleError(f"its signature carries {len(certificates)} certificates instead of the signer's alone")
    return content, certificates[0]


def _split(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the value of ASN.1 at the start of ``der``, and what follows it. Raises ``ValueError``."""
    if len(der) < 2 or der[0] != tag:
        raise ValueError("another value was expected")
    begin, length = 2, der[1]
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin], "big")
    if (begin == 2 and der[1] == 0x80) or len(der) < begin + length:
        raise ValueError("a value has no length, or is not whole")
    return der[begin : begin + length], der[begin + length :]


def _inside(der: bytes, tag: int) -> bytes:
    return _split(der, tag)[0]


def _after(der: bytes, start: bytes) -> bytes:
    if not der.startswith(start):
        raise ValueError("another type was expected")
    return der[len(start) :]


def _is_whole(message: bytes) -> bool:
    """Whether ``message`` is exactly one sequence of ASN.1."""
    try:
        return _split(message, 0x30)[1] == b""
    except ValueError:
        return False


def _hash(salt: bytes, block: bytes) -> bytes:
    return hashlib.sha256(salt + block).digest()


def _padded(level: bytes) -> bytes:
    return level + bytes(-len(level) % BLOCK)


def _cut(content: bytes) -> Iterator[bytes]:
    return (content[at : at + BLOCK] for at in range(0, len(content), BLOCK))


def _blocks(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        for _ in range(size // BLOCK):
            yield file.read(BLOCK)
