"""Who gets an offer, and when a rollout stops by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.update.image import Channel, Image
from edge.update.policy import Offer
from edge.update.state import Outcome, Verdict
from provisioning.office import rollouts, table
from provisioning.office.bundles import Checked
from provisioning.office.inventory import Inventory
from provisioning.office.rollouts import MISSING, Counts, RolloutError, Rollouts

BOARD = "vidik-generic-amd64"
DIGEST = "ab" * 32
CAMERAS = [f"cam-{number:03}" for number in range(200)]


@pytest.fixture
def inventory(tmp_path: Path) -> Iterator[Inventory]:
    made = Inventory(tmp_path / "inventory.sqlite", make=True)
    with made.change():
        for camera in CAMERAS:
            made.add(table.camera(camera, "", "", 1))
    yield made
    made.close()


@pytest.fixture
def known(inventory: Inventory) -> Rollouts:
    found = Rollouts(inventory)
    found.add(checked(), 1)
    return found


def checked(digest: str = DIGEST, version: str = "2026.12", channel: Channel = "release") -> Checked:
    return Checked(Path("b.raucb"), digest, 1000, BOARD, version, channel)


def image(version: str = "2026.11", channel: Channel = "release", board: str = BOARD) -> Image:
    return Image(version=version, board=board, channel=channel, floor="0")


def ask(known: Rollouts, camera: str, now: int = 10) -> Offer | None:
    return known.offer(camera, image(), now)


def tell(known: Rollouts, camera: str, state: Verdict, offer: int = 1, now: int = 10) -> None:
    known.report(camera, Outcome(offer=offer, state=state, version="2026.12", cause="why"), now)


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 10**6))
def test_a_camera_has_one_place_in_a_rollout(digest: str, number: int) -> None:
    place = rollouts.place(digest, f"cam-{number}")
    assert 0.0 <= place < 100.0
    assert place == rollouts.place(digest, f"cam-{number}")


def test_places_are_spread_evenly_and_differ_from_bundle_to_bundle() -> None:
    cameras = [f"cam-{number}" for number in range(20_000)]
    first = {camera for camera in cameras if rollouts.place(DIGEST, camera) < 5.0}
    assert 900 < len(first) < 1100
    other = {camera for camera in cameras if rollouts.place("cd" * 32, camera) < 5.0}
    assert len(first & other) < 100  # 50 by chance


def test_nobody_beyond_the_percentage_gets_an_offer_and_everybody_within_it(known: Rollouts) -> None:
    for percent in (5.0, 20.0, 100.0):
        known.start(DIGEST, percent, 2.0, 1)
        got = {camera for camera in CAMERAS if ask(known, camera) is not None}
        assert got == {camera for camera in CAMERAS if rollouts.place(DIGEST, camera) < percent}
    assert len(got) == len(CAMERAS)
    assert {ask(known, camera).offer for camera in CAMERAS} == {1}  # type: ignore[union-attr]


def test_without_a_rollout_nobody_gets_anything(known: Rollouts) -> None:
    assert [ask(known, camera) for camera in CAMERAS] == [None] * len(CAMERAS)


@pytest.mark.parametrize(
    ("counts", "threshold", "found"),
    [
        (Counts(0, 0, 0, 0, 0), 2.0, False), (Counts(50, 0, 49, 1, 0), 2.0, False),
        (Counts(49, 0, 48, 1, 0), 2.0, True), (Counts(10, 9, 0, 1, 0), 2.0, True),
        (Counts(100, 0, 98, 1, 1), 2.0, False), (Counts(1, 0, 0, 1, 0), 0.0, True),
        (Counts(100, 0, 97, 1, 2), 2.0, True), (Counts(10, 0, 0, 10, 0), 100.0, False),
    ],
)  # fmt: skip
def test_when_too_many_fail(counts: Counts, threshold: float, found: bool) -> None:
    assert rollouts.too_many(counts, threshold) is found


@pytest.mark.parametrize("verdict", ["failed", "refused"])
def test_it_stops_at_its_threshold_and_says_why(known: Rollouts, inventory: Inventory, verdict: Verdict) -> None:
    known.start(DIGEST, 100.0, 2.0, 1)
    for camera in CAMERAS[:100]:
        assert ask(known, camera) is not None
    for camera in CAMERAS[:2]:
        tell(known, camera, verdict)
    assert known.rollout(1).ended is None
    tell(known, CAMERAS[2], verdict)
    stopped = known.rollout(1)
    assert stopped.ended == 10
    assert stopped.cause == "stopped by itself: 3 failed and 0 missing of 100, threshold 2 %"
    assert [ask(known, camera) for camera in CAMERAS] == [None] * len(CAMERAS)
    assert not known.may_fetch(CAMERAS[50], DIGEST)
    assert [(event, subject) for _, event, subject, _ in inventory.journal()][-2:] == [
        (f"update {verdict}", CAMERAS[2]), ("rollout stopped", "1"),
    ]  # fmt: skip
    assert known.failures(1, 10) == [(camera, "why") for camera in CAMERAS[:3]]


def test_cameras_that_are_not_heard_of_again_count_as_failures(known: Rollouts) -> None:
    known.start(DIGEST, 100.0, 2.0, 1)
    for camera in CAMERAS[:10]:
        ask(known, camera)
    for camera in CAMERAS[:5]:
        tell(known, camera, "installed", now=100)
        if camera != CAMERAS[0]:
            tell(known, camera, "good", now=200)
    assert ask(known, CAMERAS[20], now=100 + MISSING) is not None
    assert ask(known, CAMERAS[21], now=101 + MISSING) is None
    assert "1 missing of 11" in str(known.rollout(1).cause)
    assert known.failures(1, 101 + MISSING)[0][0] == CAMERAS[0]


def test_a_camera_that_came_to_an_end_gets_no_second_offer_but_by_a_new_rollout(known: Rollouts) -> None:
    known.start(DIGEST, 100.0, 100.0, 1)
    for verdict in ("good", "failed", "refused"):
        camera = f"cam-00{len(verdict)}"
        assert ask(known, camera) is not None
        tell(known, camera, verdict)  # type: ignore[arg-type]
        assert ask(known, camera) is None
        tell(known, camera, "installed")  # late, or a lie: the first final word counts
        assert ask(known, camera) is None
    known.stop(1, "by hand", 2)
    begun = known.start(DIGEST, 100.0, 100.0, 3)
    assert begun.number == 2
    again = ask(known, "cam-006")
    assert again is not None
    assert again.offer == 2


def test_what_a_camera_says_of_offers_it_never_got_counts_for_nothing(known: Rollouts) -> None:
    known.start(DIGEST, 5.0, 2.0, 1)
    outside = next(camera for camera in CAMERAS if rollouts.place(DIGEST, camera) >= 5.0)
    for offer in (1, 2, 99):
        tell(known, outside, "failed", offer)
    assert known.counts(1, 10) == Counts(0, 0, 0, 0, 0)


def test_a_camera_that_runs_the_version_is_not_asked_to_install_it(known: Rollouts) -> None:
    known.start(DIGEST, 100.0, 2.0, 1)
    assert known.offer("cam-001", image("2026.12.0"), 10) is None
    assert known.counts(1, 10).offered == 0


def test_channels_and_boards_are_kept_apart(known: Rollouts) -> None:
    known.add(checked("cd" * 32, "2026.13", "development"), 1)
    known.start(DIGEST, 100.0, 2.0, 1)
    known.start("cd" * 32, 100.0, 2.0, 1)
    versions = {
        channel: known.offer("cam-001", image(channel=channel), 10).version  # type: ignore[arg-type, union-attr]
        for channel in ("release", "development")
    }
    assert versions == {"release": "2026.12", "development": "2026.13"}
    assert known.offer("cam-001", image(board="vidik-rpi5"), 10) is None
    known.stop(2, "by hand", 11)
    found = known.offer("cam-001", image(channel="development"), 12)
    assert found is not None
    assert found.version == "2026.12"  # a development image takes releases too


def test_another_rollout_for_the_same_cameras_ends_the_first(known: Rollouts) -> None:
    known.add(checked("cd" * 32, "2026.13"), 1)
    known.start(DIGEST, 100.0, 2.0, 1)
    known.start("cd" * 32, 100.0, 2.0, 2)
    assert known.rollout(1).cause == "another one was started"
    found = ask(known, "cam-001")
    assert found is not None
    assert found.version == "2026.13"


def test_what_cannot_be_done_is_said(known: Rollouts) -> None:
    known.start(DIGEST, 20.0, 2.0, 1)
    with pytest.raises(RolloutError, match="at 20 %"):
        known.start(DIGEST, 5.0, 2.0, 1)
    with pytest.raises(RolloutError, match="no rollout 7"):
        known.stop(7, "", 1)
    with pytest.raises(RolloutError, match="0 bundles"):
        known.find("2027")
    known.add(checked("cd" * 32, "2026.12", "development"), 1)
    with pytest.raises(RolloutError, match="2 bundles"):
        known.find("2026.12")
    assert known.find("cdcdcdcd") == "cd" * 32


def test_an_inventory_of_before_gets_the_tables(inventory: Inventory, tmp_path: Path) -> None:
    Rollouts(inventory).add(checked(), 1)
    again = Inventory(tmp_path / "inventory.sqlite")
    assert [row[3] for row in Rollouts(again).bundles()] == [DIGEST]
    again.close()
