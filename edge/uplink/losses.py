"""What the spool has given up, by reason, until the world has been told. Pure; the spool keeps it on the medium."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from edge.gaps import Reason
from edge.handover import Key


@dataclass(frozen=True, slots=True)
class Loss:
    """Reports from ``first`` to ``last`` that will not come; as in ``edge.gaps.Gap``, without the camera."""

    id: str
    reason: Reason
    count: int | None
    first: Key | None
    last: Key | None
    time: int


class Losses:
    """One growing loss for each reason, so that its size is bounded however much is lost.

    A loss that grows after it was published is published again under its id and replaces what was said before.
    """

    def __init__(self, pending: dict[Reason, Loss] | None = None) -> None:
        self._pending = dict(pending or {})

    @property
    def pending(self) -> list[Loss]:
        return list(self._pending.values())

    def copy(self) -> Losses:
        return Losses(self._pending)

    def add(self, reason: Reason, count: int | None, first: Key | None, last: Key | None, now: float) -> None:
        """Counts ``count`` more reports (None: nobody knows how many) from ``first`` to ``last``.

        ``first`` is None when they may reach back to the beginning, ``last`` when nobody knows how far they go: what
        is added next knows.
        """
        known = self._pending.get(reason)
        if known is None:
            self._pending[reason] = Loss(secrets.token_hex(8), reason, count, first, last, int(now))
            return
        self._pending[reason] = Loss(
            known.id,
            reason,
            None if known.count is None or count is None else known.count + count,
            None if known.first is None or first is None else min(known.first, first),
            last if last is None or known.last is None else max(known.last, last),
            int(now),
        )

    def told(self, loss: Loss) -> None:
        """Forgets ``loss``, unless it has grown since."""
        if self._pending.get(loss.reason) == loss:
            del self._pending[loss.reason]
