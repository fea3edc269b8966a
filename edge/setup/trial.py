"""The test report, as the page's checks see it: ``edge.trial.Trial``, or what stands in for it."""

from __future__ import annotations

from typing import Protocol

from edge.trial import TrialState


class Trial(Protocol):
    """One camera's test report. Failures are a state, not an error."""

    def send(self) -> None:
        """Sends one, in place of any before."""

    def state(self) -> TrialState:
        """What is known of it now."""
