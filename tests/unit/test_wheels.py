"""The lists of a camera's wheels: complete, exact, and of nothing that a camera does not need."""

from __future__ import annotations

import re
import tomllib
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
WHEELS = ROOT / "image-build" / "wheels"
LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = SourceFileLoader("wheels_lock", str(WHEELS / "lock"))
    spec = spec_from_loader("wheels_lock", loader)
    assert spec is not None
    made = module_from_spec(spec)
    loader.exec_module(made)
    return made


def locked(arch: str) -> dict[str, str]:
    lines = [line for line in (WHEELS / f"requirements-{arch}.lock").read_text().splitlines() if line[0] != "#"]
    matches = [LINE.fullmatch(line) for line in lines]
    assert all(matches), lines  # names, versions and one digest each; no index, no other file of a release
    return {match[1]: match[2] for match in matches if match}


@pytest.mark.parametrize("arch", ["amd64", "arm64"])
def test_what_a_camera_asks_for_is_locked(script: ModuleType, arch: str) -> None:
    have = locked(arch)
    for wanted in map(Requirement, script.wanted()):
        name = canonicalize_name(wanted.name)
        assert name in have, f"{name} is not locked: make wheels"
        assert have[name] in wanted.specifier, f"{name} {have[name]} is not {wanted.specifier}: make wheels"


def test_both_machines_have_the_same() -> None:
    assert locked("amd64") == locked("arm64")


def test_the_versions_are_those_of_the_tests() -> None:
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    for name, version in locked("arm64").items():
        assert pinned.get(name, version) == version, f"{name}: make wheels"


def test_nothing_of_office_laboratory_and_tests_is_on_a_camera(script: ModuleType) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    elsewhere = {canonicalize_name(Requirement(each).name) for name in ("lab", "demo", "dev") for each in extras[name]}
    asked = {canonicalize_name(Requirement(each).name) for each in script.wanted()}
    assert set(locked("amd64")) & (elsewhere - asked | {"typer", "rich", "pytest", "uv"}) == set()
