"""Updates over the enrolment service, with real TLS: who gets what, and a fleet whose rollout stops by itself."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.address import Address
from edge.enrol import client, procedure
from edge.enrol.errors import EnrolError, TryLater
from edge.update import __main__ as program
from edge.update import fetch, office
from edge.update import procedure as updating
from edge.update.image import Image
from edge.update.office import PATH, HttpSource
from edge.update.state import Outcome
from edge.update.unit import End
from provisioning import pki
from provisioning.office import registrar, rollouts, updates
from provisioning.office.cli import app
from provisioning.office.folder import Office
from provisioning.office.inventory import Inventory
from provisioning.office.rollouts import Rollouts
from tests.offices import Server, free_port, passphrase_file
from tests.updates import BOARD, PASSPHRASE, Camera, Machine, Workshop, need_rauc

FLEET = [f"cam-{number:03}" for number in range(200)]
OTHERS = [f"one-{number}" for number in range(12)]
OLD = Image(version="2026.11", board=BOARD, channel="release", floor="2026.9")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    """Whose office is the one that is served."""
    need_rauc()
    made = Workshop(tmp_path_factory.mktemp("workshop"), *FLEET, *OTHERS, enrol_port=free_port())
    release(made.office, "add", str(made.bundle()))
    return made


@pytest.fixture(scope="module")
def served(workshop: Workshop) -> Iterator[Office]:
    running = Server(workshop.office)
    running.start()
    yield workshop.office
    assert running.stop() in (0, -15)


@pytest.fixture(scope="module")
def ca(workshop: Workshop) -> pki.Issued:
    return workshop.office.issuing(passphrase_file(workshop.folder))


@pytest.fixture
def inventory(workshop: Workshop) -> Iterator[Inventory]:
    opened = workshop.office.inventory()
    yield opened
    opened.close()


@pytest.fixture
def rollout(inventory: Inventory, workshop: Workshop) -> Iterator[rollouts.Rollout]:
    """To all cameras, and never stopping."""
    known = Rollouts(inventory)
    begun = known.start(fetch.digest_of(workshop.bundle()), 100.0, 100.0, int(time.time()))
    yield begun
    known.stop(begun.number, "the test is over", int(time.time()))


def release(of: Office, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["release", *arguments, "--office", str(of.folder)])
    if result.exception is not None:
        raise result.exception
    return result.output


def address(of: Office, ca: pki.Issued, inventory: Inventory, camera: str, folder: Path) -> Address:
    """What ``camera`` connects with, as if it had been enrolled."""
    issued = pki.issue_connection(ca, camera)
    with inventory.change():
        registrar.record(inventory, issued.certificate, camera, "connection")
        inventory.set_state(camera, "enrolled")
    issued.save(folder, camera)
    port = of.settings().enrol_port
    return Address("localhost", port, of.ca, folder / f"{camera}.pem", folder / f"{camera}.key")


def source(where: Address) -> HttpSource:
    return HttpSource(client.by_certificate(where))


_next = iter(OTHERS)


@pytest.fixture
def where(served: Office, ca: pki.Issued, inventory: Inventory, tmp_path: Path) -> Address:
    return address(served, ca, inventory, next(_next), tmp_path)


def ask(
    of: Office, method: str, path: str, body: bytes = b"", who: Address | None = None, **headers: str
) -> tuple[int, bytes]:
    """One request of a stock HTTP client."""
    context = ssl.create_default_context(cafile=str(of.ca)) if who is None else who.tls()
    connection = HTTPSConnection("localhost", of.settings().enrol_port, timeout=60, context=context)
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, content


def test_a_camera_gets_its_offer_and_the_bundle(where: Address, rollout: rollouts.Rollout, workshop: Workshop) -> None:
    asked = source(where)
    offer = asked.offer(OLD)
    assert offer is not None
    content = workshop.bundle().read_bytes()
    assert (offer.offer, offer.version, offer.size) == (rollout.number, "2026.12", len(content))
    assert b"".join(asked.download(offer.digest, 0)) == content
    for begin in (1, 4096, len(content) - 1):
        assert b"".join(asked.download(offer.digest, begin)) == content[begin:]
    asked.close()


def test_without_a_certificate_of_a_camera_there_is_nothing(
    served: Office, ca: pki.Issued, rollout: rollouts.Rollout, tmp_path: Path
) -> None:
    query = f"{PATH}?board={BOARD}&version=1&channel=release"
    bundle = f"{PATH}/bundle/{rollout.digest}"
    for method, path in [("GET", query), ("GET", bundle), ("POST", PATH)]:
        assert ask(served, method, path)[0] == 403
    pki.issue_subscriber(ca, "court").save(tmp_path, "court")  # of the deployment, and no camera
    who = Address("localhost", 1, served.ca, tmp_path / "court.pem", tmp_path / "court.key")
    for method, path in [("GET", query), ("GET", bundle), ("POST", PATH)]:
        assert ask(served, method, path, who=who)[0] == 403


def test_a_revoked_camera_is_refused(where: Address, inventory: Inventory, rollout: rollouts.Rollout) -> None:
    asked = source(where)
    assert asked.offer(OLD) is not None
    registrar.withdraw(inventory, where.certificate.stem, "revoked", "key-compromise", int(time.time()))
    with pytest.raises(EnrolError, match="403"):
        asked.offer(OLD)
    with pytest.raises(EnrolError, match="403"):
        next(asked.download(rollout.digest, 0))
    with pytest.raises(EnrolError, match="403"):
        asked.report(Outcome(offer=rollout.number, state="good", version="2026.12"))
    asked.close()


def test_a_camera_without_an_offer_gets_no_bundle(where: Address, rollout: rollouts.Rollout) -> None:
    asked = source(where)
    for digest in (rollout.digest, "ab" * 32, "..", "%2e%2e%2finventory.sqlite"):
        with pytest.raises(EnrolError, match="404"):
            next(asked.download(digest, 0))
    asked.close()


def test_a_rollout_that_is_stopped_gives_not_another_byte(
    where: Address, inventory: Inventory, rollout: rollouts.Rollout
) -> None:
    asked = source(where)
    assert asked.offer(OLD) is not None
    Rollouts(inventory).stop(rollout.number, "by hand", int(time.time()))
    assert asked.offer(OLD) is None
    with pytest.raises(EnrolError, match="404"):
        next(asked.download(rollout.digest, 100))
    asked.close()


def test_a_rollout_that_stops_in_the_middle_of_a_download_is_no_error(
    served: Office, where: Address, inventory: Inventory, rollout: rollouts.Rollout, workshop: Workshop, tmp_path: Path
) -> None:
    camera = Camera(tmp_path / "camera", Machine(workshop.system("release")), OLD)
    known = Rollouts(inventory)

    class Stopping(HttpSource):
        def download(self, digest: str, begin: int) -> Iterator[bytes]:
            known.stop(rollout.number, "by hand", int(time.time()))
            return super().download(digest, begin)

    with pytest.raises(TryLater, match="may have ended"):
        updating.pull(camera.unit(), lambda: Stopping(client.by_certificate(where)))
    assert updating.pull(camera.unit(), lambda: source(where)) is End.DONE
    assert camera.said.state == "current"
    assert not list((camera.folder / "update").glob("*.part"))


def test_what_a_camera_says_is_read_in_bounds(served: Office, where: Address) -> None:
    for body, status in [
        (b"{", 400), (b"[]", 400), (b'{"offer":1,"state":"splendid","version":"1"}', 400), (b"x" * 5000, 413),
        (b'{"offer":"\xff"}', 400),
        (b'{"offer":99,"state":"good","version":"1"}', 200),
    ]:  # fmt: skip
        assert ask(served, "POST", PATH, body, who=where)[0] == status
    for query in ("", "?board=x", f"?board={BOARD}&version=new&channel=release", f"?board={BOARD}&version=1&channel=x"):
        assert ask(served, "GET", PATH + query, who=where)[0] == 400


def test_a_camera_that_asks_too_often_has_to_wait(served: Office, where: Address) -> None:
    query = f"{PATH}?board={BOARD}&version=1&channel=release"
    asked = client.by_certificate(where)
    for _ in range(updates.MOST_A_MINUTE):
        asked.ask("GET", query)
    with pytest.raises(TryLater, match="429"):
        asked.ask("GET", query)
    asked.close()


def test_the_pace_of_one_camera_is_not_anothers() -> None:
    pace = updates.Pace(most=2)
    assert [pace.allows("a", now) for now in (0.0, 1.0, 2.0, 59.0, 60.0, 60.5, 61.0)] == [
        True, True, False, False, True, False, True,
    ]  # fmt: skip
    assert pace.allows("b", 2.0)


def test_a_camera_by_its_own_programs(
    served: Office, inventory: Inventory, rollout: rollouts.Rollout, workshop: Workshop, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Enrolled by a claim, it pulls, installs, starts anew and reports, over the address that its identity names."""
    name = next(_next)
    claim = registrar.make_claim(inventory, name, served.settings(), served.pin(), now=int(time.time()), seconds=3600)
    procedure.enrol(tmp_path / "camera", claim, client.by_claim)
    camera = Camera(tmp_path / "camera", Machine(workshop.system("release")), OLD)
    camera.images["rootfs.1"] = Image(version="2026.12", board=BOARD, channel="release", floor="2026.9")
    connect = lambda: office.connect(tmp_path / "camera" / "camera.toml")  # noqa: E731
    known = Rollouts(inventory)

    def stands() -> str:
        rows = inventory.query("SELECT state FROM outcome WHERE rollout = ? AND camera = ?", rollout.number, name)
        return str(rows[0][0])

    assert updating.pull(camera.unit(), connect) is End.REBOOT
    assert stands() == "installed"
    camera.restart()
    assert camera.check() is End.DONE
    assert updating.pull(camera.unit(), connect) is End.DONE
    assert stands() == "good"
    assert known.counts(rollout.number, int(time.time())).good >= 1
    # and the program itself says what it cannot do on a machine that runs no image
    image = tmp_path / "image.toml"
    arguments = ["--config", str(tmp_path / "camera" / "camera.toml"), "--image", str(image)]
    assert program.main(["pull", *arguments]) == 2
    assert "package manager" in capsys.readouterr().err
    image.write_text(OLD.toml())
    assert program.main(["status", *arguments]) == 0
    assert "Runs: 2026.11 for vidik-generic-amd64, release" in capsys.readouterr().out
    assert program.main(["pull", *arguments, "--system", str(workshop.system("release")), "--patience", "0"]) == 2
    assert "rauc status failed" in capsys.readouterr().err


@pytest.mark.timeout(600)
def test_a_fleet_whose_rollout_stops_at_the_threshold(
    served: Office, ca: pki.Issued, inventory: Inventory, workshop: Workshop, tmp_path: Path
) -> None:
    """200 cameras, each with its own TLS connection. The bundle works on all but every seventh of them."""
    places = {camera: address(served, ca, inventory, camera, tmp_path) for camera in FLEET}
    digest = fetch.digest_of(workshop.bundle())
    first = [camera for camera in FLEET if rollouts.place(digest, camera) < 20.0]
    broken = set(sorted(first)[::7])
    assert 25 < len(first) < 55
    installed: set[str] = set()

    def once(camera: str) -> bool:
        """One look of a camera at the office: whether it got an offer. It reports what became of it at once."""
        asked = source(places[camera])
        try:
            offer = asked.offer(OLD)
            if offer is None:
                return False
            installed.add(camera)
            asked.report(Outcome(offer=offer.offer, state="installed", version=offer.version))
            verdict = "failed" if camera in broken else "good"
            asked.report(Outcome(offer=offer.offer, state=verdict, version=offer.version, cause="no frame"))  # type: ignore[arg-type]
            return True
        finally:
            asked.close()

    def everybody() -> list[str]:
        with ThreadPoolExecutor(8) as pool:
            return [camera for camera, got in zip(FLEET, pool.map(once, FLEET), strict=True) if got]

    assert everybody() == []  # before it starts
    assert "2026.12 to 20 %" in release(served, "start", "2026.12", "--percent", "20%", "--error-threshold", "10%")
    everybody()
    everybody()  # who was turned away asks again, as timers do
    known = Rollouts(inventory)
    stopped = known.rollouts()[-1]
    counts = known.counts(stopped.number, int(time.time()))
    assert installed <= set(first)  # nobody beyond the percentage
    assert stopped.ended is not None
    assert "stopped by itself" in str(stopped.cause)
    assert counts.offered == len(installed) < len(first)  # it stopped before all of them had it
    assert counts.failed == len(installed & broken)
    assert 100 * counts.failed > 10 * counts.offered
    said = release(served, "status")
    assert "stopped by itself" in said
    assert all(f"{camera}: no frame" in said for camera in installed & broken)
    # mended, and started anew: now it reaches all of the share, then everybody
    broken.clear()
    release(served, "start", "2026.12", "--percent", "20", "--error-threshold", "10")
    installed.clear()
    everybody()
    assert installed == set(first)
    release(served, "start", "2026.12", "--percent", "100", "--error-threshold", "10")
    assert len(everybody()) == len(FLEET) - len(first)
    assert installed == set(FLEET)
    release(served, "stop", str(known.rollouts()[-1].number))
    events = [event for _, event, _, _ in inventory.journal()]
    assert events.count("rollout stopped") >= 2
    assert json.loads(
        ask(served, "GET", f"{PATH}?board={BOARD}&version=1&channel=release", who=places["cam-000"])[1]
    ) == {"offer": None}
    assert PASSPHRASE not in json.dumps(inventory.journal())
