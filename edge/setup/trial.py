"""The test report, as the page's checks see it: sent through the real uplink, confirmed by a subscriber."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol


class Stage(StrEnum):
    """How far a test report has got."""

    NONE = "none"  # nothing was sent
    SENT = "sent"
    CONFIRMED = "confirmed"
    FAILED = "failed"


class Progress(NamedTuple):
    """``seconds`` since it was sent; ``cause`` of a failure."""

    stage: Stage
    seconds: float = 0.0
    cause: str = ""


class Trial(Protocol):
    """One camera's test report. Both methods may block for a moment, and raise ``VidikError``."""

    def send(self) -> None:
        """Sends one, in place of any before."""

    def state(self) -> Progress: ...
