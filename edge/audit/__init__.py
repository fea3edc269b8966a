"""The audit log: what the camera did, in a chain of hashes that cannot be changed without notice."""

from __future__ import annotations

from edge.audit.account import Account
from edge.audit.chain import Entry
from edge.audit.events import AuditError
from edge.audit.log import Audit
from edge.audit.tally import Tally

__all__ = ["Account", "Audit", "AuditError", "Entry", "Tally"]
