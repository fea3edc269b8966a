"""Power cuts at every step of enrolment, re-enrolment, renewal and reset: the camera has the old identity or the new.

A step is a call by which the camera's storage changes or something is synchronised, or a request to the service. The
cut comes before or after it; from then on nothing happens any more, and what was never synchronised may be torn.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge import reset
from edge.address import Address
from edge.audit import head as heads
from edge.enrol import check, identity, procedure
from edge.enrol.claim import Claim
from provisioning import pki
from provisioning.office import registrar
from provisioning.office.folder import Office
from provisioning.office.registrar import PURPOSES, Registrar
from tests.offices import Desk, make_office, passphrase_file

STEPS = ("open", "fsync", "replace", "rename", "symlink", "mkdir", "unlink", "rmdir")
REQUESTS = ("authorities", "enrol", "renew", "deployment")
MOST = 200  # more steps than any procedure here has


class PowerCut(BaseException):
    """The moment at which the camera stops."""


class Power:
    """Counts steps, and cuts before or after the one with a given number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.at: tuple[int, bool] | None = None
        self.off = False
        self._working = False
        for name in STEPS:
            # nothing here depends on the medium having it: synchronising is a step, and costs no time
            monkeypatch.setattr(os, name, self._step(getattr(os, name) if name != "fsync" else lambda _: None))

    def requests_of(self, service: Desk) -> Desk:
        """``service`` with every request counted as a step, inside of which the camera's storage does nothing."""
        for name in REQUESTS:
            setattr(service, name, self._step(getattr(service, name)))
        return service

    def run(self, work: Callable[[], Any], at: tuple[int, bool] | None) -> bool:
        """Does ``work`` with a cut ``at`` a step (number, after it?); returns whether it came to its end."""
        self.count, self.at, self.off, self._working = 0, at, False, True
        try:
            work()
        except PowerCut:
            return False
        finally:
            self._working = False
        return True

    def _step(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            if not self._working:
                return real(*arguments, **options)
            if self.off:
                raise PowerCut
            self.count += 1
            number = self.count
            if self.at == (number, False):
                self.off = True
                raise PowerCut
            self._working = False  # what the office does within a request is none of the camera's steps
            try:
                return real(*arguments, **options)
            finally:
                self._working = True
                if self.at == (number, True):
                    self.off = True
                    raise PowerCut

        return step


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return make_office(tmp_path_factory.mktemp("office") / "office", *(f"cam-{number}" for number in range(2 * MOST)))


@pytest.fixture(scope="module")
def desk(office: Office) -> Iterator[Registrar]:
    inventory = office.inventory()
    inventory._execute("PRAGMA synchronous=OFF")
    yield Registrar(inventory, office.issuing(passphrase_file(office.folder.parent)))
    inventory.close()


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


def claim_for(office: Office, desk: Registrar, camera: str) -> Claim:
    return registrar.make_claim(
        desk._inventory, camera, office.settings(), office.pin(), now=int(time.time()), seconds=3600, replace=True
    )


def whole(folder: Path, camera: str) -> str | None:
    """The serial of the connection certificate in force, once all of the identity was found to fit together."""
    held = identity.in_force(folder / "identity")
    if held is None:
        return None
    authorities = x509.load_pem_x509_certificates((held / "ca.pem").read_bytes())
    for purpose in PURPOSES:
        issued = x509.load_pem_x509_certificate((held / f"{purpose}.pem").read_bytes())
        key = load_pem_private_key((held / f"{purpose}.key").read_bytes(), password=None)
        check.certificate(issued, key.public_key(), camera, purpose)  # type: ignore[arg-type]
        assert len(check.chain(issued, authorities)) == 2
    assert (held / "trust.toml").read_bytes()
    assert (folder / "camera.toml").read_bytes()
    return f"{x509.load_pem_x509_certificate((held / 'connection.pem').read_bytes()).serial_number:x}"


def tear(folder: Path) -> None:
    """What was being written at the cut, and is not in its place yet, is only half there."""
    for path in folder.rglob("*.new"):
        if path.is_file() and not path.is_symlink():
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cuts() -> Iterator[tuple[int, bool]]:
    """Before and after every step."""
    for number in range(1, MOST):
        yield number, False
        yield number, True


def test_a_cut_at_every_step_of_enrolment(office: Office, desk: Registrar, power: Power, tmp_path: Path) -> None:
    for number, at in enumerate(cuts()):
        camera, folder = f"cam-{number}", tmp_path / str(number)
        folder.mkdir()
        claim = claim_for(office, desk, camera)

        def enrol(folder: Path = folder, claim: Claim = claim) -> None:
            procedure.enrol(folder, claim, lambda claim: power.requests_of(Desk(office, desk, claim)))

        finished = power.run(enrol, at)
        tear(folder)
        between = whole(folder, camera)
        enrol()
        assert whole(folder, camera) is not None
        assert between in (None, whole(folder, camera))
        assert len(desk._inventory.certificates(camera)) == 2  # none was issued twice
        assert [path.name for path in (folder / "identity").iterdir() if path.is_dir()].count("current") == 1
        if finished:
            assert number > 60  # the procedure has that many cuts at least: this test cannot pass by cutting nothing
            return
    pytest.fail("the enrolment has more steps than this test cuts")


def test_a_cut_at_every_step_of_a_new_enrolment(office: Office, desk: Registrar, power: Power, tmp_path: Path) -> None:
    camera, folder = "cam-0", tmp_path / "camera"
    procedure.enrol(folder, claim_for(office, desk, camera), lambda claim: Desk(office, desk, claim))
    for at in cuts():
        old = whole(folder, camera)
        assert old is not None
        claim = claim_for(office, desk, camera)

        def enrol(claim: Claim = claim) -> None:
            procedure.enrol(folder, claim, lambda claim: power.requests_of(Desk(office, desk, claim)))

        finished = power.run(enrol, at)
        tear(folder)
        between = whole(folder, camera)
        enrol()
        new = whole(folder, camera)
        assert new != old
        assert between in (old, new)
        assert (
            len([path for path in (folder / "identity").iterdir() if not path.is_symlink()]) == 1
        )  # old keys are gone
        if finished:
            return
    pytest.fail("the enrolment has more steps than this test cuts")


def test_a_cut_at_every_step_of_a_renewal(
    office: Office, desk: Registrar, power: Power, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, folder = "cam-1", tmp_path / "camera"
    for number, at in enumerate(cuts()):
        with monkeypatch.context() as shorter:
            shorter.setattr(pki, "LIFE", timedelta(days=100))
            procedure.enrol(folder, claim_for(office, desk, camera), lambda claim: Desk(office, desk, claim))
        later = datetime.now(UTC) + timedelta(days=90)  # these are due by then, and their successors are not
        old = whole(folder, camera)

        def connect(address: Address) -> Desk:
            shown = x509.load_pem_x509_certificate(address.certificate.read_bytes()).public_bytes(Encoding.DER)
            return power.requests_of(Desk(office, desk, peer=shown))

        finished = power.run(lambda later=later: procedure.renew(folder, later, connect), at)  # type: ignore[misc]
        tear(folder)
        assert whole(folder, camera) is not None
        procedure.renew(folder, later, connect)
        assert whole(folder, camera) != old
        if finished:
            assert number > 20
            return
    pytest.fail("the renewal has more steps than this test cuts")


def test_a_cut_at_every_step_of_a_reset(office: Office, desk: Registrar, power: Power, tmp_path: Path) -> None:
    camera, ready = "cam-2", tmp_path / "ready"
    procedure.enrol(ready, claim_for(office, desk, camera), lambda claim: Desk(office, desk, claim))
    fill(ready)
    for number, at in enumerate(cuts()):
        folder, head = tmp_path / str(number), tmp_path / f"{number}.cose"
        shutil.copytree(ready, folder, symlinks=True)
        secrets = [path for path in folder.rglob("*") if path.is_file() and path.name != "camera.toml"]
        finished = power.run(lambda folder=folder, head=head: reset.reset(folder, head), at)  # type: ignore[misc]
        tear(folder)
        wiped = [path for path in secrets if not path.exists()]
        assert not wiped or head.exists()  # nothing is gone before the log's end is proven
        if not finished and (folder / "camera.toml").exists():
            if not (folder / "reset.begun").exists():
                head.unlink(missing_ok=True)
            reset.reset(folder, head)
        stated, _ = heads.read(head.read_bytes())
        assert stated.camera == camera
        assert [path for path in folder.rglob("*") if path.is_file()] in ([], [folder / "reset.begun"])
        if finished:
            assert number > 40
            return
    pytest.fail("the reset has more steps than this test cuts")


def fill(folder: Path) -> None:
    """Puts something into every place that a reset wipes."""
    for name in (
        "grants/a.grant", "run/incoming/b.grant", "run/notices/card.json", "spool/spool.sqlite", "state/boot", "sealed",
    ):  # fmt: skip
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"something")
