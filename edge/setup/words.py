"""What the page says, from one catalogue (``words.toml``) in two languages, and which of them a browser wants."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources

LANGUAGES = ("en", "sr")  # the first is for whoever reads neither

Words = Mapping[str, str]


@cache
def words(language: str) -> Words:
    """All texts in ``language``, by table and name: ``aim.title``."""
    text = (resources.files("edge.setup") / "words.toml").read_text(encoding="utf-8")
    return {
        f"{table}.{name}": versions[language]
        for table, entries in tomllib.loads(text).items()
        for name, versions in entries.items()
    }


def wanted(accepted: str, chosen: str = "") -> str:
    """The language that was ``chosen`` on the page, else the one a browser likes best (RFC 9110, Accept-Language)."""
    if chosen in LANGUAGES:
        return chosen
    ranked: list[tuple[float, str]] = []
    for part in accepted[:256].split(","):
        tag, _, weight = part.strip().partition(";q=")
        try:
            ranked.append((float(weight or "1"), tag.strip().lower().partition("-")[0]))
        except ValueError:
            continue
    best = max((pair for pair in ranked if pair[1] in LANGUAGES), key=lambda pair: pair[0], default=(0.0, LANGUAGES[0]))
    return best[1]
