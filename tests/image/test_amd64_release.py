"""A release image, sealed and without any way in: what can be seen of it is what comes out of it."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from edge import clock
from tests.image import footage, images, journey
from tests.image.host import Host
from tests.image.machine import Machine, say

CAMERA = "cam-release"
VISION = 881  # image-build/units/sysusers.d
_LABEL = re.compile(r"code +[A-Z0-9]{4}-[A-Z0-9]{4}\s+certificate +[0-9A-F]{4} ")


def test_a_release_image_reports_and_takes_no_units_from_the_firmware(host: Host, clip: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "camera" / "state").mkdir(parents=True)
    footage.cut(clip, clip.with_suffix(".json"), data / "clip.mp4")
    # a release image asks public time servers, which tests do not reach: this unit has known the time before
    clock.record(data / "camera" / "state" / "newest", time.time())
    for path in (data / "camera" / "state", data / "camera" / "state" / "newest"):
        os.chown(path, VISION, VISION)
    image = images.built("amd64", "2026.11.27", "release")
    disk = images.medium(image, tmp_path / "disk.img", journey.brought(host, CAMERA, tmp_path, "/data/clip.mp4"), data)
    machine = Machine("amd64", disk, tmp_path / "machine", agent=True)
    machine.start()
    try:
        host.wait_report(CAMERA, timeout=2400)
        say(f"release image, power to first report: {time.monotonic() - machine.on_since:.0f} s")
        assert not machine.answers()  # the agent was offered to it exactly as to the development image
        console = machine.console.read_text(errors="replace")
        assert "login:" not in console
        assert "# " not in console.splitlines()[-1]
    finally:
        machine.close()


def test_the_image_starts_by_uefi_too(host: Host, clip: Path, tmp_path: Path) -> None:
    disk = images.medium(images.built("amd64", "2026.11.27"), tmp_path / "disk.img", {})
    machine = Machine("amd64", disk, tmp_path / "machine", uefi=True)
    machine.start()
    try:
        machine.wait_up(1200)
        assert "/sys/firmware/efi" in machine.run("ls", "-d", "/sys/firmware/efi")
        # no claim: the unit waits to be set up, with its label on the console, and no process of the camera runs
        machine.wait_console("certificate  ", 900)
        assert _LABEL.search(machine.console.read_text(errors="replace"))
        assert machine.status("systemctl", "is-active", "vidik-vision.service")[1].strip() == "inactive"
    finally:
        machine.close()
