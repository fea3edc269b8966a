"""The real uplink process, under a wall clock and with a patience that tests can set.

``CLOCK_OFFSET`` names a file with seconds of offset; ``LONGEST_PAUSE`` bounds the seconds between attempts to connect.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from edge import mqtt_brokers

_true = time.time


def _false() -> float:
    try:
        return _true() + float(Path(os.environ["CLOCK_OFFSET"]).read_text() or 0)
    except (KeyError, OSError, ValueError):
        return _true()


# before anything keeps a reference to them
time.time = _false
mqtt_brokers.LARGEST_PAUSE = float(os.environ.get("LONGEST_PAUSE", mqtt_brokers.LARGEST_PAUSE))

from edge.uplink.__main__ import main  # noqa: E402

sys.exit(main())
