"""The real uplink process, under a wall clock that the fault suite can set: seconds of offset, in a file."""

from __future__ import annotations

import os
import sys
import time

_true = time.time


def _false() -> float:
    try:
        with open(os.environ["CLOCK_OFFSET"], encoding="ascii") as file:
            return _true() + float(file.read() or 0)
    except (OSError, ValueError):
        return _true()


time.time = _false  # before anything keeps a reference to it

from edge.uplink.__main__ import main  # noqa: E402

sys.exit(main())
