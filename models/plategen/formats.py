"""Serials at random, after the forms of ``edge.vision.plate_formats``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edge.vision.plate_formats import COUNTRIES, DIGITS, SIGNS, Country

# letters that readers mix up come more often than chance has it
_MIXED_UP = "OQDBGIVUYMWNKX"


@dataclass(frozen=True)
class Serial:
    """The text of one plate: ``rows`` keep the signs, ``kind`` names the colours and the size."""

    rows: tuple[str, ...]
    kind: str
    free: bool = False  # letters and digits may stand anywhere, so that nothing but its shape tells O from 0

    @property
    def text(self) -> str:
        """The characters alone."""
        return "".join(c for row in self.rows for c in row if c not in SIGNS)


_NAMES = tuple(COUNTRIES)
_SHARE = np.array([c.weight for c in COUNTRIES.values()]) / sum(c.weight for c in COUNTRIES.values())


def country_at_random(rng: np.random.Generator) -> str:
    """An ISO 3166-1 alpha-2 code, or ``""`` for plates of no country in particular."""
    return _NAMES[int(rng.choice(len(_NAMES), p=_SHARE))]


def serial(rng: np.random.Generator, country: str) -> Serial:
    """One serial of ``country``; raises ``KeyError`` for a country that is not in ``COUNTRIES``."""
    rules = COUNTRIES[country]
    weights = np.array([f[0] for f in rules.forms])
    _, pattern, kind = rules.forms[int(rng.choice(len(rules.forms), p=weights / weights.sum()))]
    rows = "".join(_fill(rng, rules, sign) for sign in pattern).split("/")
    return Serial(tuple(rows), kind, "%" in pattern)


def _fill(rng: np.random.Generator, rules: Country, sign: str) -> str:
    if sign == "#":
        return DIGITS[int(rng.integers(10))]
    if sign == "@":
        return _letter(rng, rules.letters)
    if sign == "&":
        return _letter(rng, rules.alphabet)
    if sign == "%":
        return _letter(rng, rules.alphabet + DIGITS)
    if sign == "~":
        # unknown codes too, so that a reader learns letters rather than a list
        known = bool(rules.areas) and rng.random() < 0.7
        if known:
            return rules.areas[int(rng.integers(len(rules.areas)))]
        return "".join(_letter(rng, rules.alphabet) for _ in range(2))
    return sign


def _letter(rng: np.random.Generator, letters: str) -> str:
    if rng.random() < 0.2:
        char = _MIXED_UP[int(rng.integers(len(_MIXED_UP)))]
        if char in letters:
            return char
    return letters[int(rng.integers(len(letters)))]
