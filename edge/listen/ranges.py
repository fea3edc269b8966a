"""A set of whole numbers that come mostly in order, as ranges: small however many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable


class Ranges:
    """``pairs``: first and last number of each range, both included, ascending and apart."""

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in pairs:
            self._firsts.append(first)
            self._lasts.append(last)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._firsts, number) - 1
        return at >= 0 and number <= self._lasts[at]

    def __len__(self) -> int:
        """How many ranges there are."""
        return len(self._firsts)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        return list(zip(self._firsts, self._lasts, strict=True))

    def add(self, number: int) -> bool:
        """Takes ``number`` in. False when it was there already."""
        at = bisect_right(self._firsts, number) - 1
        if at >= 0 and number <= self._lasts[at]:
            return False
        below = at >= 0 and self._lasts[at] == number - 1
        above = at + 1 < len(self._firsts) and self._firsts[at + 1] == number + 1
        if below and above:
            self._lasts[at] = self._lasts[at + 1]
            del self._firsts[at + 1], self._lasts[at + 1]
        elif below:
            self._lasts[at] = number
        elif above:
            self._firsts[at + 1] = number
        else:
            self._firsts.insert(at + 1, number)
            self._lasts.insert(at + 1, number)
        return True

    def forget_lowest(self, keep: int) -> None:
        """Drops the lowest ranges until ``keep`` are left."""
        surplus = max(0, len(self._firsts) - keep)
        del self._firsts[:surplus], self._lasts[:surplus]
