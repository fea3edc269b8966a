"""The vectors, checked by a program in another language that shares no code and no library with ours."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from tests.vectors import generate

CHECKER = Path(__file__).parent / "check.mjs"


@pytest.fixture
def node():
    found = shutil.which("node")
    if found is None:
        warnings.warn("Node is not installed: the vectors were not checked in another language", stacklevel=1)
        pytest.skip("needs Node 20")
    return found


def checked(node, path):
    return subprocess.run([node, str(CHECKER), str(path)], capture_output=True, text=True, check=False)


def test_another_language_agrees(node):
    done = checked(node, generate.PATH)
    assert done.returncode == 0, done.stderr
    assert "statements hold" in done.stdout


@pytest.mark.parametrize("part", ["signature", "report", "digest", "trial"])
def test_it_would_notice(node, tmp_path, part):
    vectors = json.loads(generate.PATH.read_text(encoding="utf-8"))
    holder, name = {
        "signature": (vectors["documents"][0], "signed"),
        "report": (vectors["reports"][0], "sealed to the first recipient"),
        "digest": (vectors["derived"], "digest of BG123AB"),
        "trial": (vectors["trial"], "confirmation"),
    }[part]
    holder[name] = holder[name][:-1] + ("0" if holder[name][-1] != "0" else "1")
    spoilt = tmp_path / "vectors.json"
    spoilt.write_text(json.dumps(vectors), encoding="utf-8")
    done = checked(node, spoilt)
    assert done.returncode != 0
    assert "does not hold" in done.stderr
