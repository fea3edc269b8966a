"""The audit log: what the camera did, in a chain of hashes that cannot be changed without notice."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.audit.account import Account
    from edge.audit.chain import Entry
    from edge.audit.events import AuditError
    from edge.audit.log import Audit
    from edge.audit.tally import Tally

__all__ = ["Account", "Audit", "AuditError", "Entry", "Tally"]

_HOMES = {"Account": "account", "Audit": "log", "AuditError": "events", "Entry": "chain", "Tally": "tally"}


def __getattr__(name: str) -> Any:
    """Loads what is asked for: processes that only leave events in the postbox need neither CBOR nor cryptography."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
