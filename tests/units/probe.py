"""Runs in the sandbox of a unit, in the place of its program, and prints what a process can do there."""

import json
import os
import resource
import socket
from pathlib import Path

FAMILIES = ("AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH", "AF_ALG")
CAMERA = Path("/data/camera")
READ = (
    "camera.toml", "identity/current/signing.pem", "identity/current/signing.key", "identity/current/connection.key",
    "state/boot", "spool/spool.sqlite", "grants", "events", "update", "run/inbox", "run/confirm",
    "run/notices/health.json", "/run/dbus/system_bus_socket",
)  # fmt: skip
DEVICES = ("/dev/video0", "/dev/kmsg", "/dev/mem", "/dev/tpmrm0", "/dev/null")


def error(attempt):
    try:
        attempt()
    except OSError as failed:
        return failed.strerror
    return ""


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def open_socket(family):
    socket.socket(getattr(socket, family), socket.SOCK_DGRAM).close()


def read(path):
    if path.is_dir():
        return list(path.iterdir())
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as one:
            return one.connect(str(path))
    with path.open("rb") as file:
        return file.read(1)


def open_device(path):
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def write_in(folder):
    name = folder / ".probe"
    os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    name.unlink()


def writable():
    """Folders in which a file could be made; /proc and /sys hold no files of anybody."""
    found = []
    for folder, inside, _ in os.walk("/"):
        if folder == "/":
            inside[:] = [name for name in inside if name not in ("proc", "sys")]
        if os.access(folder, os.W_OK) and not error(lambda folder=folder: write_in(Path(folder))):
            found.append(folder)
    return found


def kernel():
    """What of /proc/sys and /sys could be changed."""
    found = []
    for top in ("/proc/sys", "/sys"):
        for folder, _, files in os.walk(top):
            found += [f"{folder}/{name}" for name in files if os.access(f"{folder}/{name}", os.W_OK)]
    return found


def write_and_run():
    import mmap

    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def asks_the_clock():
    """What adjtimex(2) says when it is only asked: -1 where it may not even be."""
    import ctypes

    return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))


def set_the_clock():
    import time

    time.clock_settime(time.CLOCK_REALTIME, time.time())


credentials = os.environ.get("CREDENTIALS_DIRECTORY", "")
found = {
    "user": os.getuid(),
    "sockets": {family: error(lambda family=family: open_socket(family)) for family in FAMILIES},
    "interfaces": [name for _, name in socket.if_nameindex()] if not error(lambda: open_socket("AF_NETLINK")) else None,
    "read": {name: error(lambda name=name: read(CAMERA / name)) for name in READ},
    "devices": {name: error(lambda name=name: open_device(name)) for name in DEVICES},
    "dev": names("/dev"),
    "writable": writable(),
    "kernel": kernel(),
    "core": resource.getrlimit(resource.RLIMIT_CORE),
    "capabilities": [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "Cap" in line],
    "processes": len([name for name in names("/proc") if name.isdigit()]),
    "write_and_run": error(write_and_run),
    "namespace": error(lambda: os.unshare(os.CLONE_NEWUSER)),
    "clock": asks_the_clock(),
    "set_clock": error(set_the_clock),
    "setuid": error(lambda: os.setuid(0)),
    "credentials": names(credentials) if credentials else [],
}
print("PROBE " + json.dumps(found), flush=True)
