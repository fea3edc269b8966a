"""Files that survive a power cut: either the old content is there or the new one, never half of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Puts ``content`` in place of ``path`` in one step; it is on the medium when this returns. Raises ``OSError``.

    ``mode`` holds whatever the process's mask is: who else may read a file is decided where it is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_name(path.name + ".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    settle(path.parent)


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Makes the folder ``path``, by default for its owner only, if it is not there. Raises ``OSError``."""
    if not path.is_dir():
        path.mkdir(parents=True, mode=0o700, exist_ok=True)
        path.chmod(mode)
    settle(path.parent)


def point(link: Path, target: str) -> None:
    """Makes the symbolic link ``link`` point to ``target`` in one step. Raises ``OSError``."""
    fresh = link.with_name(link.name + ".new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)
    settle(link.parent)


def erase(path: Path) -> None:
    """Overwrites the file with zeros and removes it. Raises ``OSError``; a file that is not there is fine.

    On flash memory the old bytes may survive in cells that are no longer addressed: what must not be read from a
    stolen medium belongs on an encrypted one.
    """
    with suppress(FileNotFoundError):
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_NOFOLLOW), "wb") as file:
            file.write(bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        settle(path.parent)


def settle(path: Path) -> None:
    """Has the medium take what the file ``path`` holds, or what was renamed and removed in the folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
