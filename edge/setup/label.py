"""The label: where the page is, the code that opens it, and its certificate's fingerprint, as somebody prints them.

At the first start they go to the console. Later only a stick that asks for it gets a label, until the camera is sealed:
by an empty file, which the label then fills.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from edge.errors import VidikError
from edge.setup import certificate, code, local


class LabelError(VidikError):
    """The label cannot be written where it was asked for."""


def make(folder: Path) -> str:
    """Code and certificate of the camera in ``folder``, made anew; returns what goes on the label. Raises
    ``VidikError``."""
    fingerprint = certificate.make(folder)  # the code last: while there is none, the next start makes a label
    return _text(code.make(folder), fingerprint)


def onto(folder: Path, path: Path, say: Callable[[], object]) -> bool:
    """Makes a new code and writes the label into the empty file ``path``; returns False when there is something in it.

    The certificate stays, so that a page which is being served shows what the label says. ``say`` puts it on record
    before. Raises ``VidikError``.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            state = os.fstat(handle)
            if not stat.S_ISREG(state.st_mode) or state.st_size > 0:
                return False
            say()
            fingerprint = certificate.shown(folder) or certificate.make(folder)
            file.write(_text(code.make(folder), fingerprint).encode("ascii"))
            os.fsync(handle)
    except OSError as error:
        raise LabelError(
            f"The label cannot be written to {path}: {error}. Take a stick that is not write-protected, with an empty "
            f"file {path.name} on it."
        ) from error
    return True


def _text(printed: str, fingerprint: str) -> str:
    address = f"https://{local.FIRST}:{local.PORT}"
    return f"address      {address}\ncode         {printed}\ncertificate  {fingerprint}\n"
