"""A fleet enrols at once while the service is killed in the middle: nothing is lost, nothing is issued twice.

``make test-fleet-enrolment`` does it with 1,000 cameras; the figure stands in docs/provisioning.md.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from typer.testing import CliRunner

from edge.enrol import __main__ as program
from edge.enrol import claim as claims
from provisioning.office import backup
from provisioning.office.cli import app
from provisioning.office.registrar import PURPOSES
from tests.offices import Server, free_port, make_office

FLEET = int(os.environ.get("VIDIK_FLEET", "24"))
AT_ONCE = 24  # cameras that ask at the same moment


def run(*arguments: str) -> None:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None:
        raise result.exception


@pytest.mark.timeout(1800)
def test_a_fleet_enrols_while_the_service_is_killed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    office = make_office(tmp_path / "office", enrol_port=free_port())
    folder = ["--office", str(office.folder)]
    names = [f"cam-{number:04}" for number in range(FLEET)]
    (tmp_path / "cameras.csv").write_text("id,label,place\n" + "".join(f"{name},,\n" for name in names))
    server = Server(office)
    request.addfinalizer(server.kill)  # leaves no process behind, also when the test fails
    server.start()

    began = time.monotonic()
    run("add", "--csv", str(tmp_path / "cameras.csv"), *folder)
    run("claim", "--all-new", "--as", "txt", "--out", str(tmp_path / "claims"), *folder)
    claimed = time.monotonic()
    done = threading.Semaphore(0)

    def enrol(name: str) -> int:
        claim = str(tmp_path / "claims" / f"{name}.txt")
        code = program.main(["--folder", str(tmp_path / name), "--patience", "1200", "enrol", claim])
        done.release()
        return code

    with ThreadPoolExecutor(AT_ONCE) as pool:
        codes = [pool.submit(enrol, name) for name in names]
        for _ in range(FLEET // 2):
            done.acquire()
        server.kill()
        server.start()
        assert [code.result() for code in codes] == [0] * FLEET
    ended = time.monotonic()
    server.stop()
    print(
        f"{FLEET} cameras: claims in {claimed - began:.1f} s, enrolled in {ended - claimed:.1f} s, service killed once"
    )

    inventory = office.inventory()
    for name in names:
        issued = inventory.certificates(name)
        assert sorted(one.purpose for one in issued) == sorted(PURPOSES)
        (claim,) = inventory.claims(name)
        assert {one.claim for one in issued} == {claim.digest}
        current = tmp_path / name / "identity" / "current"
        held = [x509.load_pem_x509_certificate((current / f"{purpose}.pem").read_bytes()) for purpose in PURPOSES]
        assert {f"{one.serial_number:x}" for one in held} == {one.serial for one in issued}
        assert claims.read(tmp_path / "claims" / f"{name}.txt").camera == name
    assert {camera.state for camera in inventory.cameras()} == {"enrolled"}
    assert [event for _, event, _, _ in inventory.journal()].count("issued") == 2 + 2 * FLEET  # two are the servers'
    assert [event for _, event, _, _ in inventory.journal()].count("service started") == 2
    inventory.close()
    assert backup.check(office) == []
