"""The page's texts: both languages whole, no text without a use, no use without a text."""

from __future__ import annotations

import re
import tomllib
from importlib import resources

import pytest

from edge.setup import render
from edge.setup.checks import NAMES
from edge.setup.door import Refusal
from edge.setup.words import LANGUAGES, wanted, words

FOLDER = resources.files("edge.setup")
CATALOGUE = tomllib.loads((FOLDER / "words.toml").read_text(encoding="utf-8"))
TEMPLATES = "".join(file.read_text(encoding="utf-8") for file in (FOLDER / "templates").iterdir())
SCRIPTS = "".join(
    file.read_text(encoding="utf-8") for file in (FOLDER / "static").iterdir() if file.name.endswith(".js")
)
CODE = "".join(
    file.read_text(encoding="utf-8") for file in FOLDER.iterdir() if file.name in ("checks.py", "page.py", "door.py")
)
# by what they begin with: made of a name and a state
MADE = tuple(f"check.{name}" for name in NAMES) + tuple(f"code.{refusal}" for refusal in Refusal)
SCRIPTED = ("aim.", "draw.", "checks.")


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("table", sorted(CATALOGUE))
def test_every_text_is_there_in_every_language_with_the_same_names_to_fill_in(table: str) -> None:
    for name, versions in CATALOGUE[table].items():
        assert tuple(versions) == LANGUAGES, f"{table}.{name}"
        assert all(version.strip() for version in versions.values()), f"{table}.{name}"
        assert len({frozenset(names_in(version)) for version in versions.values()}) == 1, f"{table}.{name}"


def test_serbian_is_serbian_and_latin() -> None:
    said = " ".join(words("sr").values())
    assert not re.search("[Ѐ-ӿ]", said)
    assert all(letter in said for letter in "čćđšž")
    same = {key for key, text in words("sr").items() if text == words("en")[key] and len(text) > 6}
    assert same <= {"check.broker", "check.accelerator"}


def test_every_text_is_used() -> None:
    for key in words("en"):
        table, _, name = key.partition(".")
        scripted = f"{table}." in SCRIPTED and re.search(rf"\b{name}\b|{name.rpartition('_')[0]}_\$", SCRIPTS)
        assert f'"{key}"' in TEMPLATES + CODE or key.startswith(MADE) or scripted or table == "step" or key in (
            "draw.zone", "draw.line", "draw.privacy",
        ), key  # fmt: skip


def test_every_use_has_its_text() -> None:
    used = set(re.findall(r'w\("([a-z]+\.[a-z_]+)"', TEMPLATES)) | set(re.findall(r'"(refused\.\w+)"', CODE))
    used |= {f"code.{refusal}" for refusal in Refusal}
    used |= {f"check.{says}" for says in re.findall(r'"((?:' + "|".join(NAMES) + r')(?:_\w+)?)"', CODE)}
    assert used <= set(words("en"))
    for prefix in SCRIPTED:
        table = render.part(words("en"))(prefix[:-1])
        for name in re.findall(r"words\.(\w+)", SCRIPTS):
            assert any(name in render.part(words("en"))(other[:-1]) for other in SCRIPTED), name
        assert table


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("", "", "en"), ("sr", "", "sr"), ("sr-Latn-RS,sr;q=0.9,en;q=0.8", "", "sr"), ("en-GB,sr;q=0.9", "", "en"),
        ("de,fr;q=0.9", "", "en"), ("de,sr;q=0.4,en;q=0.3", "", "sr"), ("en", "sr", "sr"), ("sr", "xx", "sr"),
        ("sr;q=x,en", "", "en"), (",;q=,;;," * 500, "", "en"), ("sr" * 400, "", "en"),
    ],
)  # fmt: skip
def test_the_browser_s_language_counts_until_one_is_chosen(accepted: str, chosen: str, language: str) -> None:
    assert wanted(accepted, chosen) == language


def test_what_is_filled_in_cannot_be_markup() -> None:
    html = render.page(
        "refused", "en", words("en"), says='<script>alert("x")</script>', proof="", left=1, camera="<b>", number=0
    )
    assert "<script>alert" not in html
    assert "<b>" not in html
