"""What journeys of a machine share: how it is set up, and what is asked of the camera inside."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from edge.audit import verify
from provisioning import audit_cli
from tests.image import footage as street
from tests.image import images, ntp
from tests.image.host import Host
from tests.image.machine import Machine, say

PYTHON = "/usr/lib/vidik/bin/python"
CONFIG = "/data/camera/camera.toml"


def dropins(trial: int = 420) -> dict[str, str]:
    """What units get on top: our clock, and ``trial`` seconds in which a new image has to prove itself.

    On a pole it has longer; here a test waits until a broken one is noticed.
    """
    return {
        **ntp.ASK_US,
        "vidik-health.service": "[Service]\nExecStart=\nExecStart=/usr/lib/vidik/bin/python -m edge.update health "
        f"--config /data/camera/camera.toml --deadline {trial}\n",
    }




def brought(host: Host, camera: str, folder: Path, source: str) -> dict[str, bytes]:
    """What a technician puts on the boot partition: claim, configuration, grant."""
    grant = host.grant(folder / "grants")
    return {
        "vidik-claim.txt": host.claim(camera).encode(),
        "vidik-camera.toml": f'[vision]\nsource = "{source}"\n'.encode(),
        "test.grant": grant.read_bytes(),
    }


def footage(clip: Path, folder: Path) -> Path:
    """A medium with a piece of the clip on it, which stands for the street: it is no medium of the camera's."""
    inside = folder / "footage"
    inside.mkdir()
    street.cut(clip, clip.with_suffix(".json"), inside / "clip.mp4")
    drive = folder / "footage.img"
    subprocess.run(["mksquashfs", inside, drive, "-quiet", "-no-progress", "-noI", "-noD"], check=True)
    return drive


# bundles that no unit may install, and what it says of each
UNWANTED = {
    "old": "older than the floor",
    "foreign": "a CA that this image does not know",
    "unsigned": "not signed",
    "short": "truncated",
    "flipped": "changed or damaged",
    "board": "for the board",
}


def unwanted(folder: Path) -> Path:
    """A medium with a bundle of each kind in ``UNWANTED``."""
    inside = folder / "unwanted"
    inside.mkdir()
    # newer than whatever the tests install: one that runs already is waved through
    newest = images.built("amd64", "2026.11.30")
    good = newest.bundle.read_bytes()
    content = -(-int.from_bytes(good[40:48], "little") // 4096) * 4096  # squashfs: bytes used, in whole blocks
    flipped = bytearray(good)
    flipped[content // 2] ^= 1
    (inside / "old.raucb").hardlink_to(images.built("amd64", "2026.10", floor="2026.10").bundle.resolve())
    (inside / "foreign.raucb").hardlink_to(images.built("amd64", "2026.11.27", "release").bundle.resolve())
    images.for_board("arm64", newest, inside / "board.raucb")
    (inside / "unsigned.raucb").write_bytes(good[:content])
    (inside / "short.raucb").write_bytes(good[:-4096])
    (inside / "flipped.raucb").write_bytes(flipped)
    drive = folder / "unwanted.img"
    subprocess.run(["mksquashfs", inside, drive, "-quiet", "-no-progress", "-noI", "-noD", "-noF"], check=True)
    shutil.rmtree(inside)
    return drive


def from_medium(machine: Machine, name: str) -> tuple[int, str]:
    """Has the update process take the bundle ``name`` of that medium, which is the second drive, as from a stick."""
    machine.run("mkdir", "-p", "/run/unwanted")
    if machine.status("mountpoint", "-q", "/run/unwanted")[0] != 0:
        machine.run("mount", "-t", "squashfs", "-o", "ro", "/dev/vdc", "/run/unwanted")
    return machine.status(
        "systemd-run", "--quiet", "--wait", "--pipe", "--property=User=vidik-update",
        "--property=SupplementaryGroups=vidik vidik-events",
        PYTHON, "-B", "-m", "edge.update", "stick", "--config", CONFIG, f"/run/unwanted/{name}", timeout=900,
    )  # fmt: skip


def update_state(machine: Machine) -> dict[str, Any]:
    """What updates state of themselves, and what the slots are."""
    try:
        stated: dict[str, Any] = json.loads(machine.read("/run/vidik/notices/update.json"))
    except AssertionError:
        return {}
    return stated


def version(machine: Machine) -> str:
    """The version that runs."""
    text = machine.read("/usr/lib/vidik/image.toml")
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version"))


def slot(machine: Machine) -> str:
    """The slot that runs: A or B."""
    return next(word[-1] for word in machine.read("/proc/cmdline").split() if word.startswith("rauc.slot="))


def wait_confirmed(machine: Machine, timeout: float = 1500) -> None:
    """Waits until the running slot counts as good with the boot loader."""
    name = slot(machine)
    machine.wait_for(
        f"slot {name} is marked good",
        f"value = '{name}_TRY=0' in run('/usr/bin/grub-editenv', '/dev/disk/by-partlabel/vidik-env', 'list')[1]",
        timeout,
    )
    say(f"slot {name} is good")


def install(machine: Machine, timeout: float = 1800) -> None:
    """Has the camera fetch what the office offers, and waits until it has restarted into it."""
    say("update")
    machine.run("systemctl", "start", "--no-block", "vidik-update.service")
    machine.expect_restart(timeout)


def wait_written(machine: Machine, source: Path, share: float) -> None:
    """Waits until ``share`` of the new root is in slot B, as the host sees it."""
    begin, root = images.starts(), images.module("settings").ROOT_SIZE
    at, source_at = begin["vidik-root-b"], begin["vidik-root-a"]
    with source.open("rb") as file:
        file.seek(source_at)
        length = len(file.read(root).rstrip(b"\0"))
        place = int(length * share) // 4096 * 4096
        file.seek(source_at + place)
        wanted = file.read(4096)
    deadline = time.monotonic() + 1800
    while time.monotonic() < deadline:
        with machine.disk.open("rb") as file:
            file.seek(at + place)
            if file.read(4096) == wanted:
                return
        time.sleep(0.2)
    raise AssertionError(f"the installation never came to {share:.0%}\n{machine.tail()}")


def times(machine: Machine) -> dict[str, tuple[float, float]]:
    """Of each of our units since the kernel began, seconds: when it was started, and when it was ready.

    Vision is ready when it has described its first frame.
    """
    found = {}
    for unit in ("vidik-enrol", "vidik-uplink", "vidik-vision", "vidik-health", "vidik-setup"):
        said = machine.run(
            "systemctl", "show", f"{unit}.service", "-p", "InactiveExitTimestampMonotonic",
            "-p", "ActiveEnterTimestampMonotonic", "-p", "InactiveEnterTimestampMonotonic",
        )  # fmt: skip
        stamps = {line.split("=")[0]: int(line.split("=")[1] or 0) / 1e6 for line in said.splitlines()}
        begin, ready = stamps["InactiveExitTimestampMonotonic"], stamps["ActiveEnterTimestampMonotonic"]
        if begin:
            found[unit] = (begin, ready or stamps["InactiveEnterTimestampMonotonic"])
    return found


_KEPT = """
import hashlib, pathlib
camera = pathlib.Path('/data/camera')
value = {}
for place in ('identity', 'grants'):
    for path in sorted((camera / place).rglob('*')):
        if path.is_file():
            value[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
value['sealed'] = (camera / 'sealed').exists()
value['spool'] = (camera / 'spool' / 'spool.sqlite').exists()
"""


def kept(machine: Machine) -> dict[str, Any]:
    """What no update and no rollback may change: identity, grants, seal; and that there is a spool."""
    found: dict[str, Any] = machine.python(_KEPT)
    assert found["sealed"], found
    return found


_WAITING = """
import sqlite3
spool = sqlite3.connect('file:/data/camera/spool/spool.sqlite?mode=ro', uri=True)
value = [list(row) for row in spool.execute('SELECT boot, seq FROM item')]
"""


def hold_reports(machine: Machine, host: Host) -> set[tuple[int, int]]:
    """Takes the broker away until reports wait in the spool; gives their numbers."""
    host.broker.stop()
    machine.wait_for("a report waits in the spool", _WAITING, 1200)
    found = {(int(boot), int(seq)) for boot, seq in machine.python(_WAITING)}
    say(f"in the spool, without a broker: {sorted(found)}")
    return found


def release_reports(host: Host, camera: str, waiting: set[tuple[int, int]], timeout: float = 900) -> None:
    """Brings the broker back, and waits until all that was ``waiting`` in the spool has arrived."""
    if not waiting:
        return
    host.broker.start()
    deadline = time.monotonic() + timeout
    while missing := waiting - {(found.report.boot, found.report.seq) for found in host.reports(camera)}:
        assert time.monotonic() < deadline, f"of what was in the spool never came: {sorted(missing)}"
        time.sleep(1)
    say("what was in the spool has come")


_AUDIT = """
import base64, pathlib
value = {path.name: base64.b64encode(path.read_bytes()).decode()
         for path in pathlib.Path('/data/camera/state/audit').iterdir() if path.is_file()}
"""


def audit(machine: Machine, folder: Path) -> list[tuple[int, str]]:
    """Number and event of every entry of the audit log, which is copied to ``folder`` and must be whole."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, content in machine.python(_AUDIT).items():
        (folder / name).write_bytes(base64.b64decode(content))
    found = verify.examine(folder, None)
    assert list(found.problems) == []
    return [(entry.number, entry.event) for entry in audit_cli._entries(folder)]


def wait_event(machine: Machine, before: list[tuple[int, str]], event: str, timeout: float = 120) -> None:
    """Waits until the audit log has ``event`` beyond the entries ``before``: vision collects them every few seconds."""
    deadline = time.monotonic() + timeout
    while True:
        now = audit(machine, machine.folder / "audit")
        assert now[: len(before)] == before
        if event in {name for _, name in now[len(before) :]}:
            return
        assert time.monotonic() < deadline, now[len(before) :]
        time.sleep(3)
