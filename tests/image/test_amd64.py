"""The journey of one camera unit: flashed, started, enrolled by itself, updated, cut off, rolled back.

One machine goes through all tests of this file, in their order.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image import images, journey, pixels, sandbox
from tests.image.host import Host
from tests.image.machine import Machine, say

CAMERA = "cam-amd64"
UNITS = Path(__file__).parent.parent.parent / "image-build" / "units" / "system"
CLIP_MOUNT = """[Unit]
Description=Test footage
DefaultDependencies=no
Before=vidik-vision.service
[Mount]
What=/dev/vdb
Where=/run/footage
Type=squashfs
Options=ro
"""


@pytest.fixture(scope="module")
def machine(host: Host, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("amd64")
    image = images.built("amd64", "2026.11.27")
    brought = journey.brought(host, CAMERA, folder, "/run/footage/clip.mp4")
    disk = images.medium(image, folder / "disk.img", brought)
    drives = journey.footage(clip, folder), journey.unwanted(folder)
    made = Machine(
        "amd64", disk, folder / "machine", drives=drives, units={"run-footage.mount": CLIP_MOUNT},
        dropins=journey.dropins(),
    )  # fmt: skip
    yield made
    made.close()


def test_the_first_start_enrols_and_the_first_report_arrives(machine: Machine, host: Host) -> None:
    machine.start()
    machine.wait_up(900)
    host.wait_report(CAMERA, timeout=1800)
    say(f"power to first report: {time.monotonic() - machine.on_since:.0f} s")
    journey.wait_confirmed(machine)
    say(machine.status("systemd-analyze")[1].strip())
    machine.wait_for("the start is over", "value = run('systemctl', 'is-system-running')[1].strip() != 'starting'", 600)
    assert machine.run("systemctl", "--failed", "--no-legend").strip() == ""
    assert machine.status("systemctl", "is-enabled", "ssh.service")[0] != 0


def test_times_of_a_start(machine: Machine, host: Host) -> None:
    """Listed, not judged: an emulated processor is some twenty times slower, and shared with whatever else runs."""
    machine.reboot()
    ready = "value = run('systemctl', 'is-active', 'vidik-vision')[1].strip() == 'active'"
    machine.wait_for("vision is ready", ready, 900)
    say(f"power to vision ready, as seen from outside: {time.monotonic() - machine.on_since:.0f} s at most")
    machine.wait_for("the start is over", "value = run('systemctl', 'is-system-running')[1].strip() != 'starting'", 600)
    say(machine.run("systemd-analyze").strip())
    for unit, (begin, ready) in journey.times(machine).items():
        say(f"{unit}: started at {begin:.1f} s, ready at {ready:.1f} s")
    say(machine.run("systemd-analyze", "critical-chain", "vidik-vision.service", "--no-pager").strip())
    assert "vidik-vision" in journey.times(machine)


def test_the_data_partition_was_made_and_takes_all_the_medium(machine: Machine) -> None:
    size = int(machine.python("import os; s = os.statvfs('/data'); value = s.f_blocks * s.f_frsize"))
    free = images.SIZE - sum(part.size for part in images.module("settings").PARTITIONS)
    assert size > 0.9 * free
    options = machine.run("findmnt", "-n", "-o", "OPTIONS", "/data").strip().split(",")
    assert {"rw", "nodev", "nosuid", "noexec"} <= set(options)


def test_the_claim_is_gone_from_the_boot_partition(machine: Machine) -> None:
    at = images.starts()["vidik-boot"]
    command = ["mdir", "-b", "-i", f"{machine.disk}@@{at}", "::"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "vidik-claim.used" in listed
    assert "vidik-claim.txt" not in listed


def test_nothing_can_be_written_but_data_and_memory(machine: Machine) -> None:
    rows = machine.run("findmnt", "-rn", "-o", "TARGET,SOURCE,FSTYPE,OPTIONS").splitlines()
    on_media = {}
    for target, source, kind, options in (row.split(" ", 3) for row in rows):
        if source.startswith("/dev/"):
            on_media[target] = (kind, options.split(",")[0])
    assert on_media.pop("/") == ("squashfs", "ro")
    assert on_media.pop("/run/footage") == ("squashfs", "ro")
    assert on_media.pop("/run/vidik/media/boot")[0] == "vfat"  # to mark a claim as used
    assert on_media == {"/data": ("ext4", "rw")}
    said = machine.run("cat", "/proc/swaps").splitlines()
    assert len(said) == 1, said
    assert "verity" in machine.read("/sys/block/dm-0/dm/uuid").lower()
    assert machine.read("/proc/sys/kernel/core_pattern").strip() == "|/bin/false"


def test_a_changed_block_of_the_root_is_noticed(machine: Machine, host: Host, tmp_path: Path) -> None:
    """On a copy: the machine must not even come up from a root with one changed byte in a block that is read."""
    machine.run("sync")
    machine.off()
    copy = images.space(machine.disk, tmp_path / "changed.img", images.SIZE)
    at = images.starts()["vidik-root-a"]
    with copy.open("r+b") as file:
        file.seek(at + 100)  # in the first block, which every mount reads
        byte = file.read(1)
        file.seek(at + 100)
        file.write(bytes([byte[0] ^ 1]))
    changed = Machine("amd64", copy, tmp_path / "machine", memory=1024)
    changed.start()
    try:
        changed.wait_console("vidik: slot A", 120)
        # verity ends the start; the boot loader then finds slot A tried and slot B empty, and starts over
        changed.wait_console_times("vidik: slot A", 2, 600)
        assert not changed.answers()
    finally:
        changed.close()
    machine.start()
    machine.wait_up(900)


def test_vision_has_the_camera_and_no_network(machine: Machine) -> None:
    _camera_node(machine)
    found = sandbox.ask(machine, "vidik-vision.service")
    say(f"vision: {found}")
    assert found["/dev/video0"] in ("ENODEV", "ENXIO")  # it was let through, to a driver without a camera
    for family in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH"):
        assert found[family] != "opened", family
    assert found["interfaces"] in ([], ["lo"])
    for path in ("/dev/vda", "/dev/mem", "/data/camera/spool/spool.sqlite",
                 "/data/camera/identity/current/connection.key"):  # fmt: skip
        assert found[path] != "opened", path
    assert not set(found["written"]) - _own("state", "grants", "events") - {"/run/vidik/incoming", "/run/vidik/notices"}
    _locked_down(found)


def test_the_uplink_has_the_network_and_no_camera(machine: Machine) -> None:
    _camera_node(machine)
    found = sandbox.ask(machine, "vidik-uplink.service")
    say(f"uplink: {found}")
    assert found["AF_INET"] == "opened"
    for path in ("/dev/video0", "/dev/media0", "/dev/vda", "/dev/mem", "/data/camera/state",
                 "/data/camera/identity/current/signing.key"):  # fmt: skip
        assert found[path] in ("ENOENT", "EPERM", "EACCES"), path
    assert not set(found["written"]) - _own("spool") - {"/run/vidik/incoming", "/run/vidik/notices"}
    _locked_down(found)


@pytest.mark.parametrize("unit", ["vidik-vision.service", "vidik-uplink.service"])
def test_the_kernel_holds_a_unit_to_the_limits_of_its_file(machine: Machine, unit: str) -> None:
    wanted = dict(re.findall(r"(?m)^(MemoryHigh|MemoryMax|TasksMax)=(\w+)$", (UNITS / unit).read_text()))
    group = machine.run("systemctl", "show", "-P", "ControlGroup", unit).strip()
    held = {name: machine.read(f"/sys/fs/cgroup{group}/{name}").strip() for name in (*_LIMITS.values(), *_USED)}
    say(f"{unit}: {held}")
    for setting, file in _LIMITS.items():
        assert int(held[file]) == _number(wanted[setting]), setting
    assert int(held["memory.peak"]) < _number(wanted["MemoryHigh"])
    assert re.search(r"(?m)^oom_kill 0$", held["memory.events"])


def test_nothing_listens(machine: Machine) -> None:
    """A sealed unit has no port: only DHCP's own clients (68, 546) have a socket that answers could come to."""
    source = """
value = []
for name in ('tcp', 'tcp6', 'udp', 'udp6', 'udplite', 'raw', 'raw6'):
    try:
        lines = open(f'/proc/net/{name}').read().splitlines()[1:]
    except FileNotFoundError:
        continue
    for line in lines:
        local, remote, state = line.split()[1:4]
        port = int(local.rsplit(':', 1)[1], 16)
        if (name.startswith('tcp') and state == '0A') or not name.startswith('tcp'):
            value.append((name, port))
"""
    open_ = [(name, port) for name, port in machine.python(source) if (name, port) not in (("udp", 68), ("udp6", 546))]
    # ICMPv6 of networkd: neighbour discovery, protocol 58
    assert [(name, port) for name, port in open_ if (name, port) != ("raw6", 58)] == []
    assert machine.status("systemctl", "is-active", "vidik-setup.service")[1].strip() != "active"


def test_nobody_can_log_in(machine: Machine) -> None:
    shadow = [line.split(":")[1] for line in machine.read("/etc/shadow").splitlines()]
    assert all(password.startswith(("!", "*")) for password in shadow)
    processes = machine.python(_PROCESSES)
    assert "systemd" in processes
    assert not [name for name in processes if "getty" in name or "login" in name or "ssh" in name]


def test_the_slots_are_what_was_flashed_while_the_camera_runs(machine: Machine, host: Host) -> None:
    at, image = images.starts(), images.built("amd64", "2026.11.27").image
    for part in images.module("settings").PARTITIONS:
        if part.name in ("vidik-root-a", "vidik-boot-a", "vidik-root-b", "vidik-boot-b", "vidik-bios"):
            now, flashed = (_digest(medium, at[part.name], part.size) for medium in (machine.disk, image))
            assert now == flashed, part.name


def test_no_pixels_are_on_the_medium(machine: Machine, host: Host) -> None:
    known = pixels.rows(machine.folder.parent / "footage" / "clip.mp4")
    # that the search finds what is there
    control = machine.folder / "control"
    control.write_bytes(bytes(4096) + next(iter(known)) + bytes(100) + b"\xff\xd8\xff\xe0\x00\x10JFIF")
    assert len(pixels.find(control, 0, control.stat().st_size, known)) == 2
    host.wait_report(CAMERA, len(host.reports(CAMERA)))  # it has seen the street
    machine.run("sync")
    at, size = images.data_at(machine.disk)
    assert pixels.find(machine.disk, at, size, known) == []
    journal = machine.run("journalctl", "-b", "-o", "cat", "--no-pager", "-u", "vidik-*")
    assert max(map(len, journal.splitlines()), default=0) < 2000


@pytest.mark.parametrize("share", [0.5, 0.98])
def test_the_plug_is_pulled_during_an_update(machine: Machine, host: Host, share: float) -> None:
    """When ``share`` of the new root is written. Afterwards the old image runs as if nothing had been."""
    before = journey.kept(machine)
    image = images.built("amd64", "2026.11.28")
    if share < 0.9:
        host.offer(image.bundle, image.version)
    machine.run("systemctl", "start", "--no-block", "vidik-update.service")
    journey.wait_written(machine, image.image, share)
    machine.pull_the_plug()
    machine.start()
    machine.wait_up(900)
    assert (journey.version(machine), journey.slot(machine)) == ("2026.11.27", "A")
    journey.wait_confirmed(machine)
    assert journey.kept(machine) == before
    host.wait_report(CAMERA, len(host.reports(CAMERA)))


def test_an_update_is_installed_proves_itself_and_stays(machine: Machine, host: Host) -> None:
    """The one that was cut off twice, if the tests before this ran."""
    image = images.built("amd64", "2026.11.28")
    host.offer(image.bundle, image.version)
    before, log = journey.kept(machine), journey.audit(machine, machine.folder / "audit")
    journey.install(machine)
    assert (journey.version(machine), journey.slot(machine)) == ("2026.11.28", "B")
    journey.wait_confirmed(machine)
    assert journey.kept(machine) == before
    host.wait_report(CAMERA, len(host.reports(CAMERA)))
    now = journey.audit(machine, machine.folder / "audit")
    assert now[: len(log)] == log
    assert "update" in {event for _, event in now[len(log) :]}


def test_a_broken_update_is_rolled_back(machine: Machine, host: Host) -> None:
    before, running = journey.kept(machine), (journey.version(machine), journey.slot(machine))
    bad = images.broken("amd64", "2026.11.29", images.built("amd64", "2026.11.28"))
    host.offer(bad.bundle, bad.version)
    journey.install(machine)
    assert journey.version(machine) == bad.version
    assert journey.slot(machine) != running[1]
    machine.expect_restart(2400)  # by itself, once the time it has to prove itself is over
    assert (journey.version(machine), journey.slot(machine)) == running
    journey.wait_confirmed(machine)
    assert journey.kept(machine) == before
    host.wait_report(CAMERA, len(host.reports(CAMERA)))
    stated = journey.update_state(machine)
    say(f"update state: {stated}")
    assert stated["state"] == "failed"


@pytest.mark.parametrize(("name", "cause"), journey.UNWANTED.items())
def test_what_must_not_be_installed_is_refused(machine: Machine, host: Host, name: str, cause: str) -> None:
    """With the rights of the update process, from a medium with one bundle of every kind."""
    before, log = journey.kept(machine), journey.audit(machine, machine.folder / "audit")
    running = journey.version(machine), journey.slot(machine)
    code, said = journey.from_medium(machine, f"{name}.raucb")
    stated = journey.update_state(machine)
    say(f"{name}: {code} {said.strip()[-200:]} {stated}")
    assert code == 4
    assert stated["state"] == "refused"
    assert cause in stated["cause"]
    journey.wait_event(machine, log, "update")
    assert (journey.version(machine), journey.slot(machine)) == running
    assert journey.kept(machine) == before


_LIMITS = {"MemoryHigh": "memory.high", "MemoryMax": "memory.max", "TasksMax": "pids.max"}
_USED = ("memory.peak", "memory.events", "pids.current")


def _number(size: str) -> int:
    """Bytes of ``1G`` or ``768M``; a number of tasks is itself."""
    return int(size.rstrip("MG")) * {"M": 2**20, "G": 2**30}.get(size[-1], 1)


_PROCESSES = """
import contextlib, glob
value = []
for name in glob.glob('/proc/[0-9]*/comm'):
    with contextlib.suppress(OSError):  # it has ended meanwhile
        value.append(open(name).read().strip())
"""


def _camera_node(machine: Machine) -> None:
    """A device of the kind that cameras are: who may open it gets as far as the kernel's Video4Linux."""
    machine.run("modprobe", "videodev")
    if machine.status("test", "-e", "/dev/video0")[0] != 0:
        machine.run("mknod", "-m", "0660", "/dev/video0", "c", "81", "0")
        machine.run("chgrp", "video", "/dev/video0")


def _own(*folders: str) -> set[str]:
    """Where a unit may write: its own folders, and its private temporary ones in memory."""
    return {"/tmp", "/var/tmp", "/dev/shm", *(f"/data/camera/{folder}" for folder in folders)}


def _locked_down(found: dict[str, object]) -> None:
    assert found["seccomp"] == "2"
    assert found["privileges"] == "1"
    assert int(str(found["capabilities"]), 16) == 0
    assert found["core"] == [0, 0]


def _digest(path: Path, at: int, size: int) -> str:
    with path.open("rb") as file:
        file.seek(at)
        return hashlib.sha256(file.read(size)).hexdigest()
