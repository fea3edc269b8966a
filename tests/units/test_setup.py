"""Setup mode in its units' sandboxes: a camera from the factory, its label, a technician on its cable, and the seal.

The technician is on one end of a virtual cable, whose address the page is served on. What a person would see in a
browser is looked at by ``make test-browser``.
"""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from edge.listen.opener import Status
from edge.setup import certificate
from edge.update.image import Image
from tests.rig import wait_for
from tests.setup_rig import Visitor
from tests.units import machine
from tests.units.machine import Machine
from tests.units.unit import ENROL, Unit, brought_up

pytestmark = [
    pytest.mark.skipif(not os.environ.get("VIDIK_TEST_UNITS"), reason="takes minutes: make test-units"),
    pytest.mark.timeout(900),
]
PYTHON = "/usr/lib/vidik/bin/python"
CABLE, OTHER_END, ADDRESS, PORT = "vidik-cable", "vidik-laptop", "169.254.87.1", 8443
LATE = "169.254.87.3"
LABEL = re.compile(r"code +([0-9A-Z]{4}-[0-9A-Z]{4})\s+certificate +([0-9A-F ]+?)\r?\n")
ASKED = "vidik-label.txt"
DRAWING = {"zones": [{"name": "zone-1", "points": [[0.1, 0.4], [0.9, 0.4], [0.9, 0.9]], "rule": "entry"}]}
LOADER = """#!/bin/sh
cd /srv/loader
case $1 in
get-primary) cat primary ;;
set-primary) echo "$2" > primary ;;
get-state) cat "state-$2" ;;
set-state) echo "$3" > "state-$2" ;;
esac
"""


def put(path: Path, content: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def factory(root: Path) -> None:
    """What this container has instead of a camera, a boot loader and two slots."""
    units = root / "etc/systemd/system"
    source = "--folder /data/camera --source /srv/clip.avi"
    for unit, program in (
        ("vidik-aim", f"edge.vision.aim {source}"), ("vidik-setup", f"edge.setup {source} --interface {CABLE}"),
    ):  # fmt: skip
        put(units / f"{unit}.service.d/99-clip.conf", f"[Service]\nExecStart=\nExecStart={PYTHON} -m {program}\n")
    # nobody disciplines the clock of a container; timesyncd says so in this file
    put(root / "etc/tmpfiles.d/clock.conf", "d /run/systemd/timesync\nf /run/systemd/timesync/synchronized\n")
    image = Image(version="2026.11", board="vidik-generic-amd64", channel="release", floor="2026.9")
    put(root / "usr/lib/vidik/image.toml", image.toml())
    put(root / "srv/loader/backend", LOADER, 0o755)
    slots = ""
    for number, name in enumerate("AB"):
        put(root / f"srv/loader/slot-{name}", "")
        put(root / f"srv/loader/state-{name}", "bad")  # as after every start
        slots += f"[slot.rootfs.{number}]\ndevice=/srv/loader/slot-{name}\ntype=raw\nbootname={name}\n"
    put(root / "srv/loader/primary", "A")
    certificate.make(root / "srv")  # some CA
    put(
        root / "etc/rauc/system.conf",
        f"[system]\ncompatible={image.board}\nbootloader=custom\nstatusfile=/srv/loader/status\n"
        "[handlers]\nbootloader-custom-backend=/srv/loader/backend\n"
        f"[keyring]\npath=/srv/{certificate.CERTIFICATE}\n{slots}",
    )
    put(
        units / "rauc.service.d/99-slot.conf",
        "[Service]\nExecStart=\nExecStart=/usr/bin/rauc --override-boot-slot=A service\n",
    )


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


@pytest.fixture(scope="module")
def cable() -> Iterator[None]:
    if machine.missing():
        yield
        return
    ip("link", "add", CABLE, "type", "veth", "peer", "name", OTHER_END)
    try:
        ip("link", "set", CABLE, "addrgenmode", "none")  # an address of version 6 would take seconds to be sure of
        ip("address", "add", f"{ADDRESS}/24", "dev", CABLE)
        for end in (CABLE, OTHER_END):
            ip("link", "set", end, "up")
        yield
    finally:
        ip("link", "delete", CABLE)


@pytest.fixture(scope="module")
def unit(cable: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unit]:
    yield from brought_up(tmp_path_factory.mktemp("unit"), factory)


@pytest.fixture(scope="module")
def camera(unit: Unit) -> Machine:
    unit.machine.wait_for("vidik-setup.service", seconds=90.0)
    return unit.machine


def label(text: str) -> tuple[str, str]:
    found = LABEL.findall(text)
    assert len(found) == 1, text[-3000:]
    return found[0][0], found[0][1]


def visitor(camera: Machine, host: str = ADDRESS) -> Visitor:
    """A browser that takes the certificate whose fingerprint is on the label, and no other."""
    path = machine.BUILD / "root/data/camera" / certificate.CERTIFICATE
    issued = x509.load_pem_x509_certificate(path.read_bytes())
    assert certificate.fingerprint(issued) == label(camera.console)[1]
    tls = ssl.create_default_context(cafile=str(path))
    tls.check_hostname = False
    return Visitor(PORT, tls, host, host)


def test_an_image_is_confirmed_before_anybody_has_enrolled_the_camera(camera: Machine) -> None:
    """By the real RAUC over the bus, whose policy came with the package."""
    camera.wait_for("vidik-health.service")
    assert not camera.run("ls", "/data/camera/camera.toml", check=False)
    assert camera.run("cat", "/srv/loader/state-A").strip() == "good"
    assert json.loads(camera.run("cat", "/run/vidik/notices/update.json"))["state"] == "current"


def test_an_address_that_the_cable_gets_later_is_served_while_it_is_there(camera: Machine) -> None:
    """With the kernel's own addresses, asked for from inside the unit's sandbox."""

    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LATE, PORT)) == 0

    assert not listens()
    ip("address", "add", f"{LATE}/24", "dev", CABLE)
    try:
        wait_for(listens, 20.0)
        assert visitor(camera, LATE).get("/") == 200
        assert LATE in camera.show("vidik-setup.service", "StatusText")["StatusText"]
    finally:
        ip("address", "delete", f"{LATE}/24", "dev", CABLE)
    wait_for(lambda: LATE not in camera.show("vidik-setup.service", "StatusText")["StatusText"], 20.0)


def test_who_may_ask_rauc(camera: Machine) -> None:
    call = ["busctl", "call", "de.pengutronix.rauc", "/", "de.pengutronix.rauc.Installer", "GetPrimary"]
    for user in ("vidik-vision", "vidik-uplink", "vidik-enrol", "vidik-link", "nobody"):
        assert not camera.run("setpriv", f"--reuid={user}", "--clear-groups", *call, check=False), user
    assert camera.run("setpriv", "--reuid=vidik-update", "--clear-groups", *call) == 's "rootfs.0"\n'


@pytest.mark.parametrize(
    ("status", "result", "again"),
    [(3, "success", False), (4, "success", False), (5, "success", False), (10, "exit-code", True)],
)
def test_only_ten_starts_the_unit_anew(camera: Machine, status: int, result: str, again: bool) -> None:
    """Where systemd would start the machine anew, it does nothing here."""
    folder = "/run/systemd/system/vidik-update-stick.service.d"
    restart = "vidik-restart@vidik-update-stick.service"
    camera.run("mkdir", "-p", folder, "/run/systemd/system/vidik-restart@.service.d")
    told = f"[Unit]\nConditionPathExists=\n[Service]\nExecStart=\nExecStart=/bin/sh -c 'exit {status}'\n"
    camera.run("sh", "-c", f'cat >{folder}/99-told.conf <<"E"\n{told}E')
    nothing = "[Unit]\nSuccessAction=none\n[Service]\nRemainAfterExit=yes\n"
    camera.run("sh", "-c", f"cat >/run/systemd/system/vidik-restart@.service.d/99-nothing.conf <<E\n{nothing}E")
    camera.run("systemctl", "daemon-reload")
    try:
        camera.run("systemctl", "start", "vidik-update-stick.service", check=False)
        if again:
            camera.wait_for(restart)
        assert camera.show("vidik-update-stick.service", "Result")["Result"] == result
        restarted = camera.show(restart, "ActiveState")["ActiveState"]
        assert restarted == ("active" if again else "inactive")
    finally:
        camera.run("rm", "-r", folder)
        camera.run("systemctl", "stop", restart)
        camera.run("rm", "-r", "/run/systemd/system/vidik-restart@.service.d")
        camera.run("systemctl", "daemon-reload")
        camera.run("systemctl", "reset-failed")


def test_the_label_is_on_the_console_alone(camera: Machine) -> None:
    code, fingerprint = label(camera.console)
    journal = camera.run("journalctl", "--no-pager", "--output=export")
    assert code not in journal
    assert fingerprint not in journal
    files = camera.run("find", "/data/camera/setup", "-type", "f", "-printf", "%f %m %U\n").splitlines()
    assert sorted(files) == [f"code 600 {ENROL}", f"page.key 600 {ENROL}", f"page.pem 644 {ENROL}"]
    everywhere = camera.run("grep", "-rlF", code, "/data", "/run", "/var", "/tmp", check=False)
    assert everywhere == ""


def test_a_stick_that_asks_gets_a_label_and_the_one_before_is_worthless(unit: Unit, camera: Machine) -> None:
    before, fingerprint = label(camera.console)
    unit.bring(ASKED, b"")
    camera.plug()
    until = time.monotonic() + 30
    while not (unit.media / ASKED).stat().st_size:
        assert time.monotonic() < until, camera.journal("vidik-label-stick.service")
        time.sleep(0.2)
    camera.wait_for("vidik-label-stick.service", "inactive")
    camera.unplug()
    code, same = label((unit.media / ASKED).read_text())
    assert (code == before, same) == (False, fingerprint)
    camera.plug()  # it is filled already: it stays what it was
    camera.wait_for("vidik-label-stick.service", "inactive")
    camera.unplug()
    assert label((unit.media / ASKED).read_text())[0] == code
    assert code not in camera.run("journalctl", "--no-pager", "--output=export")
    technician = visitor(camera)
    assert technician.enter(before) == 403
    assert technician.enter(code) == 303


def test_a_camera_is_set_up_and_sealed_in_its_sandboxes(unit: Unit, camera: Machine, tmp_path: Path) -> None:
    # this machine's clock may be synchronised by nobody; a camera's is (timesyncd), or was once
    camera.run("sh", "-c", "date +%s >/data/camera/state/newest && chown 881:881 /data/camera/state/newest")
    camera.run("systemctl", "restart", "vidik-setup.service")  # a new session
    wait_for(camera.listening)
    technician = visitor(camera)
    code, _ = label((unit.media / ASKED).read_text())
    assert technician.enter(code) == 303
    wait_for(lambda: technician.get("/preview") == 200, 120.0)
    assert "JFIF" in technician.body[:20]
    assert camera.show("vidik-aim.service", "ActiveState")["ActiveState"] == "active"

    technician.get("/claim")
    assert technician.post("/claim", claim=unit.claim().decode()).headers["Location"] == "/aim", technician.body
    camera.wait_for("vidik-uplink.service")
    assert camera.show("vidik-vision.service", "ActiveState")["ActiveState"] == "inactive"  # the camera is the page's
    with unit.subscribed("police", tmp_path) as collector:
        wait_for(lambda: collector.of(Status), 60.0)
        technician.get("/aim")
        assert technician.post("/aim").headers["Location"] == "/draw"
        technician.get("/draw")
        assert technician.post("/draw", drawing=json.dumps(DRAWING)).headers["Location"] == "/checks", technician.body
        technician.get("/checks")
        page = technician.body
        checked(technician)
        technician.body = page
        assert technician.post("/seal").status == 200, technician.body
    for name in ("vidik-setup.service", "vidik-aim.service"):
        camera.wait_for(name, "inactive")
    for name in ("vidik-uplink.service", "vidik-vision.service"):
        camera.wait_for(name, seconds=120.0)


def checked(technician: Visitor) -> None:
    """Until every check is well."""
    until = time.monotonic() + 120
    while True:
        assert technician.get("/checks/state") == 200
        lacking = [check for check in json.loads(technician.body) if check["state"] != "ok"]
        if not lacking:
            return
        assert time.monotonic() < until, lacking
        time.sleep(1.0)


def test_after_the_seal_nothing_listens_and_nothing_comes_back(unit: Unit, camera: Machine) -> None:
    assert camera.listening() == set()
    for name in ("vidik-setup.service", "vidik-aim.service", "vidik-label.service"):
        camera.run("systemctl", "start", name)
        assert camera.show(name, "ActiveState")["ActiveState"] == "inactive"
    unit.bring(ASKED, b"")
    camera.plug()
    camera.wait_for("vidik-enrol.service", "inactive")
    camera.unplug()
    assert (unit.media / ASKED).read_text() == ""
    assert camera.listening() == set()


def test_nobody_but_root_can_break_the_seal(camera: Machine) -> None:
    camera.wait_for("vidik-seal.service", "inactive")
    assert camera.run("stat", "--format=%u", "/data/camera/sealed") == "0\n"
    as_enrol = ["setpriv", "--reuid=vidik-enrol", "--regid=vidik", "--groups=vidik-enrol"]
    for attempt in ("rm -f sealed", "mv sealed away", "cp camera.toml own && mv -f own sealed"):
        camera.run(*as_enrol, "sh", "-c", f"cd /data/camera && {attempt}", check=False)
    assert camera.run("sh", "-c", "ls /data/camera | grep -c '^sealed$'") == "1\n"
    assert camera.run("stat", "--format=%u", "/data/camera/sealed") == "0\n"


def test_no_unit_has_failed(camera: Machine) -> None:
    said = camera.run("systemctl", "list-units", "--state=failed", "--no-legend", "--plain", "vidik*")
    assert said == ""
