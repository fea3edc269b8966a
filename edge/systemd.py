"""What systemd wants to hear of a service (sd_notify), and how it wants to read its log."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import sys
from contextlib import suppress


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


def log_to_journal(identifier: str) -> None:
    """Logs to standard error, or to the journal with fields and levels where systemd and its Python package are."""
    handler: logging.Handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        with suppress(ModuleNotFoundError):
            handler = importlib.import_module("systemd.journal").JournalHandler(SYSLOG_IDENTIFIER=identifier)
    if isinstance(handler, logging.StreamHandler):
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
