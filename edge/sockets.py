"""Unix sockets between the camera's processes."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from edge.errors import VidikError


class SocketError(VidikError):
    """A socket file cannot be made."""


def listen(path: Path, what: str) -> socket.socket:
    """A listening stream socket at ``path``, for its user and its group, in place of one that was left behind. Takes
    one connection at a time. Raises ``SocketError``, which names ``what`` needs it."""
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise SocketError(f"{path} is in the way of {what}'s socket. Remove it.")
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o117)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise SocketError(f"The socket {path} of {what} cannot be made: {error}. Check the folder.") from error
    finally:
        os.umask(mask)
    listening.listen(1)
    return listening
