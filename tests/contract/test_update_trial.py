"""What becomes of a new image after the start: it proves itself, or the old one comes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import VidikError
from edge.update import policy, procedure
from edge.update.image import Image
from edge.update.slots import RaucError
from edge.update.state import StateError, Store
from edge.update.unit import BusyError, End
from tests.updates import BOARD, Camera, Machine, Paper, Workshop, need_rauc

OLD = Image(version="2026.11", board=BOARD, channel="release", floor="2026.9")
NEW = Image(version="2026.12", board=BOARD, channel="release", floor="2026.10")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    need_rauc()
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def office(workshop: Workshop) -> Paper:
    return Paper(workshop.bundle())


@pytest.fixture
def camera(workshop: Workshop, tmp_path: Path) -> Camera:
    camera = Camera(tmp_path / "camera", Machine(workshop.system("release")), OLD)
    camera.images["rootfs.1"] = NEW
    camera.machine.start()
    assert camera.check() is End.DONE  # the image it came with is confirmed
    return camera


def installed(camera: Camera, office: Paper) -> None:
    assert procedure.pull(camera.unit(), office.connect) is End.REBOOT


def told(office: Paper) -> list[tuple[str, int]]:
    return [(one.state, one.offer) for one in office.told]


def test_an_image_that_proves_itself_stays(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    assert camera.restart() == "rootfs.1"
    assert camera.check() is End.DONE
    for _ in range(3):
        assert camera.restart() == "rootfs.1"
        assert camera.check() is End.DONE
    state = camera.unit().store.load()
    assert state.floor == "2026.10"
    assert state.pending is None
    assert (camera.said.state, camera.said.version, camera.said.slot) == ("current", "2026.12", "rootfs.1")
    assert [said for said, _, _ in camera.audit()] == ["installing", "installed", "good"]
    office.bundle = None
    assert procedure.pull(camera.unit(), office.connect) is End.DONE
    assert told(office) == [("installed", 1), ("good", 1)]


def test_after_that_nothing_below_the_new_floor_is_taken_even_by_the_old_image(
    camera: Camera, office: Paper, workshop: Workshop
) -> None:
    installed(camera, office)
    camera.restart()
    camera.check()
    camera.machine.ok["rootfs.1"] = False  # the new slot is broken for good
    camera.machine.prefer_other = lambda: None  # type: ignore[method-assign]
    for expected in [*[End.REBOOT] * policy.RETURNS, End.DONE]:
        assert camera.restart() == "rootfs.0"
        assert camera.check() is expected
    assert (camera.said.state, camera.said.version) == ("failed", "2026.11")
    assert "does not come up any more" in camera.said.cause
    assert procedure.stick(camera.unit(), workshop.bundle("2026.9.5")) is End.REFUSED
    assert "older than the floor 2026.10" in camera.said.cause


def test_an_image_that_does_not_prove_itself_gives_way_to_the_old_one(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    camera.restart()
    camera.signs = ["the uplink is not connected"]
    assert camera.check() is End.REBOOT
    assert camera.restart() == "rootfs.0"
    assert camera.check() is End.DONE
    assert camera.said.state == "failed"
    assert "the uplink is not connected" in camera.said.cause
    assert [state for state, _, _ in camera.audit()] == ["installing", "installed", "rejected", "failed"]
    assert camera.unit().store.load().floor == "2026.9"
    # the same offer is not installed again, a new one is
    assert procedure.pull(camera.unit(), office.connect) is End.DONE
    assert told(office) == [("installed", 1), ("failed", 1)]
    assert "the uplink is not connected" in office.told[-1].cause
    assert camera.said.state == "failed"
    office.number = 2
    assert procedure.pull(camera.unit(), office.connect) is End.REBOOT


def test_an_image_that_does_not_come_up_gives_way_too(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    assert camera.restart() == "rootfs.1"  # and hangs: the watchdog of the board, or somebody, cuts the power
    assert camera.restart() == "rootfs.0"
    assert camera.check() is End.DONE
    assert "did not come up" in camera.said.cause
    assert procedure.pull(camera.unit(), office.connect) is End.DONE
    assert told(office) == [("installed", 1), ("failed", 1)]


def test_an_image_may_take_its_time_before_the_deadline(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    camera.restart()
    left = iter([["vision has described no frame"]] * 5 + [[]] * 2)
    camera.__class__ = type("Slow", (Camera,), {"signs": property(lambda _: next(left))})
    assert camera.check() is End.DONE
    assert camera.said.state == "current"


def test_an_image_without_an_alternative_stays_and_says_so(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    camera.restart()
    camera.machine.ok["rootfs.0"] = False  # the old slot is broken
    camera.signs = ["vision has described no frame"]
    assert camera.check() is End.DONE
    assert camera.said.state == "failed"
    assert "no other image" in camera.said.cause
    assert camera.restart() == "rootfs.1"


def test_a_unit_whose_old_slot_never_comes_up_does_not_start_anew_for_ever(camera: Camera, office: Paper) -> None:
    installed(camera, office)
    camera.restart()
    camera.signs = ["vision has described no frame"]
    camera.machine.mark_bad = lambda: None  # type: ignore[method-assign]
    ends = []
    for _ in range(policy.REJECTIONS + 2):
        ends.append(camera.check())
        camera.boot += "'"  # a boot loader that takes no notice, and starts the new slot again
    assert ends == [End.REBOOT] * policy.REJECTIONS + [End.DONE] * 2
    assert camera.unit().store.load().pending is None


def test_an_image_that_is_not_under_trial_is_confirmed_whatever_lacks(camera: Camera) -> None:
    camera.signs = ["the uplink is not connected"]  # the broker is away
    for _ in range(3):
        assert camera.restart() == "rootfs.0"
        assert camera.check() is End.DONE


def test_an_installation_that_fails_is_tried_again_and_then_given_up(camera: Camera, office: Paper) -> None:
    def fails(_: Path) -> None:
        camera.machine.begin_install()
        raise RaucError("rauc install failed: no space")

    camera.machine.install = fails  # type: ignore[method-assign]
    ends = [procedure.pull(camera.unit(), office.connect) for _ in range(policy.TRIES + 1)]
    assert ends == [End.FAILED] * policy.TRIES + [End.DONE]
    assert "no space" in camera.said.cause
    assert told(office) == [("failed", 1)]
    assert office.sent == office.bundle.stat().st_size  # type: ignore[union-attr]
    assert camera.restart() == "rootfs.0"


def test_nothing_is_installed_that_cannot_be_put_on_record(camera: Camera, office: Paper) -> None:
    events = camera.folder / "events"
    events.write_text("in the way of the folder")
    with pytest.raises(VidikError):
        procedure.pull(camera.unit(), office.connect)
    assert camera.machine.slots().primary == "rootfs.0"
    assert camera.unit().store.load().pending is None


def test_a_stick_that_was_left_in_is_not_installed_again(camera: Camera, workshop: Workshop) -> None:
    bundle = workshop.bundle()
    assert procedure.stick(camera.unit(), bundle) is End.REBOOT
    camera.restart()
    camera.signs = ["vision has described no frame"]
    camera.check()
    camera.restart()
    camera.check()
    assert procedure.stick(camera.unit(), bundle) is End.DONE
    assert camera.said.state == "failed"
    assert procedure.stick(camera.unit(), bundle, again=True) is End.REBOOT


def test_what_runs_already_is_not_installed(camera: Camera, workshop: Workshop) -> None:
    assert procedure.stick(camera.unit(), workshop.bundle("2026.11")) is End.DONE
    assert camera.said.state == "current"
    assert camera.audit() == []


def test_before_the_new_start_nothing_else_is_installed(camera: Camera, office: Paper, workshop: Workshop) -> None:
    installed(camera, office)
    assert procedure.stick(camera.unit(), workshop.bundle("2027")) is End.REBOOT
    assert procedure.pull(camera.unit(), office.connect) is End.REBOOT
    assert camera.check() is End.REBOOT
    assert camera.machine.slots().primary == "rootfs.1"


def test_two_programs_do_not_get_in_each_others_way(camera: Camera, office: Paper) -> None:
    with camera.unit().alone(), pytest.raises(BusyError):
        procedure.pull(camera.unit(), office.connect)
    installed(camera, office)


def test_a_state_that_cannot_be_read_stops_updates_since_it_holds_the_floor(camera: Camera, office: Paper) -> None:
    (camera.folder / "update" / "state.json").write_text("{")
    with pytest.raises(StateError, match="lowest version"):
        procedure.pull(camera.unit(), office.connect)


def test_ten_updates_and_ten_rollbacks_leave_nothing_behind(camera: Camera, workshop: Workshop) -> None:
    office = Paper(None)
    for number in range(10):
        runs = camera.images[camera.machine.booted].version
        version = "2026.12" if runs != "2026.12" else "2026.13"
        other = camera.machine.other()
        office.bundle, office.version, office.number = workshop.bundle(version), version, 2 * number + 1
        camera.images[other] = Image(version=version, board=BOARD, channel="release", floor="2026.9")
        camera.signs = ["vision has described no frame"]
        installed(camera, office)
        camera.restart()
        assert camera.check() is End.REBOOT
        assert camera.restart() != other  # rolled back
        assert camera.check() is End.DONE
        camera.signs = []
        office.number += 1
        installed(camera, office)
        assert camera.restart() == other
        assert camera.check() is End.DONE
    assert {path.name for path in (camera.folder / "update").iterdir()} == {"state.json", "lock"}
    state = Store(camera.folder / "update").load()
    assert len(state.failed) <= 16
    office.bundle = None
    procedure.pull(camera.unit(), office.connect)
    assert [state for state, _ in told(office)] == ["installed", "failed", "installed", "good"] * 10
