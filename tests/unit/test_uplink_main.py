"""The uplink process: what it says when it cannot start, and what the service manager hears of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from edge.uplink.__main__ import main
from provisioning.ports import free_port
from tests.rig import CAMERA, Rig, end, environment


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def failure(config: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--config", str(config)]) == 2
    said = capsys.readouterr().err.strip()
    assert len([line for line in said.splitlines() if " vidik." not in line]) == 1  # one paragraph, beside the log
    assert "Traceback" not in said
    return said


def test_a_missing_configuration(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing.toml cannot be read" in failure(rig.folder / "nothing.toml", capsys)


@pytest.mark.parametrize("file", ["ca.pem", f"{CAMERA}.pem", f"{CAMERA}.key", f"{CAMERA}-signing.pem"])
def test_a_missing_key_or_certificate(rig: Rig, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / file).unlink()
    assert file in failure(rig.config(1), capsys)
    assert not rig.inbox.exists()


def test_a_key_that_is_none(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / f"{CAMERA}.key").write_text("rubbish")
    assert "cannot be used" in failure(rig.config(1), capsys)


def test_an_unusable_spool(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / "spool.sqlite").mkdir()
    assert "spool.sqlite cannot be opened" in failure(rig.config(1), capsys)


def test_an_unusable_inbox(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.inbox.write_text("not a socket")
    assert "inbox cannot be opened" in failure(rig.config(1), capsys)


def test_the_service_manager_hears_that_the_loop_works(rig: Rig) -> None:
    port = free_port()
    config = rig.config(1)  # no broker is there: that is no reason not to be ready
    config.write_text(config.read_text() + f"metrics_port = {port}\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(rig.folder / "notify"))
        manager.settimeout(30)
        told = dict(environment(), NOTIFY_SOCKET=str(rig.folder / "notify"))
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.uplink", "--config", str(config)], env=told, stderr=subprocess.DEVNULL
        )
        try:
            assert manager.recv(999) == b"READY=1\nWATCHDOG=1\nSTATUS=not connected, 0 reports wait"
            assert manager.recv(999) == b"WATCHDOG=1"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                served = answer.read().decode()
            assert "vidik_uplink_connected 0.0" in served
            days = int(float(served.partition("\nvidik_uplink_certificate_days ")[2].split()[0]))
            assert days > 10
            os.kill(process.pid, signal.SIGSTOP)  # stopped: what feeds the watchdog is the loop and nothing else
            manager.settimeout(2.5)
            with suppress(TimeoutError):
                manager.recv(999)  # sent before it was stopped
            with pytest.raises(TimeoutError):
                manager.recv(999)
            os.kill(process.pid, signal.SIGCONT)
            manager.settimeout(30)
            assert b"WATCHDOG=1" in manager.recv(999)
        finally:
            assert end(process) == 0
        said = []
        while not said or said[-1] != b"STOPPING=1":
            said.append(manager.recv(999))


def test_what_a_process_that_cannot_run_says_goes_to_the_service_manager_too(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(rig.folder / "notify"))
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(rig.folder / "notify"))
        failure(rig.folder / "nothing.toml", capsys)
        assert b"STATUS=The configuration" in manager.recv(999)
