"""The bill of materials: names everything that a root holds, in the standard's form, always the same bytes."""

import hashlib
import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

REPO = Path(__file__).parent.parent.parent
SBOM = REPO / "image-build" / "sbom"
PURELIB = Path(sysconfig.get_path("purelib"))

STATUS = """Package: libc6
Status: install ok installed
Section: libs
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.41-12
Depends: libgcc-s1

Package: libgcc-s1
Status: install ok installed
Maintainer: Debian GCC Maintainers <debian-gcc@lists.debian.org>
Architecture: amd64
Source: gcc-14 (14.2.0-19)
Version: 14.2.0-19
Depends: gcc-14-base (= 14.2.0-19), libc6 (>= 2.35)
Description: GCC support library
 Shared version of the support library.
 .
 An empty line in a description is no end of a paragraph.

Package: tzdata
Status: deinstall ok config-files
Maintainer: nobody
Architecture: all
Version: 2025b-4

Package: rauc
Status: install ok installed
Maintainer: Uwe
Architecture: amd64
Version: 1:1.13~rc1+ds-1
Depends: dbus | dbus-broker, libc6 (>= 2.38), libc-runtime:any

Package: dbus-broker
Status: install ok installed
Maintainer: Luca
Architecture: all
Provides: libc-runtime (= 1), dbus-daemon
Version: 36-4
"""

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: somebody
License: LGPL-2.1
 text

Files: debian/*
Copyright: nobody
License: MIT
"""


@pytest.fixture
def root(tmp_path):
    """A root with four installed packages and, as its virtual environment, the one the tests run in."""
    root = tmp_path / "root"
    site = root / "usr/lib/vidik/lib/python3.13/site-packages"
    for folder in (site, root / "etc", root / "var/lib/dpkg", root / "usr/share/doc/rauc"):
        folder.mkdir(parents=True)
    (root / "etc/os-release").write_text('ID=debian\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', encoding="utf-8")
    (root / "var/lib/dpkg/status").write_text(STATUS, encoding="utf-8")
    (root / "usr/share/doc/rauc/copyright").write_text(COPYRIGHT, encoding="utf-8")
    for entry in PURELIB.iterdir():
        (site / entry.name).symlink_to(entry)
    models = site / "models"
    models.unlink(missing_ok=True)
    models.mkdir()
    for model in (REPO / "models").iterdir():
        (models / model.name).symlink_to(model)
    return root


def run(root, arch="amd64", *more, environment=None):
    out = root.parent / "bom.json"
    done = subprocess.run(
        [sys.executable, SBOM, root, arch, out, *more], capture_output=True, text=True, check=False,
        env={**{k: v for k, v in os.environ.items() if k != "SOURCE_DATE_EPOCH"}, **(environment or {})},
    )
    return done, out.read_text(encoding="utf-8") if out.exists() else ""


def test_names_every_package_and_model_in_valid_cyclonedx(root):
    done, written = run(root)
    assert done.returncode == 0, done.stderr
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(written) is None
    components = {component["bom-ref"]: component for component in json.loads(written)["components"]}

    debian = {ref for ref in components if ref.startswith("pkg:deb/")}
    assert debian == {
        "pkg:deb/debian/libc6@2.41-12?arch=amd64&distro=trixie",
        "pkg:deb/debian/libgcc-s1@14.2.0-19?arch=amd64&distro=trixie",
        "pkg:deb/debian/rauc@1:1.13~rc1%2Bds-1?arch=amd64&distro=trixie",
        "pkg:deb/debian/dbus-broker@36-4?arch=all&distro=trixie",
    }
    installed = {
        PackageURL("pypi", None, found.name.replace("_", "-").replace(".", "-").lower(), found.version).to_string()
        for found in importlib.metadata.distributions(path=[str(PURELIB)])
    }
    assert {ref for ref in components if ref.startswith("pkg:pypi/")} == installed
    manifest = tomllib.loads((REPO / "models/manifest.toml").read_text(encoding="utf-8"))["model"]
    listed = {
        (found["name"], found["hashes"][0]["content"], found["licenses"][0]["license"].get("id")
         or found["licenses"][0]["license"]["name"])
        for found in components.values() if found["type"] == "machine-learning-model"
    }
    assert listed == {(model["name"], model["sha256"], model["licence"]) for model in manifest}


def test_package_urls_are_what_others_make_of_them(root):
    _, written = run(root)
    for component in json.loads(written)["components"]:
        if "purl" in component:
            assert PackageURL.from_string(component["purl"]).to_string() == component["purl"]
            assert PackageURL.from_string(component["purl"]).version == component["version"]


def test_licences_sources_and_dependencies(root):
    _, written = run(root)
    document = json.loads(written)
    components = {component["name"]: component for component in document["components"]}
    assert components["rauc"]["licenses"] == [{"license": {"name": "LGPL-2.1"}}, {"license": {"id": "MIT"}}]
    assert {"name": "vidik:source", "value": "glibc"} in components["libc6"]["properties"]
    assert components["msgspec"]["licenses"]
    needs = {entry["ref"]: entry.get("dependsOn", []) for entry in document["dependencies"]}
    # of two alternatives the one that is there, a provided name by who provides it, and no name that is not there
    broker, libc = components["dbus-broker"]["bom-ref"], components["libc6"]["bom-ref"]
    assert needs[components["rauc"]["bom-ref"]] == [broker, libc]
    assert needs[components["libgcc-s1"]["bom-ref"]] == [libc]
    assert components["plate-reader"]["bom-ref"] in needs[components["vidik"]["bom-ref"]]
    assert components["numpy"]["bom-ref"] in needs[components["opencv-python-headless"]["bom-ref"]]


def test_names_the_native_libraries_a_wheel_brought_along(root):
    _, written = run(root)
    wheels = {component["name"]: component for component in json.loads(written)["components"]}
    carried = {file["name"]: file["hashes"][0]["content"] for file in wheels["numpy"]["components"]}
    assert carried, "numpy's wheel carries its linear algebra library"
    assert wheels["opencv-python-headless"]["components"]
    for name, digest in carried.items():
        assert digest == hashlib.sha256((PURELIB / name).read_bytes()).hexdigest()


def test_same_root_same_bytes_and_another_root_another_serial(root):
    first = run(root)[1]
    assert first == run(root)[1]
    assert "timestamp" not in first
    dated = run(root, environment={"SOURCE_DATE_EPOCH": "1700000000"})[1]
    assert json.loads(dated)["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"
    status = root / "var/lib/dpkg/status"
    status.write_text(status.read_text(encoding="utf-8").replace("2.41-12", "2.41-13"), encoding="utf-8")
    assert json.loads(run(root)[1])["serialNumber"] != json.loads(first)["serialNumber"]


def test_records_may_lie_in_the_root_the_image_was_made_of(root):
    whole = run(root)[1]
    base = root.parent / "base"
    for part in ("var/lib/dpkg", "usr/share/doc"):
        (base / part).parent.mkdir(parents=True, exist_ok=True)
        (root / part).rename(base / part)
    assert run(root, "amd64", base)[1] == whole


def another_model(root):
    path = root / "usr/lib/vidik/lib/python3.13/site-packages/models/plate_reader.tflite"
    content = bytearray(path.read_bytes())
    path.unlink()
    content[1000] ^= 1
    path.write_bytes(content)


def no_program(root):
    next((root / "usr/lib/vidik/lib/python3.13/site-packages").glob("vidik-*.dist-info")).unlink()


@pytest.mark.parametrize(("spoil", "arch", "cause"), [
    (another_model, "amd64", "is not the model"),
    (no_program, "amd64", "program is not installed"),
    (lambda root: (root / "var/lib/dpkg/status").unlink(), "amd64", "name as DPKG the root"),
    (lambda root: (root / "etc/os-release").unlink(), "amd64", "no etc/os-release"),
    (lambda root: None, "arm64", "libc6 is for amd64"),
])
def test_a_root_that_contradicts_itself_gets_no_bill(root, spoil, arch, cause):
    spoil(root)
    done, written = run(root, arch)
    assert done.returncode == 1
    assert cause in done.stderr
    assert written == ""
