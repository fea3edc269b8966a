"""TCP ports of this machine: a free one, and who it is that listens on one."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

_LISTENING = "0A"  # in the kernel's tables


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def serves(session: int, port: int) -> bool:
    """Whether a process of ``session`` listens on ``port``, as far as the kernel shows it; otherwise whether somebody
    does."""
    wanted = _sockets(port)
    if wanted is None:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    return bool(wanted) and any(_has(number, wanted) for number in _members(session))


def _sockets(port: int) -> set[str] | None:
    """The sockets that listen on ``port``, by the name that their owners' descriptors have; None where no table is."""
    found, tables = set(), 0
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
            tables += 1
            for fields in map(str.split, lines):
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{fields[9]}]")
    return found if tables else None


def _members(session: int) -> list[int]:
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    found = []
    for number in numbers:
        with suppress(ProcessLookupError):
            if os.getsid(number) == session:
                found.append(number)
    return found


def _has(number: int, sockets: set[str]) -> bool:
    with suppress(OSError):
        for handle in Path(f"/proc/{number}/fd").iterdir():
            with suppress(OSError):
                if str(handle.readlink()) in sockets:
                    return True
    return False
