"""Where the camera puts down what it did, seen from those who report it; the audit log is one."""

from __future__ import annotations

from typing import Any, Protocol


class Journal(Protocol):
    """Takes events with their facts. ``whole``: all of them are on the medium; while they are not, nothing may be
    reported and nothing more allowed. ``append`` may raise ``VidikError`` instead."""

    @property
    def whole(self) -> bool: ...

    def append(self, event: str, **facts: Any) -> None: ...


class NoJournal:
    """For tools and tests that keep none."""

    whole = True

    def append(self, event: str, **facts: Any) -> None:
        """Forgets ``event``."""
