"""What the documents claim: every test they name exists, and every statement about an attacker names one."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
DOCUMENTS = ("threat-model.md", "legal-mapping.md")


def text_of(document):
    return (ROOT / "docs" / document).read_text(encoding="utf-8")


def functions_of(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


ALL_NAMED = sorted({named for document in DOCUMENTS for named in NAMED.findall(text_of(document))})


@pytest.mark.parametrize("named", ALL_NAMED, ids="::".join)
def test_every_test_that_is_named_exists(named):
    file, function = named
    assert (ROOT / file).is_file(), f"{file} is named in docs/ and does not exist"
    assert function in functions_of(ROOT / file), f"{function} is named in docs/ and not in {file}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_claim_names_its_test(document):
    rows = [line for line in text_of(document).splitlines() if line.startswith("|") and not line.startswith("| ---")]
    claims = [row for row in rows if "::" not in row and not row.startswith(("| cannot", "| demand", "| provision"))]
    assets = text_of(document).partition("## Attackers")[0] if "## Attackers" in text_of(document) else ""
    unproven = [row for row in claims if row not in assets and "**Not met.**" not in row]
    assert unproven == []


def test_the_drawings_of_the_rules_are_what_the_rules_do():
    """Each path in them has the colour that the rules of today give it. ``python scripts/draw_rules.py`` draws anew."""
    module = runpy.run_path(str(ROOT / "scripts" / "draw_rules.py"))
    drawn = module["pictures"]()
    kept = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "docs" / "rules").glob("*.svg")}
    assert drawn == kept
    page = text_of("rules.md")
    assert all(f"(rules/{name})" in page for name in drawn)


def test_it_says_that_it_is_no_legal_advice():
    assert "**This is not legal advice.**" in text_of("legal-mapping.md")
