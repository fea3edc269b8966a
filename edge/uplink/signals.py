"""Signals from outside, as traffic lights give them, put into files where vision finds them. Believed by nobody here:
vision checks form and age (docs/rules.md)."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

from edge.uplink.publisher import Publisher

MOST = 32  # signals
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LINE = re.compile(rb"(?:open|closed) \d{1,11}(?:\.\d{1,6})?\n?")
_log = logging.getLogger("vidik.uplink")


class Signalled(Publisher):
    """A publisher that also keeps what comes on ``vidik/v1/{camera}/signal/{name}`` in the folder ``signals``.

    A message is the line that the file is to hold: ``open`` or ``closed``, and when that was known, in seconds since
    the epoch. Anything else is left out. The folder should lie in memory: signals come every second or so.
    """

    def __init__(self, camera: str, *given: Any, signals: Path, **named: Any) -> None:
        super().__init__(camera, *given, **named)
        self._prefix = f"vidik/v1/{camera}/signal/"
        self._signals = signals
        self._complained = False

    def opened(self, version: int, window: int) -> None:
        self._link.subscribe(f"{self._prefix}+")
        super().opened(version, window)

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        if not topic.startswith(self._prefix):
            super().received(topic, payload, number, retained)
            return
        name = topic.removeprefix(self._prefix)
        if _NAME.fullmatch(name) and _LINE.fullmatch(payload):
            self._keep(name, payload)
        self._link.acknowledge(number)

    def _keep(self, name: str, line: bytes) -> None:
        path = self._signals / name
        try:
            self._signals.mkdir(parents=True, exist_ok=True)
            if not path.exists() and sum(1 for _ in self._signals.iterdir()) >= MOST:
                raise OSError(f"there are {MOST} signals already")
            fresh = self._signals / f".{name}"  # no signal's name begins with a dot
            fresh.write_bytes(line)
            fresh.replace(path)
        except OSError as error:
            if not self._complained:
                _log.error("signal-not-kept name=%s error=%s", name, error)
            self._complained = True
