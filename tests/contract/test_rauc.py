"""The slots of a unit: the real RAUC over D-Bus, and the machine that tests use, behave alike.

RAUC writes into two files that stand for slots; its boot loader is a script. The kernel of a development machine has no
device mapper, so the bundle here has the format ``plain``: one of the format ``verity`` is installed in the image only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from edge.update import __main__ as program
from edge.update.bundle import BundleError
from edge.update.image import Image
from edge.update.rauc import Rauc
from edge.update.slots import RaucError
from provisioning import keyfile, pki
from tests.rig import ROOT, wait_for
from tests.updates import BOARD, Machine, Workshop, need_rauc

_LOADER = """#!/bin/sh
cd "$(dirname "$0")"
case $1 in
get-primary) cat primary ;;
set-primary) echo "$2" > primary; echo good > "state-$2" ;;
get-state) cat "state-$2" ;;
set-state) echo "$3" > "state-$2" ;;
esac
"""
_BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={socket}</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
</policy></busconfig>
"""


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    need_rauc()
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def plain(workshop: Workshop, tmp_path: Path) -> Path:
    """A signed bundle of the format plain, whose signing key lies there in the open."""
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "manifest.raucm").write_text(
        f"[update]\ncompatible={BOARD}\nversion=2026.12\n[bundle]\nformat=plain\n[image.rootfs]\nfilename=rootfs.img\n"
    )
    (folder / "rootfs.img").write_bytes(b"the new image".ljust(100_000, b"."))
    keys, key = workshop.keys["release"], tmp_path / "plain.key"
    key.write_bytes(pki.private_pem(keyfile.load(keys / "signing.key", workshop.secret)))
    out = tmp_path / "plain.raucb"
    subprocess.run(
        ["rauc", "bundle", f"--cert={keys / 'signing.pem'}", f"--key={key}", folder, out], check=True,
        capture_output=True,
    )  # fmt: skip
    return out


@pytest.fixture
def service(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rauc]:
    """RAUC's service on a bus of its own."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("needs dbus-daemon")
    loader, system, bus = tmp_path / "loader", tmp_path / "system.conf", tmp_path / "bus"
    loader.write_text(_LOADER)
    loader.chmod(0o755)
    for name, content in (("primary", "A"), ("state-A", "good"), ("state-B", "bad")):
        (tmp_path / name).write_text(content)
    for name in "AB":
        with (tmp_path / f"slot-{name}").open("wb") as file:
            file.truncate(1 << 20)
    slots = "".join(
        f"[slot.rootfs.{number}]\ndevice={tmp_path}/slot-{name}\ntype=raw\nbootname={name}\n"
        for number, name in enumerate("AB")
    )
    shutil.copy(workshop.keys["release"] / "ca.pem", tmp_path / "keyring.pem")
    system.write_text(
        f"[system]\ncompatible={BOARD}\nbootloader=custom\nmountprefix={tmp_path}/mount\nstatusfile={tmp_path}/status\n"
        f"bundle-formats=plain verity\n[handlers]\nbootloader-custom-backend={loader}\n"
        f"[keyring]\npath=keyring.pem\n{slots}"
    )
    (tmp_path / "bus.conf").write_text(_BUS.format(socket=bus))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={bus}")
    monkeypatch.setenv("DBUS_STARTER_BUS_TYPE", "session")
    with (tmp_path / "log").open("wb") as log:
        running = [
            subprocess.Popen(
                ["dbus-daemon", f"--config-file={tmp_path / 'bus.conf'}", "--nofork"], stdout=log, stderr=log
            )
        ]
        try:
            wait_for(bus.exists, 30.0)
            command = ["rauc", f"--conf={system}", "--override-boot-slot=A", "service"]
            running.append(subprocess.Popen(command, stdout=log, stderr=log))
            rauc = Rauc(system)
            wait_for(lambda: _answers(rauc), 30.0)
            yield rauc
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(30)


def _answers(rauc: Rauc) -> bool:
    try:
        rauc.slots()
    except RaucError:
        return False
    return True


@pytest.fixture(params=["rauc", "machine"])
def installer(request: pytest.FixtureRequest, workshop: Workshop) -> Rauc:
    if request.param == "rauc":
        if not _loop_devices():
            pytest.skip("needs loop devices, and the right to use them")
        found: Rauc = request.getfixturevalue("service")
        return found
    return Machine(workshop.system("release"))


def _loop_devices() -> bool:
    return os.geteuid() == 0 and Path("/dev/loop-control").exists()


def test_an_installation_goes_to_the_other_slot_which_is_started_next(installer: Rauc, plain: Path) -> None:
    before = installer.slots()
    assert (before.booted, before.primary, before.other_is_good()) == ("rootfs.0", "rootfs.0", False)
    installer.install(plain)
    after = installer.slots()
    assert (after.booted, after.primary, after.other_is_good()) == ("rootfs.0", "rootfs.1", True)


def test_the_running_slot_can_be_marked(installer: Rauc) -> None:
    installer.mark_bad()
    assert not installer.slots().good["rootfs.0"]
    installer.mark_good()
    assert installer.slots().good == {"rootfs.0": True, "rootfs.1": False}


def test_the_other_slot_can_be_preferred(installer: Rauc) -> None:
    installer.prefer_other()
    after = installer.slots()
    assert (after.booted, after.primary, after.other_is_good()) == ("rootfs.0", "rootfs.1", True)


def test_the_real_one_writes_what_is_in_the_bundle(service: Rauc, plain: Path, tmp_path: Path) -> None:
    if not _loop_devices():
        pytest.skip("needs loop devices, and the right to use them")
    service.install(plain)
    assert (tmp_path / "slot-B").read_bytes().startswith(b"the new image...")
    assert (tmp_path / "slot-A").read_bytes().strip(b"\0") == b""


def test_what_rauc_complains_of_is_told(service: Rauc, workshop: Workshop, tmp_path: Path) -> None:
    broken = tmp_path / "broken.raucb"
    broken.write_bytes(workshop.bundle().read_bytes()[:-1])
    with pytest.raises(RaucError, match=r"rauc install failed: .*broken\.raucb"):
        service.install(broken)


def test_the_programs_on_the_real_rauc(
    service: Rauc, workshop: Workshop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a device mapper RAUC refuses to mount the bundle, after everything else was done: that is told."""
    image, camera = tmp_path / "image.toml", tmp_path / "camera"
    image.write_text(Image(version="2026.11", board=BOARD, channel="release", floor="2026.9").toml())
    camera.mkdir()
    options = ["--config", camera / "camera.toml", "--image", image, "--system", tmp_path / "system.conf"]

    def run(command: str, *more: object) -> int:
        return program.main([command, *map(str, [*options, *more])])

    def said() -> dict[str, str]:
        found: dict[str, str] = json.loads((camera / "run" / "notices" / "update.json").read_bytes())
        return found

    (tmp_path / "state-A").write_text("bad")  # as after every start
    assert run("health") == 0
    assert (tmp_path / "state-A").read_text().strip() == "good"
    assert said() == {"state": "current", "version": "2026.11", "slot": "rootfs.0", "cause": ""}
    assert run("stick", workshop.bundle(channel="development")) == 4
    assert said()["state"] == "refused"
    assert run("health") == 0
    assert said()["state"] == "refused"  # still
    mapper = Path("/dev/mapper/control").exists() and _loop_devices()
    assert run("stick", workshop.bundle()) == (10 if mapper else 5)
    assert said()["state"] == ("installed" if mapper else "failed")
    posts = sorted((camera / "events").glob("*.event"))
    states = [json.loads(path.read_bytes())["facts"]["state"] for path in posts]
    assert states == ["refused", "installing", "installed" if mapper else "failed"]
    capsys.readouterr()
    assert run("status") == 0
    assert "2026.11 for vidik-generic-amd64, release; lowest version 2026.9" in capsys.readouterr().out
    assert run("stick", tmp_path / "nothing") == (10 if mapper else 2)


def test_nobody_but_the_update_process_may_ask_rauc_for_anything(workshop: Workshop) -> None:
    """The policy of the image's bus, in force on a real one: ``nobody`` takes the place of the update process here."""
    if shutil.which("dbus-send") is None or shutil.which("setpriv") is None or os.geteuid() != 0:
        pytest.skip("needs dbus-send, setpriv, and root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        policy = (ROOT / "image-build/units/dbus-1/system.d/vidik-rauc.conf").read_text()
        (folder / "b-ours.conf").write_text(policy.replace("vidik-update", "nobody"))
        (folder / "a-rauc.conf").write_text(
            '<busconfig><policy context="default"><allow send_destination="de.pengutronix.rauc"/></policy></busconfig>'
        )
        bus = folder / "bus"
        everybody = _BUS.format(socket=bus).replace('send_destination="*"', 'user="*"/><allow send_destination="*"')
        added = "".join(f"<include>{folder / file}</include>" for file in ("a-rauc.conf", "b-ours.conf"))
        (folder / "bus.conf").write_text(everybody.replace("</busconfig>", f"{added}</busconfig>"))
        environment = os.environ | {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={bus}", "DBUS_STARTER_BUS_TYPE": "session"}
        system = workshop.system("release")
        commands = [
            ["dbus-daemon", f"--config-file={folder / 'bus.conf'}", "--nofork"],
            ["rauc", f"--conf={system}", "--override-boot-slot=rootfs.0", "service"],
        ]
        running: list[subprocess.Popen[bytes]] = []

        def asked_by(user: str) -> str:
            call = ["--print-reply", "--dest=de.pengutronix.rauc", "/", "org.freedesktop.DBus.Peer.Ping"]
            command = ["setpriv", f"--reuid={user}", "--clear-groups", "dbus-send", f"--bus=unix:path={bus}", *call]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stderr

        try:
            for command in commands:
                running.append(subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL))
                wait_for(bus.exists, 30.0)
            wait_for(lambda: asked_by("root") == "", 30.0)
            assert asked_by("nobody") == ""
            for user in ("daemon", "www-data"):
                assert "AccessDenied" in asked_by(user)
        finally:
            for process in reversed(running):
                process.terminate()
                process.wait(30)


def test_without_a_service_nothing_hangs(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path / 'none'}")
    monkeypatch.delenv("DBUS_STARTER_BUS_TYPE", raising=False)
    with pytest.raises(RaucError):
        Rauc(workshop.system("release")).slots()


def test_an_expired_signer_is_named(workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = workshop.keys["release"]
    ca = pki.Issued(
        pki.x509.load_pem_x509_certificate((keys / "ca.pem").read_bytes()),
        keyfile.load(keys / "ca.key", workshop.secret),
    )
    monkeypatch.setattr(pki, "UPDATE_SIGNER_LIFE", timedelta(seconds=-60))
    pki.issue_update_signer(ca, "late").save(tmp_path, "late")
    content, out = tmp_path / "content", tmp_path / "late.raucb"
    content.mkdir()
    (content / "manifest.raucm").write_text(f"[update]\ncompatible={BOARD}\nversion=1\n[bundle]\nformat=verity\n")
    (content / "some").write_bytes(os.urandom(10_000))
    command = ["rauc", "bundle", f"--cert={tmp_path}/late.pem", f"--key={tmp_path}/late.key", content, out]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(BundleError, match="certificate has expired, by this camera's clock"):
        Rauc(workshop.system("release")).verify(out)
