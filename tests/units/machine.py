"""A camera's systemd, booted in a container: a small Debian trixie with the program laid out in it.

The container shares the host's network, so that broker and enrolment service can run in the test. What it cannot show:
limits of memory and tasks and the list of allowed devices, where this machine's kernel gives a container no control
groups of version 2 (``Machine.controllers`` says which).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tests.rig import ROOT

PACKAGES = (
    "dbus", "kmod", "libseccomp2", "passwd", "python3", "python3-systemd", "rauc", "rauc-service", "systemd-sysv",
    "udev", "util-linux",
)  # fmt: skip
NEEDED = {"systemd-nspawn": "systemd-container", "mmdebstrap": "mmdebstrap", "nsenter": "util-linux"}
BUILD = ROOT / "build" / "units"
_PROBE = Path(__file__).with_name("probe.py")
_STICK = "run-vidik-media-stick.mount"
_LEFT_OUT = ("man", "doc", "locale", "info")


def missing() -> str:
    """What this machine lacks for it, in words; nothing when it has all."""
    if os.geteuid() != 0:
        return "needs to be root"
    packages = sorted({package for program, package in NEEDED.items() if shutil.which(program) is None})
    return f"needs {', '.join(packages)}" if packages else ""


def base() -> Path:
    """A trixie as a tar file, made once (a minute) and kept in build/units."""
    tar = BUILD / f"base-{hashlib.sha256(' '.join(PACKAGES).encode()).hexdigest()[:12]}.tar"
    if not tar.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        listed = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        fresh = tar.with_suffix(f".{os.getpid()}.tar")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=apt", f"--include={','.join(PACKAGES)}",
             *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in _LEFT_OUT),
             "trixie", str(fresh), listed.stdout.splitlines()[0]],
            check=True,
        )  # fmt: skip
        fresh.rename(tar)
    return tar


def installed() -> Path:
    """A root folder with the camera's Debian package installed in it, fresh from the factory."""
    root = BUILD / "root"
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "--archive", "--reflink=auto", str(_packed()), str(root)], check=True)
    return root


@cache
def _packed() -> Path:
    root = BUILD / "packed"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    subprocess.run(["tar", "-xf", str(base()), "-C", str(root), "--exclude=./dev/*"], check=True)
    subprocess.run(
        [sys.executable, str(ROOT / "image-build" / "deb"), "amd64", "--fast", "--out", str(root / "srv")], check=True
    )
    subprocess.run(["chroot", str(root), "sh", "-c", "dpkg --install /srv/vidik_*.deb && rm /srv/*.deb"], check=True)
    stick = (root / "usr/lib/systemd/system" / _STICK).read_text()
    for line in stick.splitlines():
        if re.match(r"(BindsTo|After|What|Type|Options)=", line):  # a container has no block devices
            stick = stick.replace(f"{line}\n", "")
    stick = stick.replace("[Mount]\n", "[Mount]\nWhat=/srv/stick\nType=none\nOptions=bind\n")
    (root / "etc/systemd/system" / _STICK).write_text(stick)
    return root


class Machine:
    """Boots ``root`` with ``media`` mounted where a technician's stick would be, and ``binds`` (host to inside)."""

    def __init__(self, root: Path, media: Path, binds: dict[Path, str]) -> None:
        self._log = (BUILD / "console.log").open("wb")
        command = [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={root}",
            f"--machine=vidik-{os.getpid()}", "--console=read-only",
            # for the empty network namespaces of services; --private-network would give it too, and no network
            "--capability=CAP_NET_ADMIN",
            # the container's own filter takes away what it has no capability for, even asking how the clock is
            "--system-call-filter=adjtimex clock_adjtime",
            f"--bind={media}:/srv/stick",
            *(f"--bind={outside}:{inside}" for outside, inside in binds.items()),
        ]  # fmt: skip
        # without a standard input that stays open it shuts down at once
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log)
        self._leader = ""

    def wait(self, seconds: float = 120.0) -> None:
        """Until it has booted."""
        until = time.monotonic() + seconds
        while True:
            assert self._process.poll() is None, (BUILD / "console.log").read_text(errors="replace")
            children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
            if children:
                self._leader = children[0]
                state = self.run("systemctl", "is-system-running", check=False).strip()
                if state in ("running", "degraded"):
                    return
            assert time.monotonic() < until, "the container did not boot"
            time.sleep(0.2)

    def plug(self) -> None:
        """Mounts the stick by its unit, as the arrival of the device does."""
        self.run("systemctl", "start", _STICK)

    def unplug(self) -> None:
        self.run("systemctl", "stop", _STICK)

    def run(self, *command: str, check: bool = True) -> str:
        """What ``command`` prints, run inside as root."""
        inside = ["nsenter", "--target", self._leader, "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--"]
        done = subprocess.run([*inside, *command], capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, unit: str, *names: str) -> dict[str, str]:
        """Properties of a unit."""
        said = self.run("systemctl", "show", unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in said.splitlines())

    def journal(self, unit: str) -> str:
        return self.run("journalctl", "--no-pager", "--output=cat", f"--unit={unit}")

    def wait_for(self, unit: str, state: str = "active", seconds: float = 60.0) -> None:
        until = time.monotonic() + seconds
        while self.show(unit, "ActiveState")["ActiveState"] != state:
            assert time.monotonic() < until, f"{unit} is not {state}: {self.journal(unit)[-3000:]}"
            time.sleep(0.2)

    def listening(self) -> set[str]:
        """Addresses on which a process of the container listens: it shares the network with others."""
        known = self.run("sh", "-c", "cat /proc/net/tcp /proc/net/tcp6")
        held = "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -o 'socket:.[0-9]*' | grep -o '[0-9]*$'"
        inside = self.run("sh", "-c", held)
        rows = [line.split() for line in known.splitlines()]
        assert rows
        return {row[1] for row in rows if len(row) > 9 and row[3] == "0A" and row[9] in inside.split()}

    @property
    def console(self) -> str:
        """What was shown on it since the start."""
        return (BUILD / "console.log").read_text(errors="replace")

    @property
    def controllers(self) -> set[str]:
        """The control group controllers that services have."""
        return set(self.run("cat", "/sys/fs/cgroup/cgroup.controllers", check=False).split())

    @contextmanager
    def instead(self, unit: str) -> Iterator[None]:
        """Has ``unit`` run the probe in the place of its program, with everything else as it is."""
        folder = f"/run/systemd/system/{unit}.d"
        drop_in = (
            "[Unit]\nConditionPathExists=\n"
            "[Service]\nType=oneshot\nRestart=no\nRemainAfterExit=no\nWatchdogSec=0\nExecCondition=\nExecStart=\n"
            "ExecStart=/usr/lib/vidik/bin/python /run/probe.py\n"
        )
        self.run("systemctl", "stop", unit)
        self.run("mkdir", "-p", folder)
        self.run("sh", "-c", f"cat >{folder}/99-probe.conf <<'E'\n{drop_in}E")
        self.run("systemctl", "daemon-reload")
        try:
            yield
        finally:
            self.run("rm", "-r", folder)
            self.run("systemctl", "daemon-reload")

    def probe(self, unit: str) -> dict[str, Any]:
        """What a process can do in the sandbox of ``unit``: see probe.py."""
        with self.instead(unit):
            self.run("sh", "-c", f"cat >/run/probe.py <<'E'\n{_PROBE.read_text()}\nE")
            self.run("systemctl", "start", unit)
            lines = [line for line in self.journal(unit).splitlines() if line.startswith("PROBE ")]
        return dict(json.loads(lines[-1].removeprefix("PROBE ")))

    def stop(self) -> None:
        if self._process.poll() is None:
            if self._leader:
                self.run("systemctl", "poweroff", check=False)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.terminate()
                self._process.wait(30)
        self._log.close()
