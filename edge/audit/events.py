"""What an audit log may say: a closed list of events, and the facts of each.

The list is the reason why no plate, template or key can get into the log: there is no event with room for one,
and bytes are never a fact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from edge.errors import VidikError

LONGEST_TEXT = 160  # characters of a fact
_MOST_COUNTS = 64
_LARGEST = 2**63 - 1

Fact = str | int | dict[str, int]


class AuditError(VidikError):
    """The audit log cannot be kept, or was asked to say something it may not."""


class Event(NamedTuple):
    """The facts an event may have, by type; all are optional. ``provoked``: people outside can cause it as
    often as they like, so that it is limited to some entries an hour, and counted beyond."""

    facts: Mapping[str, type]
    provoked: bool = False


_POSTED = {"post": str, "by": str}  # what other processes stated: the ID of the post, and its user
_GRANT = {"grant": str, "serial": int, "function": str, "digest": str}

EVENTS: Mapping[str, Event] = {
    # the log itself
    "log-started": Event({"camera": str}),
    "tail-cut": Event({"bytes": int}),
    "damage-found": Event({"file": str, "offset": int, "bytes": int}),
    "trimmed": Event({"first": int, "last": int}),
    "suppressed": Event({"event": str, "count": int}),
    "resumed": Event({"seconds": int, "reason": str}),
    # the camera
    "boot": Event({"boot": int, "software": str, "slot": str}),
    "stop": Event({"reason": str}),
    "clock": Event({"state": str, "milliseconds": int, "reason": str}),
    "config": Event({"digest": str}),
    "config-refused": Event({"reason": str, "digest": str}, provoked=True),
    "models": Event({"digest": str}),
    "provisioning": Event({"state": str, "reason": str} | _POSTED, provoked=True),
    "update": Event({"state": str, "software": str, "reason": str} | _POSTED, provoked=True),
    "post-refused": Event({"reason": str}, provoked=True),
    # the law
    "trust": Event({"version": int, "digest": str}),
    "trust-refused": Event({"reason": str, "digest": str}, provoked=True),
    "grant-accepted": Event(_GRANT | {"until": int, "scope": str}),
    "grant-refused": Event(_GRANT | {"reason": str}, provoked=True),
    "grant-began": Event(_GRANT),
    "grant-expired": Event(_GRANT),
    "grant-superseded": Event(_GRANT),
    "grant-revoked": Event(_GRANT | {"reason": str}),
    "wiped": Event(_GRANT | {"count": int}),
    # the work, once an hour
    "hour": Event({"seconds": int, "seen": dict, "reported": dict, "discarded": dict, "lost": dict}),
}


def check(event: str, facts: Mapping[str, Any]) -> dict[str, Fact]:
    """``facts`` as they will be written, long texts cut. Raises ``AuditError`` for what the list does not allow."""
    known = EVENTS.get(event)
    if known is None:
        raise AuditError(f"The audit log knows no event {event!r}. Add it to edge/audit/events.py first.")
    return {name: _fact(event, known, name, value) for name, value in sorted(facts.items())}


def _fact(event: str, known: Event, name: str, value: Any) -> Fact:
    expected = known.facts.get(name)
    if expected is None or type(value) is not expected:
        raise AuditError(f"The audit event {event} has no fact {name!r} of the type {type(value).__name__}.")
    match value:
        case str():
            return value if len(value) <= LONGEST_TEXT else value[: LONGEST_TEXT - 1] + "…"
        case dict() if len(value) <= _MOST_COUNTS and all(_is_count(key, count) for key, count in value.items()):
            return dict(sorted(value.items()))
        case int() if abs(value) <= _LARGEST:
            return value
    raise AuditError(f"The fact {name!r} of the audit event {event} is out of bounds.")


def _is_count(key: Any, count: Any) -> bool:
    return isinstance(key, str) and len(key) <= 48 and type(count) is int and 0 <= count <= _LARGEST
