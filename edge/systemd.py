"""What systemd wants to hear of a service (sd_notify), what it hands to one, and how it wants to read its log."""

from __future__ import annotations

import importlib
import logging
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

from edge.errors import VidikError

_FIRST = 3  # the first file descriptor that is handed over


def notify(*lines: str) -> bool:
    """Tells the service manager ``lines`` such as ``READY=1`` or ``WATCHDOG=1``; false where there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    where = "\0" + address[1:] if address.startswith("@") else address
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.sendto("\n".join(line.replace("\n", " ") for line in lines).encode(), where)
        return True
    return False


def passed_socket() -> socket.socket | None:
    """The listening socket that the service manager made for this process (sd_listen_fds(3)); None without one.

    Raises ``VidikError`` when what was handed over is not one socket. Can be called once.
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = os.environ.get("LISTEN_FDS", "")
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):  # they are not for our children
        os.environ.pop(name, None)
    if count != "1":
        raise VidikError(f"The service manager hands over {count} sockets instead of one. Mend the socket unit.")
    try:
        passed = socket.socket(fileno=_FIRST)
    except OSError as error:
        raise VidikError(f"What the service manager hands over is no socket: {error}. Mend the socket unit.") from error
    passed.set_inheritable(False)
    return passed


def credential(name: str) -> Path | None:
    """Where the service manager put the secret ``name`` for this process alone (systemd.exec(5), LoadCredential=)."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / name
    return path if folder and path.is_file() else None


def memory_troubles(own: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> list[str]:
    """Why the kernel does not hold the unit of this process to its limits on memory (``MemoryMax=``); empty when it
    does, or when no service manager started this process. cgroup v2, as systemd has it.

    Raspberry Pi's firmware starts kernels without the memory controller; systemd then leaves limits out, in silence.
    """
    if not os.environ.get("INVOCATION_ID"):
        return []
    try:
        found = re.search(r"(?m)^0::/(.+)$", own.read_text(encoding="utf-8"))
    except OSError:
        return []
    group = mount / found[1] if found else mount
    if group == mount or not (group / "cgroup.procs").exists() or (group / "memory.max").exists():
        return []
    return ["the kernel holds no limits on memory: put cgroup_enable=memory on its command line and start it again"]


def log_to_journal(identifier: str) -> None:
    """Logs to standard error, or to the journal with fields and levels where systemd and its Python package are."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        with suppress(ModuleNotFoundError):
            handler = importlib.import_module("systemd.journal").JournalHandler(SYSLOG_IDENTIFIER=identifier)
    if isinstance(handler, logging.StreamHandler):
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
