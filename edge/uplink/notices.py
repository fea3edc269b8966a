"""What the camera states in public, found in the folder where the vision process puts it. Nothing is looked into."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

LARGEST = 64 << 10  # bytes
# file name -> channel (the last part of the topic) and content type
CHANNELS = {
    "card.json": ("card", "application/jose+json"),
    "audit.cose": ("audit", "application/cose"),
    # not signed: for those who maintain the camera, proof of nothing
    "health.json": ("health", "application/json"),
    "update.json": ("update", "application/json"),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Signed bytes to be published, retained, on ``vidik/v1/{camera}/{channel}``."""

    channel: str
    content_type: str
    content: bytes


class Notices:
    """Watches ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}

    def news(self) -> list[Notice]:
        """What is new or has changed since the last call; what cannot be read is left for the next one."""
        found = []
        for name, (channel, content_type) in CHANNELS.items():
            content = self._changed(name)
            if content:
                found.append(Notice(channel, content_type, content))
        return found

    def forget(self) -> None:
        """Makes everything news again: after a new connection, whose broker may have forgotten."""
        self._seen.clear()

    def _changed(self, name: str) -> bytes | None:
        try:
            handle = os.open(self._folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                state = os.fstat(file.fileno())
                mark = (state.st_ino, state.st_mtime_ns, state.st_size)
                if mark == self._seen.get(name) or not stat.S_ISREG(state.st_mode) or state.st_size > LARGEST:
                    return None
                self._seen[name] = mark
                return file.read(LARGEST)
        except OSError:
            return None
