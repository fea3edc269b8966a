"""Where the camera puts down what it did, seen from those who report it; the audit log is one."""

from __future__ import annotations

from typing import Any, Protocol


class Journal(Protocol):
    """Takes events with their facts. Raises ``VidikError`` when it cannot: then nothing may go on."""

    def append(self, event: str, **facts: Any) -> None: ...


class NoJournal:
    """For tools and tests that keep none."""

    def append(self, event: str, **facts: Any) -> None:
        """Forgets ``event``."""
