"""The arm64 image starts under emulation by UEFI and GRUB, enrols by itself and delivers."""

from __future__ import annotations

import time
from pathlib import Path

from tests.image import images, journey, sandbox
from tests.image.host import Host
from tests.image.machine import Machine, say
from tests.image.test_amd64 import CLIP_MOUNT

CAMERA = "cam-arm64"


def test_from_the_first_start_to_the_first_report(host: Host, clip: Path, tmp_path: Path) -> None:
    image = images.built("arm64", "2026.11.27")
    brought = journey.brought(host, CAMERA, tmp_path, "/run/footage/clip.mp4")
    disk = images.medium(image, tmp_path / "disk.img", brought)
    drive = journey.footage(clip, tmp_path)
    machine = Machine(
        "arm64", disk, tmp_path / "machine", drives=(drive,), units={"run-footage.mount": CLIP_MOUNT},
        dropins=journey.dropins(),
    )  # fmt: skip
    machine.start()
    try:
        machine.wait_up(1500)
        assert machine.run("uname", "-m").strip() == "aarch64"
        assert machine.run("findmnt", "-n", "-o", "FSTYPE", "/").strip() == "squashfs"
        host.wait_report(CAMERA, timeout=2400)
        say(f"arm64, power to first report: {time.monotonic() - machine.on_since:.0f} s")
        journey.wait_confirmed(machine)
        assert journey.kept(machine)["spool"]
        say(machine.status("systemd-analyze")[1].strip())
        # a device tree as on a Raspberry Pi, with one GPIO chip: nothing is wired to it, and outputs show their level
        vision, uplink = (sandbox.ask(machine, f"vidik-{unit}.service") for unit in ("vision", "uplink"))
        say(f"GPIO of vision: {vision['gpio']}, of the uplink: {uplink['gpio']}")
        assert vision["gpio"] == {"/dev/gpiochip0": [False, [True, False, True]]}
        assert uplink["gpio"] == {}
    finally:
        machine.close()
