"""Signals from outside, as traffic lights give them, put into files where vision finds them. Believed by nobody here:
vision checks form and age (docs/rules.md)."""

from __future__ import annotations

import logging
import re
from pathlib import Path

MOST = 32  # signals
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LINE = re.compile(rb"(?:open|closed) \d{1,11}(?:\.\d{1,6})?\n?")
_log = logging.getLogger("vidik.uplink")


class Signals:
    """Keeps what comes on ``vidik/v1/{camera}/signal/{name}`` in ``folder``.

    A message is the line that the file is to hold: ``open`` or ``closed``, and when that was known, in seconds since
    the epoch. Anything else is left out. The folder should lie in memory: signals come every second or so.
    """

    pattern = "signal/+"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._complained = False

    def take(self, name: str, payload: bytes) -> None:
        if _NAME.fullmatch(name) and _LINE.fullmatch(payload):
            self._keep(name, payload)

    def asks_again(self) -> bool:
        return False  # the next state comes soon, and an old one is worth nothing

    def _keep(self, name: str, line: bytes) -> None:
        path = self._folder / name
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not path.exists() and sum(1 for _ in self._folder.iterdir()) >= MOST:
                raise OSError(f"there are {MOST} signals already")
            fresh = self._folder / f".{name}"  # no signal's name begins with a dot
            fresh.write_bytes(line)
            fresh.replace(path)
        except OSError as error:
            if not self._complained:
                _log.error("signal-not-kept name=%s error=%s", name, error)
            self._complained = True
