"""Power cuts at every step of an update: the unit always comes up, keeps its state, and the update goes on or ends.

A step is a call by which the camera's storage changes or something is synchronised, something that RAUC does to a slot
or to the boot loader, or a request to the office. The cut comes before or after it; what was never synchronised may be
torn. Then the power comes back: the boot loader starts a slot, the health check runs, and the timer asks the office.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.enrol.errors import TryLater
from edge.update import procedure
from edge.update.image import Image
from edge.update.state import Store
from edge.update.unit import End
from tests.faults.test_enrolment_power_cuts import Power, cuts, tear
from tests.updates import BOARD, Camera, Machine, Paper, Workshop, need_rauc

OLD = Image(version="2026.11", board=BOARD, channel="release", floor="2026.9")
NEW = Image(version="2026.12", board=BOARD, channel="release", floor="2026.10")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    need_rauc()
    return Workshop(tmp_path_factory.mktemp("workshop"))


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


class Fragile(Machine):
    """RAUC, each of whose doings is several steps between which the power may go."""

    def __init__(self, system: Path, power: Power) -> None:
        super().__init__(system, trusting=True)
        self._step: Callable[[Callable[..., Any]], Callable[..., Any]] = power._step

    def install(self, bundle: Path) -> None:
        self._step(self.begin_install)()
        self._step(lambda: self.content.__setitem__(self.other(), b"half"))()
        self._step(lambda: super(Fragile, self).install(bundle))()

    def mark_good(self) -> None:
        self._step(super().mark_good)()

    def mark_bad(self) -> None:
        self._step(super().mark_bad)()

    def prefer_other(self) -> None:
        self._step(super().prefer_other)()


class Wired(Paper):
    """An office, each request to which is a step."""

    def __init__(self, bundle: Path, power: Power) -> None:
        super().__init__(bundle)
        for name in ("offer", "report"):
            setattr(self, name, power._step(getattr(self, name)))

    def download(self, digest: str, begin: int) -> Iterator[bytes]:
        self.asked = [*getattr(self, "asked", []), begin]
        return super().download(digest, begin)


def make(workshop: Workshop, power: Power, folder: Path) -> tuple[Camera, Wired]:
    camera = Camera(folder / "camera", Fragile(workshop.system("release"), power), OLD)
    camera.images["rootfs.1"] = NEW
    camera.restart()
    assert camera.check() is End.DONE
    return camera, Wired(workshop.bundle(), power)


def whole(camera: Camera) -> None:
    """What must hold after every cut: a slot to start whose content is whole, and a state that can be read."""
    good = [name for name, ok in camera.machine.ok.items() if ok]
    assert good
    assert all(camera.machine.content[name] != b"half" for name in good)
    Store(camera.folder / "update").load()


def life(camera: Camera, office: Paper, starts: int = 12) -> None:
    """The unit as its units run it: started, checked, and asking, until nothing is left to do."""
    for _ in range(starts):
        whole(camera)
        camera.restart()
        if camera.check() is End.REBOOT:
            continue
        try:
            if procedure.pull(camera.unit(), office.connect) is End.DONE:
                return
        except TryLater:
            pass
    pytest.fail("the unit never comes to rest")


def audit_is_readable(camera: Camera) -> list[str]:
    return [state for state, _, _ in camera.audit()]


def test_a_cut_at_every_step_of_fetching_and_installing(workshop: Workshop, power: Power, tmp_path: Path) -> None:
    outcomes = set()
    for number, at in enumerate(cuts()):
        camera, office = make(workshop, power, tmp_path / str(number))
        finished = power.run(lambda c=camera, o=office: procedure.pull(c.unit(), o.connect), at)  # type: ignore[misc]
        tear(camera.folder)
        life(camera, office)
        state = Store(camera.folder / "update").load()
        assert camera.machine.booted == "rootfs.1"  # the update arrives in the end
        assert (state.floor, state.pending, state.outcomes) == ("2026.10", None, ())
        assert office.told[-1].state == "good"
        assert audit_is_readable(camera)[-1] == "good"
        outcomes.add(tuple(audit_is_readable(camera)))
        assert {path.name for path in (camera.folder / "update").iterdir()} <= {"state.json", "state.json.new", "lock"}
        shutil.rmtree(camera.folder)
        if finished:
            assert number > 60  # this test cannot pass by cutting nothing
            assert len(outcomes) > 1  # some cuts had the installation begun twice
            return
    pytest.fail("the update has more steps than this test cuts")


@pytest.mark.parametrize("works", [True, False])
def test_a_cut_at_every_step_of_the_trial(workshop: Workshop, power: Power, tmp_path: Path, works: bool) -> None:
    for number, at in enumerate(cuts()):
        camera, office = make(workshop, power, tmp_path / str(number))
        assert procedure.pull(camera.unit(), office.connect) is End.REBOOT
        assert camera.restart() == "rootfs.1"
        camera.signs = [] if works else ["vision has described no frame"]
        finished = power.run(camera.check, at)
        tear(camera.folder)
        life(camera, office)
        state = Store(camera.folder / "update").load()
        assert (state.pending, state.outcomes) == (None, ())
        # a cut before it was confirmed counts as failure; one afterwards changes nothing
        final = office.told[-1].state
        assert (camera.machine.booted, state.floor, final) in {
            ("rootfs.1", "2026.10", "good"), ("rootfs.0", "2026.9", "failed"),
        }  # fmt: skip
        assert works or final == "failed"
        assert [one.state for one in office.told].count(final) == 1
        shutil.rmtree(camera.folder)
        if finished:
            assert number > 15
            assert not works or final == "good"
            return
    pytest.fail("the trial has more steps than this test cuts")


def test_a_cut_at_every_step_of_the_start_after_a_roll_back(workshop: Workshop, power: Power, tmp_path: Path) -> None:
    for number, at in enumerate(cuts()):
        camera, office = make(workshop, power, tmp_path / str(number))
        assert procedure.pull(camera.unit(), office.connect) is End.REBOOT
        camera.restart()
        camera.signs = ["vision has described no frame"]
        assert camera.check() is End.REBOOT
        assert camera.restart() == "rootfs.0"
        finished = power.run(camera.check, at)
        tear(camera.folder)
        life(camera, office)
        state = Store(camera.folder / "update").load()
        assert camera.machine.booted == "rootfs.0"
        assert (state.floor, state.pending, state.outcomes) == ("2026.9", None, ())
        assert [one.state for one in office.told] == ["installed", "failed"]
        shutil.rmtree(camera.folder)
        if finished:
            assert number > 15
            return
    pytest.fail("the start has more steps than this test cuts")


def test_a_cut_at_every_step_of_taking_a_bundle_from_a_stick(workshop: Workshop, power: Power, tmp_path: Path) -> None:
    bundle = workshop.bundle()
    for number, at in enumerate(cuts()):
        camera, office = make(workshop, power, tmp_path / str(number))
        office.bundle = None
        finished = power.run(lambda c=camera: procedure.stick(c.unit(), bundle), at)  # type: ignore[misc]
        tear(camera.folder)
        life(camera, office)
        if camera.machine.booted == "rootfs.0":  # the technician plugs it in once more
            assert procedure.stick(camera.unit(), bundle, again=True) is End.REBOOT
            life(camera, office)
        assert camera.machine.booted == "rootfs.1"
        assert Store(camera.folder / "update").load().pending is None
        assert office.told == []
        shutil.rmtree(camera.folder)
        if finished:
            assert number > 40
            return
    pytest.fail("the update has more steps than this test cuts")


def test_two_cuts_in_the_middle_of_a_start_do_not_bring_an_old_image_back(
    workshop: Workshop, power: Power, tmp_path: Path
) -> None:
    """The power goes in the first seconds, before anything of ours runs: boot loaders cannot tell that from a hang."""
    camera, office = make(workshop, power, tmp_path)
    assert procedure.pull(camera.unit(), office.connect) is End.REBOOT
    life(camera, office)
    assert camera.restart() == "rootfs.1"
    for _ in range(4):
        camera.restart()
        life(camera, office)
        assert camera.machine.booted == "rootfs.1"
    assert "returns" in audit_is_readable(camera)
    assert Store(camera.folder / "update").load().returns == 0


def test_a_cut_at_every_step_of_coming_back(workshop: Workshop, power: Power, tmp_path: Path) -> None:
    for number, at in enumerate(cuts()):
        camera, office = make(workshop, power, tmp_path / str(number))
        assert procedure.pull(camera.unit(), office.connect) is End.REBOOT
        life(camera, office)
        camera.restart()
        assert camera.restart() == "rootfs.0"
        finished = power.run(camera.check, at)
        tear(camera.folder)
        life(camera, office)
        assert camera.machine.booted == "rootfs.1"
        shutil.rmtree(camera.folder)
        if finished:
            assert number > 15
            return
    pytest.fail("coming back has more steps than this test cuts")


def test_fetching_again_after_a_cut_asks_for_the_rest_only(workshop: Workshop, power: Power, tmp_path: Path) -> None:
    camera, office = make(workshop, power, tmp_path)
    office.patience = 60_000
    with pytest.raises(TryLater):
        procedure.pull(camera.unit(), office.connect)
    life(camera, office)
    assert office.asked[:4] == [0, 60_000, 120_000, 180_000]
