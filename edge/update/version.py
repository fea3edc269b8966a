"""Versions of images, and which of two is the newer.

A version is one to four numbers with dots between them, without leading zeros: ``2026.11.1``. Numbers are compared one
by one from the left, and a number that is missing counts as 0: ``2026.9 < 2026.10 < 2026.10.1``, ``2026.11`` and
``2026.11.0`` are the same. There are no words in it (rc, beta): what may not be installed is not signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from edge.errors import VidikError

_NUMBER = r"(0|[1-9][0-9]{0,8})"
PATTERN = rf"\A{_NUMBER}(\.{_NUMBER}){{0,3}}\Z"


class VersionError(VidikError):
    """What was given is no version of an image."""


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """``numbers``: four of them, the first counts most."""

    numbers: tuple[int, int, int, int]

    def __str__(self) -> str:
        last = max((place for place, number in enumerate(self.numbers) if number), default=0)
        return ".".join(map(str, self.numbers[: max(last, 1) + 1]))


def parse(text: str) -> Version:
    """The version that ``text`` names. Raises ``VersionError``."""
    if not re.match(PATTERN, text):
        raise VersionError(f"{text[:40]!r} is no version of an image: give one to four numbers such as 2026.11.1.")
    first, second, third, fourth = (*map(int, text.split(".")), 0, 0, 0)[:4]
    return Version((first, second, third, fourth))
