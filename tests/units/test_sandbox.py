"""The units at work, in a booted systemd: a camera comes to life by a stick, and its processes can do what they should.

``make test-units`` runs it; it takes a few minutes the first time, and must be root.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.enrol import claim as claims
from edge.enrol import configuration
from edge.grant.document import Grant
from edge.listen.opener import Opened, Status
from provisioning import grants
from tests.rig import wait_for
from tests.units.machine import Machine
from tests.units.unit import CAMERA, Unit, brought_up, seal_bytes

pytestmark = [
    pytest.mark.skipif(not os.environ.get("VIDIK_TEST_UNITS"), reason="takes minutes: make test-units"),
    pytest.mark.timeout(900),
]
OVERLAY = '[vision]\nsource = "/srv/clip.avi"\npace = true\n'
FIRST_SECONDS = 5.0  # what the units' own start may take


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Unit]:
    yield from brought_up(tmp_path_factory.mktemp("unit"))


@pytest.fixture(scope="module")
def camera(unit: Unit) -> Machine:
    """The camera, once a stick has brought it to life."""
    inside = unit.machine
    for name in ("vidik-vision.service", "vidik-uplink.service"):
        assert inside.show(name, "ActiveState")["ActiveState"] == "inactive"  # without an identity nothing runs
    unit.bring(configuration.FILE, OVERLAY.encode())
    unit.bring(claims.FILE, unit.claim())
    # this machine's clock may be synchronised by nobody; a camera's is (timesyncd), or was once
    inside.run("sh", "-c", "date +%s >/data/camera/state/newest && chown 881:881 /data/camera/state/newest")
    inside.plug()
    for name in ("vidik-uplink.service", "vidik-vision.service"):
        inside.wait_for(name, seconds=120.0)
    until = time.monotonic() + 30
    while not inside.run("ls", "/run/vidik/notices/health.json", check=False):
        assert time.monotonic() < until, "vision states nothing of itself"
        time.sleep(0.2)
    return inside


@pytest.fixture(scope="module")
def seen(camera: Machine) -> dict[str, dict[str, Any]]:
    """What processes in the sandboxes can do, after which the units run on as before."""
    names = (
        "vision", "uplink", "enrol", "renew", "setup", "aim", "label-stick", "update", "update-stick", "health", "link",
    )  # fmt: skip
    camera.run("systemctl", "stop", "vidik-enrolled.path", "vidik-sealed.path")
    found = {name: camera.probe(f"vidik-{name}.service") for name in names}
    camera.run("systemctl", "start", "vidik-inbox.socket", "vidik-uplink.service", "vidik-vision.service")
    camera.wait_for("vidik-vision.service", seconds=120.0)
    return found


def test_a_stick_brings_a_camera_to_life(unit: Unit, camera: Machine) -> None:
    assert not (unit.media / claims.FILE).exists()
    assert camera.run("ls", "/data/camera/sealed")
    for name in ("vidik-setup.service", "vidik-aim.service"):
        camera.wait_for(name, "inactive")
    assert unit.secret not in camera.run("journalctl", "--no-pager")
    assert camera.listening() == set()


def test_vision_is_ready_when_its_first_frame_is_described(camera: Machine) -> None:
    assert "first frame after" in camera.journal("vidik-vision.service")
    times = camera.show(
        "vidik-vision.service", "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic", "WatchdogUSec"
    )
    began, ready = (int(times[name]) for name in ("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic"))
    print(f"vision: {(ready - began) / 1e6:.2f} s from start to the first frame described")
    assert times["WatchdogUSec"] == "30s"


def test_no_vision_without_the_camera_and_no_network_in_it(seen: dict[str, dict[str, Any]]) -> None:
    for name in ("vision", "aim"):
        sockets = seen[name]["sockets"]
        assert sockets.pop("AF_UNIX") == ""
        assert set(sockets.values()) == {"Address family not supported by protocol"}
        assert seen[name]["devices"]["/dev/video0"] in ("", "No such device or address", "No such device")


def test_no_other_process_opens_a_camera(seen: dict[str, dict[str, Any]]) -> None:
    for name in set(seen) - {"vision", "aim"}:
        assert seen[name]["devices"]["/dev/video0"] == "No such file or directory"
        assert not {"kmsg", "mem", "sda", "vda", "loop0"} & set(seen[name]["dev"])


def test_who_has_the_network(seen: dict[str, dict[str, Any]]) -> None:
    with_network = {name for name, found in seen.items() if found["sockets"]["AF_INET"] == ""}
    assert with_network == {"uplink", "enrol", "renew", "setup", "update", "link"}
    for found in seen.values():
        assert all(found["sockets"][family] for family in ("AF_PACKET", "AF_VSOCK", "AF_BLUETOOTH", "AF_ALG"))


def test_each_reads_what_concerns_it(seen: dict[str, dict[str, Any]]) -> None:
    def readable(name: str) -> set[str]:
        return {path for path, error in seen[name]["read"].items() if not error}

    public = {"camera.toml", "identity/current/signing.pem", "run/notices/health.json"}
    assert readable("vision") == public | {"state/boot", "grants", "events", "run/inbox"}
    assert readable("uplink") == public | {"spool/spool.sqlite", "run/confirm"}
    assert readable("link") == public
    keys = {"identity/current/signing.key", "identity/current/connection.key"}
    assert readable("enrol") == public | keys | {"grants", "events"}
    assert readable("renew") == public | keys
    assert readable("setup") == public | keys | {"grants", "events", "run/inbox", "run/confirm"}
    for name in ("update", "update-stick", "health"):  # the bus, to ask RAUC
        assert readable(name) == public | {"events", "update", "/run/dbus/system_bus_socket"}
    assert readable("aim") == public - {"identity/current/signing.pem"}
    assert readable("label-stick") == public - {"identity/current/signing.pem"} | {"events"}


def test_each_gets_its_own_key_alone(seen: dict[str, dict[str, Any]]) -> None:
    given = {name: found["credentials"] for name, found in seen.items() if found["credentials"]}
    assert given == {"vision": ["signing.key"], "uplink": ["connection.key"], "update": ["connection.key"]}


def test_nothing_is_written_outside_data_and_memory(seen: dict[str, dict[str, Any]]) -> None:
    for name, found in seen.items():
        outside = [path for path in found["writable"] if not path.startswith(("/data/camera", "/run"))]
        assert set(outside) <= {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue"}, name
        assert found["kernel"] == [], name
    data = {name: {p for p in found["writable"] if p.startswith("/data")} for name, found in seen.items()}
    assert data["vision"] == {f"/data/camera/{name}" for name in ("state", "grants", "events")} | _audit(seen)
    assert data["uplink"] == {"/data/camera/spool"}
    assert data["link"] == data["aim"] == set()
    assert data["update"] == data["update-stick"] == data["health"] == {"/data/camera/update", "/data/camera/events"}


def _audit(seen: dict[str, dict[str, Any]]) -> set[str]:
    return {path for path in seen["vision"]["writable"] if path.startswith("/data/camera/state/")}


def test_no_way_to_more(seen: dict[str, dict[str, Any]]) -> None:
    for name, found in seen.items():
        assert found["user"] in range(881, 886), name
        assert found["core"] == [0, 0], name
        assert set(found["capabilities"]) == {"0" * 16}, name
        assert (found["clock"] >= 0) == (name == "vision")  # it asks whether the clock is synchronised
        for attempt in ("write_and_run", "namespace", "setuid", "set_clock"):
            assert found[attempt] in ("Operation not permitted", "Permission denied"), (name, attempt)
        assert found["processes"] < 4, name  # it sees its own only


def test_temporary_files_lie_in_memory(camera: Machine) -> None:
    pid = camera.show("vidik-vision.service", "MainPID")["MainPID"]
    mounts = camera.run("cat", f"/proc/{pid}/mountinfo").splitlines()
    kinds = {line.split()[4]: line.partition(" - ")[2].split()[0] for line in mounts}
    assert (kinds["/tmp"], kinds["/var/tmp"]) == ("tmpfs", "tmpfs")


def test_reports_arrive_and_files_go_between_users(unit: Unit, camera: Machine, tmp_path: Path) -> None:
    """A grant by stick, reports to a subscriber, and its revocation, upon which vision erases the grant's file."""
    now = int(time.time())
    grant = Grant(
        id="sandbox", serial=1, authority="A court", legal_basis="Law", purpose="Test", reference="1",
        function="plates", cameras=(CAMERA,), not_before=now - 300, not_after=now + 3600,
        recipients=(seal_bytes(unit.recipient),), retention=3600, template_key=grants.new_key(), scope="open",
    )  # fmt: skip
    path = grants.write(grant, [unit.authority], tmp_path)
    with unit.subscribed("police", tmp_path) as collector:
        unit.bring("sandbox.grant", path.read_bytes())
        camera.unplug()
        camera.plug()
        until = time.monotonic() + 180
        while not collector.of(Opened) and time.monotonic() < until:  # type: ignore[arg-type]
            time.sleep(0.5)
    assert collector.of(Opened), camera.run("journalctl", "--no-pager", "-n", "80")  # type: ignore[arg-type]


TRIAL = """import json, time
from pathlib import Path
from edge.trial import Trial
with Trial(Path("/data/camera")) as trial:
    trial.send()
    until = time.monotonic() + 40
    while trial.state().state == "waiting" and time.monotonic() < until:
        time.sleep(0.2)
    print("TRIAL " + json.dumps([trial.state().state, trial.state().says]))
"""


def test_a_test_report_of_the_setup_page_is_confirmed(unit: Unit, camera: Machine, tmp_path: Path) -> None:
    """By its own user, through the uplink's inbox, to a subscriber at the broker, and back to where the page looks."""
    with unit.subscribed("court", tmp_path) as collector:
        wait_for(lambda: collector.of(Status), 60.0)  # the camera is back at the broker
        with camera.instead("vidik-setup.service"):
            camera.run("sh", "-c", f"cat >/run/probe.py <<'E'\n{TRIAL}\nE")
            camera.run("systemctl", "start", "vidik-setup.service")
            said = [line for line in camera.journal("vidik-setup.service").splitlines() if line.startswith("TRIAL ")]
    assert json.loads(said[-1].removeprefix("TRIAL "))[0] == "confirmed", said


def test_a_hung_vision_is_started_again(camera: Machine) -> None:
    before = camera.show("vidik-vision.service", "MainPID", "NRestarts")
    camera.run("systemctl", "kill", "--signal=STOP", "vidik-vision.service")
    began = time.monotonic()
    while camera.show("vidik-vision.service", "MainPID")["MainPID"] in (before["MainPID"], "0"):
        assert time.monotonic() < began + 90, camera.journal("vidik-vision.service")[-2000:]
        time.sleep(0.5)
    print(f"a hung vision was started again after {time.monotonic() - began:.0f} s")
    assert "Watchdog timeout" in camera.journal("vidik-vision.service")
    camera.wait_for("vidik-vision.service", seconds=60.0)


def test_a_new_identity_reaches_those_that_run(unit: Unit, camera: Machine) -> None:
    names = ("vidik-uplink.service", "vidik-vision.service")
    before = {name: camera.show(name, "MainPID")["MainPID"] for name in names}
    unit.bring(claims.FILE, unit.claim())
    camera.unplug()
    camera.plug()
    for name in names:
        until = time.monotonic() + 60
        while camera.show(name, "MainPID")["MainPID"] in (before[name], "0"):
            assert time.monotonic() < until, camera.journal("vidik-replaced.service")
            time.sleep(0.2)
        camera.wait_for(name, seconds=60.0)
    until = time.monotonic() + 30
    while '"connected": true' not in camera.run("cat", "/run/vidik/uplink/uplink.json", check=False):
        assert time.monotonic() < until, camera.journal("vidik-uplink.service")[-2000:]
        time.sleep(0.2)


def test_processes_that_die_come_back(camera: Machine) -> None:
    for name in ("vidik-uplink.service", "vidik-vision.service"):
        before = camera.show(name, "MainPID")["MainPID"]
        camera.run("systemctl", "kill", "--signal=KILL", name)
        until = time.monotonic() + 30
        while camera.show(name, "MainPID")["MainPID"] in (before, "0"):
            assert time.monotonic() < until, name
            time.sleep(0.2)
        camera.wait_for(name, seconds=60.0)


def test_units_are_as_verified_by_this_systemd(camera: Machine) -> None:
    units = camera.run("sh", "-c", "ls /usr/lib/systemd/system/*vidik*").split()
    files = [name for name in units if not name.endswith(".d:") and name.startswith("/")]
    said = camera.run("sh", "-c", f"systemd-analyze verify --man=no {' '.join(files)} 2>&1")
    assert said == ""
    names = (name.rpartition("/")[2].replace("@.", "@vidik-health.") for name in files if name.endswith(".service"))
    for service in names:
        said = camera.run("systemd-analyze", "security", "--offline=yes", "--no-pager", service, check=False)
        assert float(said.rpartition(f"level for {service}: ")[2].split()[0]) <= 1.5, said
