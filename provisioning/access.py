"""Who may do what at a broker: one table, from which the rules of every kind of broker are written.

Channels are what comes after ``vidik/v1/{camera}/``. A camera has those of its own subtree only; subscribers and
offices have theirs below every camera. Nobody reads grants but the camera they are for: they hold lists of the sought.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ROOT = "vidik/v1"


class Role(NamedTuple):
    """The channels that somebody may write to and read from; ``+`` stands for one name."""

    writes: Sequence[str]
    reads: Sequence[str]

    def may_write(self, channel: str) -> bool:
        return _among(self.writes, channel)

    def may_read(self, channel: str) -> bool:
        return _among(self.reads, channel)


STATEMENTS = ("status", "card", "audit", "gap", "health", "update")  # what cameras say of themselves
CAMERA = Role(("plate", "face", "trial", *STATEMENTS), ("grant", "config", "confirm", "signal/+"))
SUBSCRIBER = Role(("confirm",), CAMERA.writes)
OFFICE = Role(("grant", "config", "signal/+"), STATEMENTS)  # hands documents down, and sees how cameras are


def mosquitto_rules(subscribers: Sequence[str], offices: Sequence[str]) -> str:
    """The access control list in Mosquitto's form. ``%u`` is the user, which is the certificate's common name."""
    lines = [f"pattern write {ROOT}/%u/{channel}" for channel in CAMERA.writes]
    lines += [f"pattern read {ROOT}/%u/{channel}" for channel in CAMERA.reads]
    for names, role in ((subscribers, SUBSCRIBER), (offices, OFFICE)):
        for name in names:
            lines += ["", f"user {name}"]
            lines += [f"topic write {ROOT}/+/{channel}" for channel in role.writes]
            lines += [f"topic read {ROOT}/+/{channel}" for channel in role.reads]
    return "\n".join(lines) + "\n"


def _among(channels: Sequence[str], channel: str) -> bool:
    stem, slash, name = channel.partition("/")
    return channel in channels or bool(slash and name and "/" not in name and f"{stem}/+" in channels)
