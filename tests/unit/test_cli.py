"""The command line: errors in one paragraph, help without loading anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge.cli import COMMANDS


def vidik(*arguments):
    code = "from edge.cli import main; main()"
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)


def test_help_lists_every_command():
    shown = vidik("--help")
    assert shown.returncode == 0
    assert all(name in shown.stdout for name in COMMANDS)


def test_an_unknown_command_is_named():
    shown = vidik("fly")
    assert shown.returncode != 0
    assert "'fly'" in shown.stderr
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name):
    shown = vidik(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert "Usage" in shown.stdout


def test_a_wrong_argument_is_one_paragraph():
    shown = vidik("demo", "--source", "/nowhere.mp4")
    assert shown.returncode == 2
    assert "Traceback" not in shown.stderr
    assert "/nowhere.mp4" in shown.stderr
