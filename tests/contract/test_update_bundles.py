"""What a camera installs and what it refuses: bundles made and verified by the real RAUC, from office and stick."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.enrol.errors import TryLater
from edge.update import bundle, fetch, procedure, signer
from edge.update.bundle import BundleError
from edge.update.image import Channel, Image
from edge.update.rauc import Rauc
from edge.update.unit import End
from provisioning import pki
from tests.updates import (
    BOARD,
    Camera,
    Machine,
    Paper,
    Workshop,
    need_rauc,
    plain_squashfs,
    strip_signature,
)

Make = Callable[[Workshop, Path], Path]


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    need_rauc()
    return Workshop(tmp_path_factory.mktemp("workshop"))


def camera_of(workshop: Workshop, folder: Path, channel: Channel = "release", floor: str = "2026.9") -> Camera:
    image = Image(version="2026.11.1", board=BOARD, channel=channel, floor=floor)
    return Camera(folder / "camera", Machine(workshop.system(channel)), image)


def by_stick(camera: Camera, given: Path) -> End:
    return procedure.stick(camera.unit(), given)


def by_office(camera: Camera, given: Path) -> End:
    """The office offers ``given`` for this board and a version that would do, whatever is in it."""
    return procedure.pull(camera.unit(), Paper(given).connect)


WAYS = pytest.mark.parametrize("way", [by_stick, by_office])


@WAYS
def test_a_good_bundle_is_installed(workshop: Workshop, tmp_path: Path, way: Callable[[Camera, Path], End]) -> None:
    camera = camera_of(workshop, tmp_path)
    assert way(camera, workshop.bundle()) is End.REBOOT
    assert camera.machine.slots().primary == "rootfs.1"
    assert camera.machine.content["rootfs.1"].decode() == fetch.digest_of(workshop.bundle())
    assert [state for state, _, _ in camera.audit()] == ["installing", "installed"]
    assert camera.said.state == "installed"


def _flipped(workshop: Workshop, folder: Path) -> Path:
    content = bytearray(workshop.bundle().read_bytes())
    content[len(content) // 3] ^= 0x10
    return _write(folder, content)


def _flipped_manifest(workshop: Workshop, folder: Path) -> Path:
    content = bytearray(workshop.bundle().read_bytes())
    at = content.rindex(b"version=2026.12")
    content[at + 14] ^= 0x01
    return _write(folder, content)


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "given.raucb"
    path.write_bytes(content)
    return path


def _foreign(workshop: Workshop, folder: Path) -> Path:
    """Signed by somebody who calls his CA as ours is called."""
    (folder / "foreign").mkdir()
    theirs = Workshop(folder / "foreign")
    return theirs.bundle()


REFUSALS: list[tuple[Make, str]] = [
    (lambda workshop, folder: strip_signature(workshop.bundle(), folder / "given.raucb"), "it is not signed"),
    (lambda _, folder: plain_squashfs(folder / "content", folder / "given.raucb"), "it is not signed"),
    (lambda workshop, _: workshop.bundle(channel="development"), "signed by the development CA"),
    (_foreign, "a CA that this image does not know"),
    (lambda workshop, folder: _write(folder, workshop.bundle().read_bytes()[:-1]), "truncated"),
    (lambda workshop, folder: _write(folder, workshop.bundle().read_bytes()[:-3000]), "truncated"),
    (lambda workshop, folder: _write(folder, workshop.bundle().read_bytes()[:100_000]), "truncated"),
    (_flipped, "changed or damaged after it was signed"),
    (_flipped_manifest, "signature does not hold"),
    (lambda workshop, _: workshop.bundle(board="vidik-rpi5"), "it is for the board vidik-rpi5"),
    (lambda workshop, _: workshop.bundle(version="2026.8"), "older than the floor 2026.9"),
    (lambda _, folder: _write(folder, b"no bundle at all" * 1000), "it is no bundle"),
]


@WAYS
@pytest.mark.parametrize(("make", "cause"), REFUSALS, ids=[cause for _, cause in REFUSALS])
def test_a_bundle_is_refused_with_its_cause_in_status_and_audit(
    workshop: Workshop, tmp_path: Path, way: Callable[[Camera, Path], End], make: Make, cause: str
) -> None:
    given = make(workshop, tmp_path)
    camera = camera_of(workshop, tmp_path)
    assert way(camera, given) is End.REFUSED
    assert camera.said.state == "refused"
    assert cause in camera.said.cause
    (state, _, reason) = camera.audit()[-1]
    assert state == "refused"
    assert cause in reason
    assert camera.machine.slots().primary == "rootfs.0"
    assert not camera.machine.content["rootfs.1"]  # no slot was touched
    assert not list((camera.folder / "update").glob("*.raucb"))


def test_what_was_refused_is_told_to_the_office_and_not_fetched_again(workshop: Workshop, tmp_path: Path) -> None:
    camera, office = camera_of(workshop, tmp_path), Paper(workshop.bundle(channel="development"))
    assert procedure.pull(camera.unit(), office.connect) is End.REFUSED
    assert [(told.state, told.offer) for told in office.told] == [("refused", 1)]
    sent = office.sent
    assert procedure.pull(camera.unit(), office.connect) is End.DONE
    assert office.sent == sent
    assert camera.said.state == "refused"
    office.number = 2  # a new offer is a new try
    assert procedure.pull(camera.unit(), office.connect) is End.REFUSED
    assert [told.offer for told in office.told] == [1, 2]


def test_a_development_image_takes_what_both_cas_signed(workshop: Workshop, tmp_path: Path) -> None:
    for channel in ("release", "development"):
        folder = tmp_path / channel
        folder.mkdir()
        camera = camera_of(workshop, folder, "development")
        assert by_stick(camera, workshop.bundle(channel=channel)) is End.REBOOT  # type: ignore[arg-type]


def test_the_development_ca_is_refused_even_if_it_got_into_a_release_keyring(
    workshop: Workshop, tmp_path: Path
) -> None:
    camera = camera_of(workshop, tmp_path)
    camera.machine = Machine(workshop.system("development"))  # whose keyring holds both
    assert by_stick(camera, workshop.bundle(channel="development")) is End.REFUSED
    assert "development CA" in camera.said.cause


def test_a_ca_of_the_keyring_that_is_none_for_updates_is_refused(workshop: Workshop) -> None:
    ca = pki.make_ca("Something else")
    issued = pki.issue_update_signer(ca, "signer")
    with pytest.raises(BundleError, match="none for updates"):
        signer.check(issued.certificate, [ca.certificate], "release")
    signer.check(issued.certificate, [ca.certificate], "development")


def accepted(workshop: Workshop, path: Path) -> bundle.Bundle | None:
    """What a release image makes of ``path``, as ``procedure`` does it."""
    rauc = Rauc(workshop.system("release"))
    try:
        found = bundle.read(path)
        signer.check(found.signer, rauc.keyring(), "release")
        rauc.verify(path)
        bundle.check_content(found)
    except BundleError:
        return None
    return found


def test_no_flipped_bit_gets_through(workshop: Workshop, tmp_path: Path) -> None:
    """Bits everywhere: content, padding, hash tree, manifest, certificate, signature, length.

    Some bits of a CMS message mean nothing (RAUC accepts them too): then what is installed is what was signed.
    """
    good = workshop.bundle()
    content, known = good.read_bytes(), accepted(workshop, good)
    assert known is not None
    signed = known.data + known.tree
    places = [*range(0, signed, signed // 150), *range(signed - known.tree, signed, 97)]
    places += range(signed, len(content), 5)
    path, through = tmp_path / "flipped.raucb", 0
    for number, at in enumerate(places):
        flipped = bytearray(content)
        flipped[at] ^= 1 << number % 8
        path.write_bytes(flipped)
        found = accepted(workshop, path)
        if found is not None:
            assert at >= signed, f"the flipped bit at {at} of {len(content)} was not noticed"
            assert (found.root, found.salt, found.version, found.board) == (
                known.root, known.salt, known.version, known.board,
            )  # fmt: skip
            through += 1
    assert len(places) > 400
    assert through <= 5


def test_no_truncated_bundle_gets_through(workshop: Workshop, tmp_path: Path) -> None:
    content = workshop.bundle().read_bytes()
    path = tmp_path / "cut.raucb"
    for length in [*range(0, len(content), len(content) // 60), *range(len(content) - 40, len(content))]:
        path.write_bytes(content[:length])
        assert accepted(workshop, path) is None, f"cut at {length} of {len(content)}"


def test_more_behind_or_before_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    content = workshop.bundle().read_bytes()
    length = int.from_bytes(content[-8:], "big")
    signature = content[-8 - length :]
    for spoiled in (
        content + b"\0", content + signature, content[: -8 - length] + bytes(4096) + signature,
        content[:4096] + content,
    ):  # fmt: skip
        path = _write(tmp_path, spoiled)
        assert accepted(workshop, path) is None


def test_an_empty_file_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    camera = camera_of(workshop, tmp_path)
    assert by_stick(camera, _write(tmp_path, b"")) is End.REFUSED
    assert "it is empty" in camera.said.cause


def test_a_stick_with_several_bundles_gives_the_newest_for_this_board(workshop: Workshop, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    wanted = workshop.bundle("2026.12.1")
    for number, given in enumerate([workshop.bundle("2026.12"), wanted, workshop.bundle("2027", board="vidik-rpi5")]):
        (stick / f"{number}.raucb").write_bytes(given.read_bytes())
    (stick / "broken.raucb").write_bytes(b"hsqs")
    (stick / "folder.raucb").mkdir()
    camera = camera_of(workshop, tmp_path)
    assert by_stick(camera, stick) is End.REBOOT
    assert camera.machine.content["rootfs.1"].decode() == fetch.digest_of(wanted)


def test_a_download_goes_on_where_it_ended(workshop: Workshop, tmp_path: Path) -> None:
    camera, office = camera_of(workshop, tmp_path), Paper(workshop.bundle())
    office.patience = 50_000
    attempts = 0
    while True:
        attempts += 1
        try:
            end = procedure.pull(camera.unit(), office.connect)
        except TryLater:
            continue
        break
    size = workshop.bundle().stat().st_size
    assert end is End.REBOOT
    assert attempts >= size // 50_000
    assert office.sent == size


def test_an_office_that_sends_more_or_something_else_is_refused(workshop: Workshop, tmp_path: Path) -> None:
    camera, office = camera_of(workshop, tmp_path), Paper(workshop.bundle())
    office.size = 100_000
    assert procedure.pull(camera.unit(), office.connect) is End.REFUSED
    assert "more than it had announced" in camera.said.cause
    office.number, office.size = 2, workshop.bundle().stat().st_size + 10
    assert procedure.pull(camera.unit(), office.connect) is End.REFUSED
    assert "truncated" in camera.said.cause
    assert camera.machine.slots().primary == "rootfs.0"


def test_a_full_data_partition_is_said_and_nothing_is_touched(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "_SPARE", 1 << 60)
    camera = camera_of(workshop, tmp_path)
    with pytest.raises(fetch.FetchError, match="MiB are free"):
        by_office(camera, workshop.bundle())
    assert camera.machine.slots().primary == "rootfs.0"
