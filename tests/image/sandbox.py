"""Questions asked from inside a unit's own sandbox: for one start its program is replaced by a probe, no more."""

from __future__ import annotations

import json
from typing import Any

from tests.image.journey import PYTHON
from tests.image.machine import Machine

_PROBE = """
import errno, glob, json, os, socket
found = {}
for name in ("AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH"):
    try:
        socket.socket(getattr(socket, name), socket.SOCK_DGRAM if name != "AF_PACKET" else socket.SOCK_RAW).close()
        found[name] = "opened"
    except OSError as error:
        found[name] = errno.errorcode[error.errno]
for path in ["/dev/video0", "/dev/media0", "/dev/vda", "/dev/mem", "/data/camera/spool/spool.sqlite",
             "/data/camera/state",
             "/data/camera/identity/current/signing.key",
             "/data/camera/identity/current/connection.key"]:
    try:
        handle = os.open(path, os.O_RDONLY)
        os.close(handle)
        found[path] = "opened"
    except OSError as error:
        found[path] = errno.errorcode[error.errno]
written = []
for place in ("/", "/etc", "/usr", "/var", "/var/tmp", "/tmp", "/run", "/run/vidik", "/home", "/root", "/dev/shm",
              "/data", "/data/camera", "/data/camera/state", "/data/camera/spool", "/data/camera/identity",
              "/data/camera/update",
              "/data/camera/grants", "/data/camera/events", "/run/vidik/incoming", "/run/vidik/notices"):
    try:
        with open(os.path.join(place, ".probe"), "w") as file:
            file.write("x")
        os.unlink(os.path.join(place, ".probe"))
        written.append(place)
    except OSError:
        pass
found["written"] = written
found["interfaces"] = sorted(os.listdir("/sys/class/net")) if os.path.isdir("/sys/class/net") else []
found["gpio"] = {}
for chip in sorted(glob.glob("/dev/gpiochip*")):
    from edge.vision.gpio import GpioError, Line
    try:
        wire, lamp, seen = Line(chip, 4), Line(chip, 5), []
        for on in (True, False, True):
            lamp.write(on)
            seen.append(lamp.read())
        found["gpio"][chip] = [wire.read(), seen]
    except GpioError as error:
        found["gpio"][chip] = str(error)
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
found["seccomp"], found["privileges"] = status["Seccomp"].strip(), status["NoNewPrivs"].strip()
found["capabilities"] = status["CapEff"].strip()
found["core"] = __import__("resource").getrlimit(__import__("resource").RLIMIT_CORE)
print("PROBE " + json.dumps(found), flush=True)
"""


def ask(machine: Machine, unit: str) -> dict[str, Any]:
    """What a process in the sandbox of ``unit`` can do."""
    place = f"/run/systemd/system/{unit}.d"
    machine.run("systemctl", "stop", unit)
    machine.run("mkdir", "-p", place)
    machine.put("/run/probe.py", _PROBE.encode())
    override = f"[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart={PYTHON} /run/probe.py\n"
    machine.put(f"{place}/99-probe.conf", override.encode())
    machine.run("chmod", "0755", place)
    machine.run("chmod", "0644", "/run/probe.py", f"{place}/99-probe.conf")
    try:
        machine.run("systemctl", "daemon-reload")
        code, said = machine.status("systemctl", "start", unit, timeout=300)
        journal = machine.run("journalctl", "-u", unit, "-o", "cat", "--no-pager", "-n", "50")
        lines = [line for line in journal.splitlines() if line.startswith("PROBE ")]
        assert lines, f"the probe in {unit} said nothing ({code}): {said}\n{journal}"
        found: dict[str, Any] = json.loads(lines[-1].removeprefix("PROBE "))
        return found
    finally:
        machine.run("rm", "-r", place)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "reset-failed", unit, check=False)
        machine.run("systemctl", "start", "--no-block", unit)
