"""What image-build's documents tell people to type exists: targets, commands, options, files, layers' variables."""

import importlib
import re
import shlex
from pathlib import Path

import pytest
import typer

from edge import cli

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = [ROOT / "image-build" / "README.md", ROOT / "image-build" / "jetson.md", ROOT / "SECURITY.md"]


def typed(text):
    """Every command: lines of fenced blocks, continued ones joined, and code within sentences."""
    fenced = re.findall(r"^ *```\w*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    inline = re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line.partition("  #")[0].strip() for line in lines + inline]


COMMANDS = [(path, line) for path in DOCUMENTS for line in typed(path.read_text(encoding="utf-8"))]


def those(first):
    return [pytest.param(line, id=f"{path.name}: {line[:60]}") for path, line in COMMANDS if line.startswith(first)]


@pytest.mark.parametrize("line", those("make "))
def test_targets_exist_and_take_what_is_given(line):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    target, *given = line.split()[1:]
    assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE)
    for each in given:
        assert f"$({each.partition('=')[0]})" in makefile or f"$(or $({each.partition('=')[0]})" in makefile, each


@pytest.mark.parametrize("line", those("vidik "))
def test_commands_exist_and_know_the_options(line):
    _, first, *words = shlex.split(line)
    command = typer.main.get_command(importlib.import_module(cli.COMMANDS[first].module).app)
    while words and hasattr(command, "commands"):
        name = words.pop(0)
        assert name in command.commands, f"there is no {name}"
        command = command.commands[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("line", those("image-build/"))
def test_scripts_exist(line):
    assert (ROOT / line.split()[0]).exists()


@pytest.mark.parametrize("line", those("python -m "))
def test_modules_exist(line):
    module = line.split()[2].replace(".", "/")
    assert (ROOT / f"{module}.py").is_file() or (ROOT / module / "__main__.py").is_file()


def test_links_and_files_lead_somewhere():
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            assert "://" in target or (document.parent / target).exists(), f"{document.name}: {target}"
        for file in re.findall(r"`((?:image-build|tests)/[\w./-]+)`", text):
            assert (ROOT / file).exists(), f"{document.name}: {file}"


def test_variables_and_configurations_of_the_layers_exist():
    text = DOCUMENTS[0].read_text(encoding="utf-8")
    folder = ROOT / "image-build" / "raspberry-pi"
    declared = set()
    for layer in (folder / "layer").glob("*.yaml"):
        content = layer.read_text(encoding="utf-8")
        prefix = re.search(r"^# X-Env-VarPrefix: (\w+)$", content, re.MULTILINE)
        declared |= {f"IGconf_{prefix[1]}_{name}" for name in re.findall(r"^# X-Env-Var-(\w+):", content, re.MULTILINE)}
    for variable in re.findall(r"IGconf_\w+", text):
        assert variable in declared, variable
    for config in re.findall(r"vidik-rpi\d\.yaml", text):
        assert (folder / "config" / config).is_file()
