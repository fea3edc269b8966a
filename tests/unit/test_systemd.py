"""What the service manager hands over: the inbox's socket, and keys for one process alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge import config, systemd
from edge.errors import VidikError
from edge.handover import HandoverError, Item, Key, Kind, Receiver, Sender
from tests.rig import Rig, end, environment, wait_for

HAND_OVER = """
import os, socket, sys
path, *command = sys.argv[1:]
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen(4)
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(command[0], command)
"""


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "inbox"))
        made.listen(4)
        yield made


def item(seq: int) -> Item:
    return Item(Kind.PLATE, Key(7, seq), 60, b"sealed")


def test_vision_may_start_long_before_the_uplink(listening: socket.socket, tmp_path: Path) -> None:
    path = tmp_path / "inbox"
    sender = Sender(path, longest_pause=0.05)
    try:
        sender.offer(item(1))
        receiver = Receiver(path, listening.dup())
        arrivals: list = []
        wait_for(lambda: arrivals.extend(receiver.receive(0.05)) or arrivals)
        receiver.acknowledge(arrivals)
        wait_for(lambda: sender.unacknowledged == 0)
        receiver.close()
        assert path.exists()  # the next uplink finds the same socket
        sender.offer(item(2))
        again = Receiver(path, listening.dup())
        arrivals.clear()
        wait_for(lambda: arrivals.extend(again.receive(0.05)) or arrivals)
        again.close()
    finally:
        sender.close()


def test_a_socket_of_another_place_is_refused(listening: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with pytest.raises(HandoverError, match="not the inbox"):
        Receiver(tmp_path / "other", listening.dup())
    with pytest.raises(HandoverError, match="cannot be used"):
        Receiver(tmp_path / "missing", listening.dup())
    with socket.socket(socket.AF_INET) as internet, pytest.raises(HandoverError, match="not the inbox"):
        Receiver(tmp_path / "inbox", internet)


def test_the_uplink_takes_the_socket_it_is_given(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    uplink = [sys.executable, "-m", "edge.uplink", "--config", str(rig.config(1))]
    process = subprocess.Popen([sys.executable, "-c", HAND_OVER, str(rig.inbox), *uplink], env=environment())
    sender = Sender(rig.inbox, longest_pause=0.05)
    try:
        sender.offer(rig.item(1))
        wait_for(lambda: sender.unacknowledged == 0)
    finally:
        sender.close()
        assert end(process) == 0
    assert rig.inbox.exists()


def test_nothing_is_taken_that_is_meant_for_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid() + 1))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert systemd.passed_socket() is None
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "2")
    with pytest.raises(VidikError, match="hands over 2 sockets"):
        systemd.passed_socket()
    assert "LISTEN_FDS" not in os.environ


def test_each_process_takes_its_own_key_from_the_service_manager(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    path = rig.config(1)
    path.write_text(
        path.read_text() + '[vision]\ncamera = "cam-1"\nsource = "a.mp4"\ninbox = "inbox"\ntrust = "trust.toml"\n'
        'grants = "grants"\nstate = "state"\nsigning_key = "signing.key"\nsigning_certificate = "signing.pem"\n'
    )
    given = tmp_path / "credentials"
    given.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(given))
    assert config.load(path, config.Vision).signing_key == tmp_path / "signing.key"  # it was given none
    (given / "signing.key").touch()
    assert config.load(path, config.Vision).signing_key == given / "signing.key"
    assert config.load(path, config.Uplink).key == tmp_path / "cam-1.key"
    (given / "connection.key").touch()
    assert config.load(path, config.Uplink).key == given / "connection.key"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "")
    assert config.load(path, config.Vision).signing_key == tmp_path / "signing.key"


def test_a_kernel_that_holds_no_memory_limits_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Raspberry Pi's firmware starts it: the unit's group is there, its memory files are not."""
    own, mount = tmp_path / "cgroup", tmp_path / "fs"
    group = mount / "system.slice" / "vidik-vision.service"
    group.mkdir(parents=True)
    (group / "cgroup.procs").touch()
    own.write_text("0::/system.slice/vidik-vision.service\n")
    monkeypatch.setenv("INVOCATION_ID", "1")
    (trouble,) = systemd.memory_troubles(own, mount)
    assert "cgroup_enable=memory" in trouble
    (group / "memory.max").write_text("1073741824\n")
    assert systemd.memory_troubles(own, mount) == []


def test_where_nobody_set_limits_none_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, mount = tmp_path / "cgroup", tmp_path / "fs"
    mount.mkdir()
    (mount / "cgroup.procs").touch()
    monkeypatch.setenv("INVOCATION_ID", "1")
    assert systemd.memory_troubles(own, mount) == []  # no /proc
    for groups in ("0::/\n", "0::/elsewhere\n", "4:memory:/user\n", ""):
        own.write_text(groups)
        assert systemd.memory_troubles(own, mount) == [], groups
    (mount / "tool").mkdir()
    (mount / "tool" / "cgroup.procs").touch()
    own.write_text("0::/tool\n")
    assert len(systemd.memory_troubles(own, mount)) == 1
    monkeypatch.delenv("INVOCATION_ID")  # started by a person
    assert systemd.memory_troubles(own, mount) == []
