"""A TPM 2.0 in software (swtpm) with a resource manager (tpm2-abrmd), which takes the part of the kernel's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.offices import free_port
from tests.rig import wait_for

_PROGRAMS = ("swtpm", "tpm2-abrmd", "dbus-daemon", "openssl")
_PROVIDERS = ("/usr/lib", "/usr/lib64")


def missing() -> list[str]:
    """What is not installed; ``make test-tpm`` brings it."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
    found = [name for name in _PROGRAMS if shutil.which(name, path=path) is None]
    if not any(next(Path(folder).glob("**/ossl-modules/tpm2.so"), None) for folder in _PROVIDERS):
        found.append("tpm2-openssl")
    return found


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh TPM; yields the environment through which it is reached. Skips, loudly, where there is none."""
    if absent := missing():
        warnings.warn(f"not installed: {', '.join(absent)}. Keys in a TPM were not tested: make test-tpm", stacklevel=3)
        pytest.skip("needs swtpm: make test-tpm")
    folder.mkdir()
    port, bus = _two_ports(), f"unix:path={folder / 'bus'}"
    address = f"host=127.0.0.1,port={port}"
    server, control = (f"type=tcp,port={number},bindaddr=127.0.0.1" for number in (port, port + 1))
    environment = {"DBUS_SESSION_BUS_ADDRESS": bus, "TPM2OPENSSL_TCTI": "tabrmd:bus_type=session"}
    commands = [
        ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--server", server, "--ctrl", control, "--flags",
         "not-need-init,startup-clear"],
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--address", bus],
        ["tpm2-abrmd", "--session", "--allow-root", f"--tcti=swtpm:{address}"],
    ]  # fmt: skip
    ready = [lambda: _listens(port), (folder / "bus").exists, lambda: _answers(environment)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (folder / "log").open("ab") as log:
            for command, is_ready in zip(commands, ready, strict=True):
                path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin"
                processes.append(
                    subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ, **environment, PATH=path))
                )
                wait_for(is_ready, 30.0)
        yield environment
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(10)


def _listens(port: int) -> bool:
    """Without connecting: swtpm serves one client and takes the first for it."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _answers(environment: dict[str, str]) -> bool:
    command = ["openssl", "rand", "-provider", "tpm2", "-provider", "default", "-hex", "4"]
    done = subprocess.run(command, env=dict(os.environ, **environment), capture_output=True, check=False)
    return done.returncode == 0


def _two_ports() -> int:
    """The first of two free neighbours: the library looks for the control port after the other one."""
    while True:
        port = free_port()
        if not _listens(port + 1):
            return port
