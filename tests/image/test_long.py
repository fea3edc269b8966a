"""Identity, grants, seal, spool and audit log survive ten updates and ten rollbacks.

In the first round the broker is away, so that reports wait in the spool: they must arrive from the next image.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.image import images, journey
from tests.image.host import Host
from tests.image.machine import Machine, say
from tests.image.test_amd64 import CLIP_MOUNT

CAMERA = "cam-long"
TRIAL = 180  # seconds, six times what a good image takes when nothing else runs
ROUNDS = int(os.environ.get("VIDIK_IMAGE_ROUNDS", "10"))


@pytest.mark.long
@pytest.mark.timeout(10 * 3600)
def test_ten_updates_and_ten_rollbacks(host: Host, clip: Path, tmp_path: Path) -> None:
    first, bad = images.built("amd64", "2026.11.27"), None
    disk = images.medium(first, tmp_path / "disk.img", journey.brought(host, CAMERA, tmp_path, "/run/footage/clip.mp4"))
    drive = journey.footage(clip, tmp_path)
    machine = Machine(
        "amd64", disk, tmp_path / "machine", drives=(drive,), units={"run-footage.mount": CLIP_MOUNT},
        dropins=journey.dropins(TRIAL),
    )  # fmt: skip
    machine.start()
    try:
        machine.wait_up(900)
        host.wait_report(CAMERA, timeout=1800)
        journey.wait_confirmed(machine)
        before, log = journey.kept(machine), journey.audit(machine, tmp_path / "audit")
        for number in range(1, ROUNDS + 1):
            began, away = time.monotonic(), number == 1
            good = images.built("amd64", f"2026.12.{2 * number}")
            host.offer(good.bundle, good.version)
            waiting = journey.hold_reports(machine, host) if away else set()
            journey.install(machine)
            assert journey.version(machine) == good.version
            journey.release_reports(host, CAMERA, waiting)
            journey.wait_confirmed(machine)
            bad = images.broken("amd64", f"2026.12.{2 * number + 1}", good)
            host.offer(bad.bundle, bad.version)
            waiting = journey.hold_reports(machine, host) if away else set()
            journey.install(machine)
            assert journey.version(machine) == bad.version
            machine.expect_restart(2400)
            assert journey.version(machine) == good.version
            journey.release_reports(host, CAMERA, waiting)
            journey.wait_confirmed(machine)
            assert journey.kept(machine) == before
            now = journey.audit(machine, tmp_path / "audit")
            assert now[: len(log)] == log
            log = now
            host.wait_report(CAMERA, len(host.reports(CAMERA)))
            say(f"round {number}: {time.monotonic() - began:.0f} s")
    finally:
        machine.close()
