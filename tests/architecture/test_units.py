"""The units as files: how exposed each service is, and whether systemd understands them. Nothing is started here.

The image's systemd is newer than the one of most machines that run this: what only it knows stands in one drop-in,
which is left out here where systemd is older, and looked at by the image's own in tests/units.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
UNITS = ROOT / "image-build" / "units"
SERVICES = sorted(path.name for path in (UNITS / "system").glob("*.service"))
MOST = 1.5  # the most exposure, of 10
# systemd restarts units for nobody else; the camera's folder is root's
ROOT_RUNS = {
    "vidik-replaced.service": ["/usr/bin/systemctl"],
    "vidik-seal.service": [f"/usr/bin/{name}" for name in ("test", "cp", "sync", "mv")],
}
NEWER, KNOWN_SINCE = "20-newer-systemd.conf", 257


@pytest.fixture(scope="module")
def systemd() -> int:
    """The version of systemd here."""
    if shutil.which("systemd-analyze") is None:
        warnings.warn("the units were not looked at: apt install systemd brings systemd-analyze", stacklevel=1)
        pytest.skip("needs systemd-analyze")
    said = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"systemd (\d+)", said)
    assert found is not None
    return int(found[1])


@pytest.fixture(scope="module")
def units(systemd: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the units in which every program exists."""
    folder = tmp_path_factory.mktemp("units")
    shutil.copytree(UNITS / "system", folder, dirs_exist_ok=True)
    if systemd < KNOWN_SINCE:
        (folder / "vidik-.service.d" / NEWER).unlink()
    for path in folder.glob("*.service"):
        path.write_text(path.read_text().replace("/usr/lib/vidik/bin/python", "/bin/true"))
    return folder


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_is_more_exposed_than_agreed(service: str, units: Path) -> None:
    said = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(units / service)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for (\S+): ([\d.]+)", said.stdout)
    assert found is not None, said.stderr
    assert found[1].replace("@i.", "@.") == service  # a template is looked at by an instance
    assert float(found[2]) <= MOST, said.stdout


def test_an_exposed_service_would_be_found(systemd: int, tmp_path: Path) -> None:
    path = tmp_path / "open.service"
    path.write_text("[Service]\nExecStart=/bin/true\n")
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(path)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found is not None
    assert float(found[1]) > 9.0


def test_systemd_finds_nothing_to_say(units: Path) -> None:
    files = [str(path) for path in sorted(units.iterdir()) if path.is_file()]
    command = ["systemd-analyze", "verify", "--man=no", *files]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    ours = [line for line in said.stderr.splitlines() if "vidik" in line]  # this machine's own units may be at odds
    assert ours == []
    assert said.returncode == 0, said.stderr


def text(name: str) -> str:
    return (UNITS / "system" / name).read_text()


def test_every_service_is_a_user_of_its_own_kind_without_privileges() -> None:
    known = set(re.findall(r"^u (\S+)", (UNITS / "sysusers.d" / "vidik.conf").read_text(), re.MULTILINE))
    assert known == {f"vidik-{name}" for name in ("vision", "uplink", "enrol", "update", "link")}
    for service in SERVICES:
        user = re.search(r"^User=(\S+)", text(service), re.MULTILINE)
        assert user is not None
        if service in ROOT_RUNS:
            assert user[1] == "root"
            assert re.findall(r"^Exec\w+=(\S+)", text(service), re.MULTILINE) == ROOT_RUNS[service]
            continue
        assert user[1] in known
        assert not re.search(r"^Exec\w+=[@:-]*[+!]", text(service), re.MULTILINE)  # nothing runs outside its sandbox


def test_who_has_the_camera_has_no_network() -> None:
    for service in SERVICES:
        said = text(service)
        camera = "DeviceAllow=char-video4linux" in said
        assert camera == (service in ("vidik-vision.service", "vidik-aim.service"))
        assert camera == ("PrivateDevices=no" in said)
        if camera:
            assert "\nPrivateNetwork=yes" in said
            assert "AF_INET" not in said


def test_users_keep_their_numbers() -> None:
    """What lies in /data belongs to numbers: a change would give it to somebody else at the next update."""
    said = (UNITS / "sysusers.d" / "vidik.conf").read_text()
    numbers = {name: int(number) for name, number in re.findall(r"^[ug] (vidik\S*)\s+(\d+)", said, re.MULTILINE)}
    assert numbers == {
        "vidik": 880, "vidik-vision": 881, "vidik-uplink": 882, "vidik-enrol": 883, "vidik-update": 884,
        "vidik-link": 885, "vidik-events": 886, "vidik-trial": 887,
    }  # fmt: skip


def test_all_of_systemds_files_are_named_by_the_preset_or_started_by_others() -> None:
    preset = (UNITS / "system-preset" / "80-vidik.preset").read_text()
    enabled = set(re.findall(r"^enable (\S+)", preset, re.MULTILINE))
    files = [path for path in (UNITS / "system").iterdir() if path.is_file()]
    assert enabled == {path.name for path in files if "[Install]" in path.read_text()}


def test_only_updates_see_the_system_bus() -> None:
    for service in SERVICES:
        if "/usr/lib/vidik/bin/python" in text(service):
            hidden = " ".join(re.findall(r"^InaccessiblePaths=(.*)", text(service), re.MULTILINE)).split()
            assert ("-/run/dbus" in hidden) == ("-m edge.update" not in text(service)), service


def test_the_camera_link_reaches_local_networks_only() -> None:
    said = text("vidik-link.service")
    allowed = re.findall(r"^IPAddressAllow=(.*)", said, re.MULTILINE)
    assert "\nIPAddressDeny=any\n" in said
    assert allowed == ["localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"]


def test_an_image_is_confirmed_whether_the_unit_is_enrolled_or_not() -> None:
    for service in ("vidik-health.service", "vidik-update-stick.service"):
        conditions = re.findall(r"^Condition\w+=(\S+)", text(service), re.MULTILINE)
        assert "/usr/lib/vidik/image.toml" in conditions
        assert not [condition for condition in conditions if condition.startswith("/data")]
