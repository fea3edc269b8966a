"""Turns what is to be shown into HTML. The only user of Jinja2; everything is escaped."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from jinja2 import DictLoader, Environment, StrictUndefined, select_autoescape

from edge.setup.words import Words

_PAGES = ("base", "code", "claim", "aim", "draw", "checks", "sealed", "refused")


def _environment() -> Environment:
    folder = resources.files("edge.setup") / "templates"
    texts = {f"{name}.html": (folder / f"{name}.html").read_text(encoding="utf-8") for name in _PAGES}
    made = Environment(
        loader=DictLoader(texts), autoescape=select_autoescape(), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    made.filters["json"] = lambda value: json.dumps(value, ensure_ascii=False)
    return made


_made = _environment()


def page(name: str, language: str, words: Words, **shown: Any) -> str:
    """The page ``name`` in ``language``. In it, ``w`` is a text of the catalogue, filled in with what it is given."""
    return _made.get_template(f"{name}.html").render(language=language, w=fill(words), part=part(words), **shown)


def fill(words: Words) -> Callable[..., str]:
    """What looks up a text and fills it in."""
    return lambda key, **facts: words[key].format(**facts) if facts else words[key]


def part(words: Words) -> Callable[[str], Mapping[str, str]]:
    """What gives all texts of one table of the catalogue, for scripts."""
    return lambda table: {key.partition(".")[2]: text for key, text in words.items() if key.startswith(f"{table}.")}
