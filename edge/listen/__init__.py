"""The receiving end: connects to a broker, checks who signed a report, opens it, drops duplicates, notices gaps.

What a program needs is here: ``Listener``, the findings it gives out, ``read_ca`` and ``read_keys``; ``aio`` has the
same for asyncio, ``sinks`` the places to put reports. ``docs/receiving.md`` shows how.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.address import Address as Address
    from edge.gaps import Gap as Gap
    from edge.listen.client import Connection as Connection
    from edge.listen.client import Listener as Listener
    from edge.listen.client import read_ca as read_ca
    from edge.listen.client import read_keys as read_keys
    from edge.listen.opener import Opened as Opened
    from edge.listen.opener import Rejected as Rejected
    from edge.listen.opener import Sealed as Sealed
    from edge.listen.opener import Status as Status
    from edge.listen.opener import Tried as Tried
    from edge.listen.sinks.base import Sink as Sink
    from edge.listen.sinks.base import open_sink as open_sink
    from edge.records import FaceReport as FaceReport
    from edge.records import PlateReport as PlateReport

_HOMES = {
    "Address": "edge.address", "Gap": "edge.gaps", "Connection": "edge.listen.client", "Listener": "edge.listen.client",
    "read_ca": "edge.listen.client", "read_keys": "edge.listen.client", "Opened": "edge.listen.opener",
    "Rejected": "edge.listen.opener", "Sealed": "edge.listen.opener", "Status": "edge.listen.opener",
    "Tried": "edge.listen.opener", "Sink": "edge.listen.sinks.base", "open_sink": "edge.listen.sinks.base",
    "FaceReport": "edge.records", "PlateReport": "edge.records",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    """Loads what is asked for: offices use ``edge.listen.trust`` without an MQTT library."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
