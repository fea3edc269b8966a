"""What stands on the label: the code that opens the page, and the fingerprint of its certificate.

Both are made on the camera, when it is made. Of the code only a salted hash is kept (scrypt, RFC 7914), in a file of
mode 0600: whoever reads the medium still has to read the label.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge import durable
from edge.errors import VidikError

FILE = "setup/code"  # in a camera's folder
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's, without what is mistaken for something else
LENGTH = 8  # letters: 40 bits, against a door that is closed for good after twenty wrong ones
_ALIKE = str.maketrans("OIL", "011")


class CodeError(VidikError):
    """There is no code to check against."""


class _Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: bytes
    hash: bytes
    cost: int = 1 << 14


def make(folder: Path) -> str:
    """A new code for the camera in ``folder``, as it is printed. Raises ``CodeError``."""
    code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    salt = secrets.token_bytes(16)
    kept = _Kept(salt, _hashed(code, salt, 1 << 14))
    try:
        durable.write(folder / FILE, msgspec.json.encode(kept))
    except OSError as error:
        raise CodeError(f"The code cannot be kept in {folder / FILE}: {error}. Check the data partition.") from error
    return f"{code[:4]}-{code[4:]}"


def checker(folder: Path) -> Callable[[str], bool]:
    """What says whether a typed code is the one of the camera in ``folder``; takes some 50 ms, right or wrong.

    Raises ``CodeError``.
    """
    path = folder / FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError, ValueError) as error:
        raise CodeError(
            f"The code in {path} cannot be read: {error}. Make a new one and print it: python -m edge.setup "
            f"--folder {folder} --label"
        ) from error
    return lambda given: hmac.compare_digest(_hashed(plain(given), kept.salt, kept.cost), kept.hash)


def check(folder: Path, typed: str) -> bool:
    """Whether ``typed`` is the code of the camera in ``folder`` at this moment. Raises ``CodeError``."""
    return checker(folder)(typed)


def plain(typed: str) -> str:
    """A code as typed by a cold thumb: without spaces and hyphens, in capitals, O for 0 and I or L for 1."""
    return "".join(typed.split()).replace("-", "").upper().translate(_ALIKE)[: 4 * LENGTH]


def _hashed(code: str, salt: bytes, cost: int) -> bytes:
    return hashlib.scrypt(code.encode("utf-8", "replace"), salt=salt, n=cost, r=8, p=1, dklen=32)
