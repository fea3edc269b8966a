"""What of the generic image can be tried without building it: the boot loader's memory, and the medium's layout."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rig import ROOT

GENERIC = ROOT / "image-build" / "generic"
SECTOR = 37  # of the environment block in these tests
FRESH = b"# GRUB Environment Block\nORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n".ljust(1024, b"#")


@pytest.fixture
def editenv(tmp_path: Path) -> Path:
    # O_DIRECT and /run are for the real medium: a file on any file system has neither
    text = (GENERIC / "files/usr/bin/grub-editenv").read_text()
    text = text.replace("@SECTOR@", str(SECTOR)).replace("iflag=direct ", "").replace("oflag=direct ", "")
    tool = tmp_path / "grub-editenv"
    tool.write_text(text.replace("/run/", f"{tmp_path}/"))
    tool.chmod(0o755)
    return tool


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    place = tmp_path / "partition"
    place.write_bytes(b"\xaa" * SECTOR * 512 + FRESH + b"\xbb" * 4096)
    return place


def called(tool: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)


def test_values_are_listed_and_changed_in_place(editenv: Path, partition: Path) -> None:
    before = partition.read_bytes()
    assert called(editenv, partition, "list").stdout.splitlines() == [
        "ORDER=A B", "A_OK=1", "A_TRY=0", "B_OK=0", "B_TRY=0",
    ]  # fmt: skip
    assert called(editenv, partition, "set", "ORDER=B A", "B_OK=1", "B_TRY=0").returncode == 0
    assert sorted(called(editenv, partition, "list").stdout.splitlines()) == [
        "A_OK=1", "A_TRY=0", "B_OK=1", "B_TRY=0", "ORDER=B A",
    ]  # fmt: skip
    after = partition.read_bytes()
    assert len(after) == len(before)
    changed = {place // 512 for place in range(len(after)) if after[place] != before[place]}
    assert changed == {SECTOR}  # one sector: a power cut leaves it as it was, or as it shall be
    block = after[SECTOR * 512 : SECTOR * 512 + 1024]
    assert block.startswith(b"# GRUB Environment Block\n")
    assert block.endswith(b"#" * 512)


def test_a_medium_without_a_block_is_left_alone(editenv: Path, tmp_path: Path) -> None:
    place = tmp_path / "other"
    place.write_bytes(bytes(64 * 512))
    done = called(editenv, place, "set", "A_OK=1")
    assert done.returncode == 1
    assert "no environment block" in done.stderr
    assert place.read_bytes() == bytes(64 * 512)


def test_too_much_is_refused_and_changes_nothing(editenv: Path, partition: Path) -> None:
    before = partition.read_bytes()
    assert called(editenv, partition, "set", f"LONG={'x' * 600}").returncode == 1
    assert partition.read_bytes() == before


def test_the_layout_and_what_refers_to_it_agree() -> None:
    source = "import settings, json; print(json.dumps([(p.name, p.size, p.type.lower()) for p in settings.PARTITIONS]))"
    done = subprocess.run([sys.executable, "-B", "-c", source], cwd=GENERIC, capture_output=True, text=True, check=True)
    names = re.findall(r'\["([a-z-]+)", (\d+), "([0-9a-f-]+)"\]', done.stdout)
    by_number = [name for name, _, _ in names]
    # GRUB's configuration knows partitions by number, RAUC's by label
    grub = (GENERIC / "grub.cfg.in").read_text()
    assert "env=($disk,gpt3)" in grub
    assert by_number[2] == "vidik-env"
    assert "part=($disk,gpt4)" in grub
    assert by_number[3] == "vidik-boot-a"
    assert "part=($disk,gpt6)" in grub
    assert by_number[5] == "vidik-boot-b"
    rauc = (GENERIC / "files/etc/rauc/system.conf.in").read_text()
    assert set(re.findall(r"by-partlabel/([a-z-]+)", rauc)) <= set(by_number)
    # systemd-repart tells partitions by their type: the data partition's must be no slot's
    data = re.search(r"^Type=(.+)$", (GENERIC / "files/usr/lib/repart.d/50-data.conf").read_text(), re.MULTILINE)
    assert data is not None
    assert data[1] not in {kind for _, _, kind in names}
    assert all(int(size) % (1 << 20) == 0 for _, size, _ in names)


def test_release_images_take_no_units_from_the_firmware() -> None:
    source = (GENERIC / "slot.py").read_text()
    assert 'if recipe.channel == "release":\n        line += _OF_RELEASES' in source
    assert "systemd.import_credentials=no" in source
