"""The two slots by themselves, without office and camera: RAUC, the environment block, GRUB's counting, the plug."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.image import images, journey
from tests.image.machine import Machine, say

BUNDLE = "/run/bundle/next.raucb"
MOUNT = """[Unit]
Description=Test bundle
DefaultDependencies=no
[Mount]
What=/dev/vdb
Where=/run/bundle
Type=squashfs
Options=ro
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("slots")
    disk = images.medium(images.built("amd64", "2026.11.27"), folder / "disk.img", {})
    (folder / "bundle").mkdir()
    (folder / "bundle" / "next.raucb").hardlink_to(images.built("amd64", "2026.11.28").bundle.resolve())
    drive = folder / "bundle.img"
    subprocess.run(
        ["mksquashfs", folder / "bundle", drive, "-quiet", "-no-progress", "-noI", "-noD", "-noF"], check=True
    )
    made = Machine("amd64", disk, folder / "machine", drives=(drive,), units={"run-bundle.mount": MOUNT})
    made.start()
    yield made
    made.close()


def test_the_plug_is_pulled_in_the_middle_of_writing_a_slot(machine: Machine) -> None:
    machine.wait_up(900)
    _quiet(machine)
    assert _environment(machine)["A_TRY"] == "1"  # nobody has said yet that this start is a good one
    machine.run("rauc", "status", "mark-good")
    assert _environment(machine)["A_TRY"] == "0"
    machine.run("systemd-run", "--unit=install", "--no-block", "/usr/bin/rauc", "install", BUNDLE)
    journey.wait_written(machine, images.built("amd64", "2026.11.28").image, 0.5)
    assert _environment(machine)["B_OK"] == "0"
    machine.pull_the_plug()
    machine.start()
    machine.wait_up(900)
    assert journey.slot(machine) == "A"


def test_an_installed_slot_is_started_next(machine: Machine) -> None:
    _quiet(machine)
    machine.run("rauc", "status", "mark-good")
    began = time.monotonic()
    machine.run("rauc", "install", BUNDLE, timeout=1800)
    say(f"installed in {time.monotonic() - began:.0f} s")
    found = _environment(machine)
    assert (found["ORDER"], found["B_OK"], found["B_TRY"]) == ("B A", "1", "0")
    machine.reboot(900)
    assert (journey.slot(machine), journey.version(machine)) == ("B", "2026.11.28")


def test_a_slot_that_nobody_calls_good_is_left_again(machine: Machine) -> None:
    """As after a start that hung, or a power cut before the new image had proved itself."""
    assert _environment(machine)["B_TRY"] == "1"
    machine.run("sync")
    machine.pull_the_plug()
    machine.start()
    machine.wait_up(900)
    assert (journey.slot(machine), journey.version(machine)) == ("A", "2026.11.27")


def _quiet(machine: Machine) -> None:
    """No setup page beside the test: it takes the emulated processor, and nobody is enrolled here."""
    machine.run("systemctl", "stop", "vidik-setup.service", "vidik-aim.service", check=False, timeout=300)


def _environment(machine: Machine) -> dict[str, str]:
    said = machine.run("grub-editenv", "/dev/disk/by-partlabel/vidik-env", "list")
    return dict(line.split("=", 1) for line in said.splitlines())
