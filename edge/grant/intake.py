"""Files that others put down for the camera: found, and read without trusting whoever wrote them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge.grant.signed import LARGEST, GrantError

# in the order in which they are worked off: a change of trust or a revocation first
SUFFIXES = (".trust", ".revocation", ".grant")
_AT_ONCE = 64  # documents of a full folder that are weighed against each other
_SCANNED = 4096  # names in a folder that are looked at


class Listed(NamedTuple):
    """A file and what tells whether it changed; the lesser is to be worked off first.

    It has a name and no path: a folder is listed at every frame, and seldom is there anything new in it.
    """

    turn: int
    name: str
    inode: int
    modified: int
    size: int


def listing(folder: Path, most: int | None = None) -> list[Listed]:
    """The documents in ``folder``, in the order in which they are to be worked off; at most ``most`` of them."""
    return sorted(islice(_documents(folder), most))


def first(folder: Path) -> Path | None:
    """The document in ``folder`` that comes first; of a flooded folder only a part is looked at."""
    found = listing(folder, _AT_ONCE)
    return folder / found[0].name if found else None


def read(path: Path) -> bytes:
    """The content of ``path``. Raises ``GrantError`` for anything but a plain file of sensible size."""
    try:
        # neither a link out of the folder nor a pipe that never ends
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST:
                raise GrantError(f"{path.name} is no plain file of at most {LARGEST} bytes. Fetch it again.")
            return file.read(LARGEST + 1)
    except OSError as error:
        raise GrantError(f"{path.name} cannot be read: {error.strerror}. Check its permissions.") from error


def _documents(folder: Path) -> Iterator[Listed]:
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _SCANNED):
                suffix = os.path.splitext(entry.name)[1]  # noqa: PTH122 - without making a path of it
                if suffix in SUFFIXES and entry.is_file(follow_symlinks=False):
                    state = entry.stat(follow_symlinks=False)
                    turn = SUFFIXES.index(suffix)
                    yield Listed(turn, entry.name, state.st_ino, state.st_mtime_ns, state.st_size)
    except OSError:
        return  # no folder, or a file that went away meanwhile: the next look will tell
