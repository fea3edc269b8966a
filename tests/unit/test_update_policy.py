"""What to do about an update: decisions as functions of what is known."""

from __future__ import annotations

import itertools
from pathlib import Path

import msgspec
import pytest

from edge.update import policy, signs
from edge.update.image import Image
from edge.update.policy import Decision, Install, Offer, Refuse, Wait
from edge.update.slots import Slots
from edge.update.state import Failure, Pending, State

NOW = 1_800_000_000.0
BOARD = "vidik-generic-amd64"
IMAGE = Image(version="2026.11", board=BOARD, channel="release", floor="2026.9")
DIGEST = "ab" * 32
OFFER = Offer(offer=7, version="2026.12", board=BOARD, size=1000, digest=DIGEST)
PENDING = Pending(digest=DIGEST, version="2026.12", offer=7, stage="installed", home="a", boot="boot 1")


def but(**changes: object) -> Offer:
    return msgspec.structs.replace(OFFER, **changes)


@pytest.mark.parametrize(
    ("offer", "state", "now", "decided"),
    [
        (OFFER, State(), NOW, Install()),
        (OFFER, State(failed=(Failure(DIGEST, 6),)), NOW, Install()),  # it failed, and was offered anew since
        (OFFER, State(failed=(Failure(DIGEST, 7),)), NOW, Wait),
        (OFFER, State(failed=(Failure(DIGEST, None),)), NOW, Install()),  # it failed from a stick
        (OFFER, State(pending=PENDING), NOW, Wait),
        (OFFER, State(), 1000.0, Wait),  # the clock was never set
        (but(version="2026.11"), State(), NOW, Wait),  # runs already
        (but(version="2026.11.0"), State(), NOW, Wait),
        (but(version="2026.10"), State(), NOW, Install()),  # older, above the floor
        (but(version="2026.9"), State(), NOW, Install()),
        (but(version="2026.8.99"), State(), NOW, Refuse),
        (but(version="2026.10"), State(floor="2026.10.1"), NOW, Refuse),  # the floor that the camera keeps
        (but(version="2026.10"), State(floor="1"), NOW, Install()),
        (but(board="vidik-rpi5"), State(), NOW, Refuse),
        (but(size=policy.LARGEST + 1), State(), NOW, Refuse),
    ],
)
def test_an_offer_is_decided_on(offer: Offer, state: State, now: float, decided: Decision | type) -> None:
    found = policy.decide(offer, IMAGE, state, now)
    assert found == decided or (isinstance(decided, type) and isinstance(found, decided))


def test_a_manifest_whose_version_is_none_is_refused() -> None:
    assert isinstance(policy.examine(BOARD, "new", IMAGE, State()), Refuse)


def test_the_floor_only_grows() -> None:
    versions = ["0", "2026.3", "2026.9", "2026.10", "2027"]
    for kept, stated in itertools.product(versions, versions):
        image = Image(version="2027", board=BOARD, channel="release", floor=stated)
        raised = policy.raised(image, State(floor=kept))
        assert versions.index(raised.floor) == max(versions.index(kept), versions.index(stated))


@pytest.mark.parametrize(
    ("pending", "booted", "boot", "found"),
    [
        (None, "a", "boot 2", "nothing"),
        (PENDING, "a", "boot 1", "reboot"),
        (PENDING, "a", "boot 2", "fell-back"),
        (PENDING, "b", "boot 2", "trial"),
        (PENDING.but(stage="installing"), "a", "boot 1", "interrupted"),
        (PENDING.but(stage="installing"), "a", "boot 2", "interrupted"),
        (PENDING.but(stage="installing"), "b", "boot 2", "trial"),  # RAUC was done, and the power went then
        (PENDING.but(stage="rejected", rejections=1), "a", "boot 3", "rejected"),
        (PENDING.but(stage="rejected", rejections=1), "b", "boot 3", "trial"),
        (PENDING.but(stage="rejected", rejections=3), "b", "boot 5", "stuck"),
    ],
)
def test_what_a_start_says(pending: Pending | None, booted: str, boot: str, found: str) -> None:
    slots = Slots(booted, "b", {"a": True, "b": True})
    assert policy.after_boot(State(pending=pending), slots, boot) == found


def test_an_image_has_until_its_deadline() -> None:
    assert policy.verdict([], 0.0, 10.0) == "good"
    assert policy.verdict(["something"], 9.9, 10.0) == "wait"
    assert policy.verdict(["something"], 10.0, 10.0) == "failed"
    assert policy.verdict([], 11.0, 10.0) == "good"


HEALTH = {"time": NOW, "state": "degraded", "causes": ["it is hot"], "frames": 3}
UPLINK = {"time": NOW, "connected": True, "spool": 0}


@pytest.mark.parametrize(
    ("health", "uplink", "lacking"),
    [
        (HEALTH, UPLINK, ""),
        ({}, UPLINK, "vision states nothing"),
        (HEALTH | {"time": NOW - 100}, UPLINK, "vision states nothing"),
        (HEALTH | {"time": "now"}, UPLINK, "vision states nothing"),
        (HEALTH | {"frames": 0}, UPLINK, "no frame"),
        (HEALTH | {"frames": None}, UPLINK, "no frame"),
        (HEALTH | {"state": "failing"}, UPLINK, "failing (it is hot)"),
        (HEALTH, {}, "the uplink states nothing"),
        (HEALTH, UPLINK | {"connected": False}, "not connected"),
        (HEALTH, UPLINK | {"connected": 1}, "not connected"),
        (HEALTH, UPLINK | {"time": NOW - 100}, "the uplink states nothing"),
    ],
)
def test_the_signs_of_life(health: dict[str, object], uplink: dict[str, object], lacking: str) -> None:
    found = signs.missing(health, uplink, NOW)
    assert len(found) == bool(lacking)
    assert lacking in "".join(found)


def test_a_camera_shows_signs_of_life_once_it_is_sealed(tmp_path: Path) -> None:
    configuration, seal = tmp_path / "camera.toml", tmp_path / "sealed"
    assert signs.of(configuration, tmp_path, NOW) == []
    configuration.write_text("[uplink]\n")
    assert signs.of(configuration, tmp_path, NOW) == []  # a technician is at work
    seal.touch()
    assert "camera.toml" in "".join(signs.of(configuration, tmp_path, NOW))
    configuration.unlink()
    assert signs.of(configuration, tmp_path, NOW) == []  # a reset that was interrupted
