"""How often an address may fail before it has to wait. Secrets of 192 bits need no such help; the journal does."""

from __future__ import annotations

from collections import OrderedDict

_ADDRESSES = 10_000  # remembered at a time


class FailureLimit:
    """At most ``most`` failures of an address within ``seconds``. Who succeeds is never slowed down."""

    def __init__(self, most: int = 30, seconds: float = 60.0) -> None:
        self._most, self._seconds = most, seconds
        self._failures: OrderedDict[str, list[float]] = OrderedDict()

    def wait(self, address: str, now: float) -> float:
        """For how many seconds nothing of ``address`` is looked at: 0 when it may ask. ``now``: monotonic."""
        recent = [when for when in self._failures.get(address, []) if now - when < self._seconds]
        if not recent:
            self._failures.pop(address, None)
            return 0.0
        self._failures[address] = recent
        return recent[-self._most] + self._seconds - now if len(recent) >= self._most else 0.0

    def failed(self, address: str, now: float) -> None:
        """Counts a failure of ``address``."""
        self._failures.setdefault(address, []).append(now)
        self._failures.move_to_end(address)
        if len(self._failures) > _ADDRESSES:
            self._failures.popitem(last=False)
