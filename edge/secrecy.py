"""What every process of a camera does first, because its memory holds pictures or keys."""

from __future__ import annotations

import resource


def dump_no_core() -> None:
    """A crash of this process, or of one that it starts, puts no memory on the disk."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
