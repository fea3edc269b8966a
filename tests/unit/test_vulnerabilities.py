"""The look-up of known vulnerabilities: what is a finding, what was not looked up, and whether record and locks fit."""

import importlib.machinery
import importlib.util
import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

REPO = Path(__file__).parent.parent.parent


def loaded():
    loader = importlib.machinery.SourceFileLoader("vidik_audit", str(REPO / "image-build" / "audit"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("vidik_audit", loader))
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


audit = loaded()
needs_locks = pytest.mark.skipif(not list(audit.LOCKS.glob("*.lock")), reason="image-build/wheels holds no lock")

# pip-audit's own form of output, shortened
REPORT = {"dependencies": [
    {"name": "cryptography", "version": "3.4.7", "vulns": [
        {"id": "PYSEC-2023-112", "fix_versions": ["39.0.1"], "aliases": ["CVE-2023-23931"], "description": "…"}]},
    {"name": "numpy", "version": "2.4.6", "vulns": []},
], "fixes": []}  # fmt: skip


def test_a_vulnerable_wheel_is_a_finding():
    assert audit.of_pip_audit(REPORT) == [
        {"id": "PYSEC-2023-112", "package": "cryptography", "version": "3.4.7", "fixed": "39.0.1"}]


def test_what_pip_audit_passes_over_is_not_clean():
    """It ends with success and "No known vulnerabilities found" where its source answered nothing at all."""
    report = {"dependencies": [{"name": "numpy", "skip_reason": "Dependency not found on PyPI"}]}
    with pytest.raises(audit.NotLookedUp, match="numpy"):
        audit.of_pip_audit(report)


def test_without_pip_audit_nothing_was_looked_up(tmp_path):
    if importlib.util.find_spec("pip_audit"):
        pytest.skip("pip-audit is installed here")
    with pytest.raises(audit.NotLookedUp, match="pip_audit"):
        audit.wheels(tmp_path / "requirements-arm64.lock", "pypi")


INDEX = """Package: libssl3t64
Source: openssl
Version: 3.5.7-1~deb13u3

Package: libssl3t64
Version: 3.5.7-1~deb13u10

Package: dbus
Version: 1.16.2-2
"""


def bill(*packages, arch="arm64"):
    return {"components": [
        {"name": name, "version": version, "purl": f"pkg:deb/debian/{name}@{version}?arch={arch}&distro=trixie"}
        for name, version in packages
    ]}  # fmt: skip


@pytest.mark.skipif(not shutil.which("dpkg"), reason="needs dpkg")
@pytest.mark.parametrize(("version", "found"), [
    ("3.5.7-1~deb13u9", True), ("3.5.7-1~deb13u10", False), ("3.5.7-1", False), ("1:3.5", False),
])
def test_a_newer_version_in_the_security_suite_is_a_finding(version, found):
    findings = audit.debian(bill(("libssl3t64", version), ("bash", "5.2-1")), lambda arch, codename: INDEX)
    assert [finding["fixed"] for finding in findings] == (["3.5.7-1~deb13u10"] if found else [])


def test_the_suite_asked_is_the_images_own():
    asked = []
    audit.debian(bill(("dbus", "2")), lambda *where: asked.append(where) or "")
    assert asked == [("arm64", "trixie")]


@pytest.mark.parametrize("components", [[], [{"name": "numpy", "purl": "pkg:pypi/numpy@2"}]])
def test_a_bill_without_debian_packages_is_not_clean(components):
    with pytest.raises(audit.NotLookedUp):
        audit.debian({"components": components}, lambda arch, codename: INDEX)


def test_an_exception_holds_until_its_day_and_for_its_finding_only():
    findings = [{"id": "A", "package": "a"}, {"id": "B", "package": "b"}]
    exceptions = [{"id": "A", "reason": "not reached", "until": "2027-01-31"}]
    assert audit.standing(findings, exceptions, "2027-01-31") == [findings[1]]
    assert audit.standing(findings, exceptions, "2027-02-01") == findings


def record():
    return json.loads(audit.RECORD.read_text(encoding="utf-8"))


@needs_locks
def test_locks_that_changed_were_looked_up_anew():
    assert record()["locks"] == audit.digests(), "the wheels' locks are not those last looked up: run make audit"


@needs_locks
def test_no_finding_on_record_stands_without_an_exception_that_says_why():
    kept = record()
    assert kept["state"] in {"looked up", "not looked up"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", kept["day"])
    assert audit.standing(kept["findings"], kept["exceptions"], kept["day"]) == []
    for exception in kept["exceptions"]:
        assert len(exception["reason"]) > 20
        assert exception["id"] in {finding["id"] for finding in kept["findings"]}, "excepts nothing: remove it"


def pins(lock):
    """Name to version; every line pins one version and one or more hashes."""
    found, form = {}, re.compile(r"([a-z0-9-]+)==(\S+)((?: +--hash=sha256:[0-9a-f]{64})+) *")
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            match = form.fullmatch(line)
            assert match, f"not pinned by version and hash: {line}"
            found[match[1]] = match[2]
    return found


@needs_locks
def test_locked_versions_are_within_the_projects_ranges_and_the_same_for_all_processors():
    project = tomllib.loads((REPO / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def needed(requirements):
        for text in requirements:
            requirement = Requirement(text)
            if requirement.name == "vidik":
                for extra in requirement.extras:
                    yield from needed(extras[extra])
            elif requirement.name != "typer":  # for people's commands, which a camera has not
                yield requirement

    versions = [pins(lock) for lock in sorted(audit.LOCKS.glob("*.lock"))]
    assert all(each == versions[0] for each in versions)
    for requirement in needed([*project["dependencies"], *extras["camera"]]):
        assert requirement.specifier.contains(versions[0][requirement.name]), str(requirement)
