"""Trying again where that may help."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from edge.enrol.errors import TryLater

Result = TypeVar("Result")


def patiently(
    attempt: Callable[[], Result], seconds: float, log: logging.Logger, *, first: float = 1.0, longest: float = 60.0
) -> Result:
    """``attempt`` again and again until it succeeds, fails for good, or ``seconds`` have passed, when its ``TryLater``
    is raised. Pauses grow from ``first`` to ``longest`` seconds and have full jitter (Brooker, "Exponential Backoff And
    Jitter", 2015), so that a thousand cameras do not return together."""
    until, bound = time.monotonic() + seconds, first
    while True:
        try:
            return attempt()
        except TryLater as error:
            pause = random.uniform(0.0, bound)
            if time.monotonic() + pause > until:
                raise
            log.warning("retry seconds=%.1f %s", pause, error)
            time.sleep(pause)
            bound = min(2 * bound, longest)
