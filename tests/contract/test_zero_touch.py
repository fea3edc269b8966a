"""What a technician brings on a stick or the boot partition: taken in by itself, and safe to repeat."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge import config, durable
from edge.config import ConfigError
from edge.enrol import __main__ as program
from edge.enrol import claim as claims
from edge.enrol import configuration, identity, media
from edge.enrol.claim import Claim
from edge.enrol.errors import EnrolError, TryLater
from edge.enrol.service import Service
from provisioning.office import registrar
from provisioning.office.folder import Office
from provisioning.office.registrar import Registrar
from tests.offices import Desk, make_office, passphrase_file

OVERLAY = """
[vision]
source = "picamera:0"
privacy = [[[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]]
[vision.lens]
fps = 20.0
[vision.accelerator]
kind = "edge-tpu"
[vision.behaviour.lines]
stop = [[0.1, 0.5], [0.9, 0.5]]
[[vision.behaviour.rules]]
name = "over"
kind = "line"
line = "stop"
"""


class Place:
    """A camera's folder, one medium, and the office whose claims lie on it."""

    def __init__(self, folder: Path, office: Office) -> None:
        self.folder, self.media, self.medium = folder / "camera", folder / "media", folder / "media" / "stick"
        self.medium.mkdir(parents=True)
        self.folder.mkdir()
        self.office, self.inventory = office, office.inventory()
        self.inventory._execute("PRAGMA synchronous=OFF")
        self.desk = Registrar(self.inventory, office.issuing(passphrase_file(office.folder.parent)))
        self.asked = 0
        self.said: list[tuple[str, str]] = []

    def claim(self, camera: str) -> Claim:
        return registrar.make_claim(
            self.inventory, camera, self.office.settings(), self.office.pin(), now=int(time.time()), seconds=3600,
            replace=True,
        )  # fmt: skip

    def bring(self, camera: str) -> Claim:
        claim = self.claim(camera)
        (self.medium / claims.FILE).write_text(f"{claim}\n")
        return claim

    def connect(self, claim: Claim) -> Service:
        self.asked += 1
        return Desk(self.office, self.desk, claim)

    def take_in(self) -> list[str]:
        return media.take_in(self.folder, self.media, self.connect, lambda *said: self.said.append(said))

    @property
    def sealed(self) -> bool:
        return (self.folder / "sealed").exists()


@pytest.fixture(scope="module")
def offices(tmp_path_factory: pytest.TempPathFactory) -> tuple[Office, Office]:
    folder = tmp_path_factory.mktemp("offices")
    made = [make_office(folder / name / "office", *(f"cam-{n}" for n in range(300))) for name in ("one", "two")]
    return made[0], made[1]


@pytest.fixture
def place(offices: tuple[Office, Office], tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, offices[0])
    yield made
    made.inventory.close()


def test_a_camera_comes_to_life_by_a_stick_and_is_sealed(place: Place) -> None:
    (place.medium / configuration.FILE).write_text(OVERLAY)
    (place.medium / "sought.grant").write_bytes(b"a grant")
    claim = place.bring("cam-1")
    assert place.take_in() == [
        f"took in 'sought.grant' as {next((place.folder / 'grants').iterdir()).name}", "enrolled as cam-1",
    ]  # fmt: skip
    assert place.sealed
    assert not (place.folder / media.REPLACED).exists()
    assert place.said == [("sealed", "by a claim on a medium")]
    settings = config.load(place.folder / "camera.toml", config.Vision)
    assert (settings.camera, settings.source, settings.lens.fps) == ("cam-1", "picamera:0", 20.0)
    assert settings.accelerator.kind == "edge-tpu"
    assert len(settings.privacy) == 1
    assert settings.behaviour.rules[0].name == "over"
    assert (place.folder / "grants").joinpath(next((place.folder / "grants").iterdir())).read_bytes() == b"a grant"
    assert not (place.medium / claims.FILE).exists()
    assert claim.secret not in (place.medium / media.NOTE).read_text()
    assert "cam-1" in (place.medium / media.NOTE).read_text()
    assert place.take_in() == []


def test_files_are_for_those_whom_they_concern(place: Place) -> None:
    mask = os.umask(0o027)  # that of the unit
    try:
        (place.medium / "a.grant").write_bytes(b"a grant")
        place.bring("cam-2")
        place.take_in()
    finally:
        os.umask(mask)
    held = identity.in_force(place.folder / "identity")
    assert held is not None
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in held.iterdir()}
    assert {modes.pop("signing.key"), modes.pop("connection.key")} == {0o600}
    assert set(modes.values()) == {0o644}
    assert {stat.S_IMODE(each.stat().st_mode) for each in (held, held.parent)} == {0o755}
    assert stat.S_IMODE((place.folder / "camera.toml").stat().st_mode) == 0o640
    assert [stat.S_IMODE(each.stat().st_mode) for each in (place.folder / "grants").iterdir()] == [0o660]


@pytest.mark.parametrize("cause", [OSError(30, "Read-only file system"), PermissionError(13, "Permission denied")])
def test_a_medium_that_cannot_be_written_to_is_read_once(
    place: Place, cause: OSError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise cause

    real = durable.erase
    monkeypatch.setattr(Path, "write_text", refuse)
    monkeypatch.setattr(durable, "erase", lambda path: refuse() if path.parent == place.medium else real(path))
    claim = place.claim("cam-3")
    (place.medium / claims.FILE).write_bytes(str(claim).encode())
    assert place.take_in() == ["enrolled as cam-3"]
    assert place.take_in() == []
    assert place.asked == 1
    # also after another claim took its place
    newer = place.claim("cam-3")
    (place.media / "boot").mkdir()
    (place.media / "boot" / claims.FILE).write_bytes(str(newer).encode())
    assert place.take_in() == ["enrolled as cam-3"]
    assert place.take_in() == []
    assert place.asked == 2


def test_an_office_that_does_not_answer_is_asked_again(place: Place) -> None:
    place.bring("cam-4")
    real = place.connect

    def away(claim: Claim) -> Service:
        raise TryLater("nobody there")

    place.connect = away  # type: ignore[method-assign]
    with pytest.raises(TryLater):
        place.take_in()
    assert not place.sealed
    assert (place.medium / claims.FILE).exists()
    place.connect = real  # type: ignore[method-assign]
    assert place.take_in() == ["enrolled as cam-4"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[vision]\nsorce = 'a'\n", "sorce"),
        ("[vision]\nlens = { fps = 1000.0 }\n", "fps"),
        ("[vision]\nprivacy = [[[0, 0]]]\n", "privacy"),
        ("[vision]\ntrust = 'mine.toml'\n", "trust"),
        ("[vision]\nsigning_key = '/etc/shadow'\n", "signing_key"),
        ("[uplink]\nhost = 'elsewhere'\n", "uplink"),
        ("[link]\nurl = 'http://camera'\n", "rtsp"),
        ("[vision\n", "cannot be used"),
    ],
)
def test_a_configuration_that_cannot_be_used_enrols_nothing(place: Place, text: str, said: str) -> None:
    place.bring("cam-5")
    (place.medium / configuration.FILE).write_text(text)
    with pytest.raises(ConfigError, match=said):
        place.take_in()
    assert not place.sealed
    assert identity.in_force(place.folder / "identity") is None
    (place.medium / configuration.FILE).unlink()
    assert place.take_in() == ["enrolled as cam-5"]


def test_a_network_camera_needs_its_address_only(place: Place) -> None:
    place.bring("cam-6")
    url = "rtsp://user:p\u00e4ss@camera.local/1"
    (place.medium / configuration.FILE).write_text(f"[link]\nurl = '{url}'\n", encoding="utf-8")
    place.take_in()
    path = place.folder / "camera.toml"
    assert config.load(path, config.Vision).source == "link:run/link/video"
    link = config.load(path, config.Link)
    assert (link.url, link.socket) == (url, place.folder / "run/link/video")


def test_a_sealed_camera_stays_with_its_deployment(
    place: Place, offices: tuple[Office, Office], tmp_path: Path
) -> None:
    place.bring("cam-7")
    place.take_in()
    before = identity.in_force(place.folder / "identity")
    thief = Place(tmp_path / "thief", offices[1])
    claim = thief.claim("cam-7")
    (place.medium / claims.FILE).write_text(f"{claim}\n")
    (place.medium / configuration.FILE).write_text("[vision]\nprivacy = []\n")
    with pytest.raises(EnrolError, match="another deployment"):
        media.take_in(place.folder, place.media, thief.connect, lambda *_: None)
    thief.inventory.close()
    assert identity.in_force(place.folder / "identity") == before
    text = (place.folder / "camera.toml").read_text()
    seal = (place.folder / "sealed").stat().st_ino
    place.bring("cam-7")  # its own office may
    assert place.take_in() == ["enrolled as cam-7"]
    assert (place.folder / "sealed").stat().st_ino == seal  # it belongs to root by now, and is left alone
    assert (place.folder / media.REPLACED).exists()  # upon which the running processes get their new keys
    assert (place.folder / "camera.toml").read_text() == text  # but the camera keeps looking where it looked


def test_documents_are_bounded_and_plain(place: Place, tmp_path: Path) -> None:
    (place.medium / "huge.grant").write_bytes(bytes((1 << 20) + 1))
    (place.medium / "folder.grant").mkdir()
    os.mkfifo(place.medium / "pipe.revocation")
    (tmp_path / "secret").write_bytes(b"somebody's")
    (place.medium / "link.grant").symlink_to(tmp_path / "secret")
    (place.medium / "good.revocation").write_bytes(b"no more")
    (place.medium / "good.txt").write_bytes(b"not for us")
    assert [each.rpartition(".")[2] for each in place.take_in()] == ["revocation"]
    assert [each.read_bytes() for each in (place.folder / "grants").iterdir()] == [b"no more"]
    for number in range(70):
        (place.medium / f"{number}.grant").write_bytes(b"%d" % number)
    for _ in range(8):
        place.take_in()
        for each in list(place.medium.glob("*.grant"))[:40]:
            if each.is_file() and not each.is_symlink():
                each.unlink()
        for number in range(70):
            (place.medium / f"{number}.grant").write_bytes(os.urandom(8))
    assert len(list((place.folder / "grants").iterdir())) <= 256


def test_a_claim_that_is_none_is_named_without_its_secret(place: Place) -> None:
    claim = place.bring("cam-8")
    (place.medium / claims.FILE).write_text(f"{claim}"[:-20])
    with pytest.raises(claims.ClaimError) as raised:
        place.take_in()
    assert claim.secret not in str(raised.value)


def test_the_program_without_any_medium(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--folder", str(place.folder), "import"]
    assert program.main([*arguments, str(place.media / "nowhere")]) == 0
    assert program.main([*arguments, str(place.media)]) == 0
    assert capsys.readouterr().out == "News: none.\n" * 2


def test_a_cut_at_every_step(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in tests/faults: whatever the moment, the next start brings the camera to life, sealed, by the same claim."""
    from tests.faults.test_enrolment_power_cuts import Power, cuts, tear, whole

    power = Power(monkeypatch)
    first = place
    for number, at in enumerate(cuts()):
        camera = f"cam-{number + 10}"
        one = Place(first.folder.parent / camera, first.office)
        one.bring(camera)
        (one.medium / "a.grant").write_bytes(b"a grant")
        connect: Callable[[Claim], Service] = one.connect
        one.connect = lambda claim, connect=connect: power.requests_of(connect(claim))  # type: ignore[method-assign, misc, arg-type]
        finished = power.run(one.take_in, at)
        tear(one.folder)
        assert whole(one.folder, camera) is None or one.sealed  # never open to the setup page once it is somebody's
        one.take_in()
        assert whole(one.folder, camera) is not None
        assert one.sealed
        assert one.said
        assert len(one.inventory.certificates(camera)) == 2
        assert [each.read_bytes() for each in (one.folder / "grants").glob("*.grant")] == [b"a grant"]
        one.inventory.close()
        if finished:
            assert number > 80
            return
    pytest.fail("there are more steps than this test cuts")
