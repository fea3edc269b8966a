"""The camera's side of a test report: what it sends, what it believes, and what it tells the technician."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from edge import seal, trial_form
from edge.handover import TRIALS, HandoverError, Item, Key, Kind, Receiver
from edge.handover.frame import pack, unpack
from edge.listen.opener import Opener, Rejected, Sealed, Tried
from edge.trial import ANSWER_SECONDS, INBOX_SECONDS, Trial
from edge.uplink.confirmations import LARGEST, MOST, Confirmations
from tests.rig import CAMERA, Rig, wait_for
from tests.trials import make_folder
from tests.unit.test_listen import status

OTHER = x25519.X25519PrivateKey.generate()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.fixture
def inbox(rig: Rig) -> Iterator[Receiver]:
    receiver = Receiver(rig.inbox)
    yield receiver
    receiver.close()


def court(rig: Rig) -> bytes:
    return rig.recipient.public_key().public_bytes_raw()


def taken(inbox: Receiver, count: int) -> list[Item]:
    arrivals = []

    def enough() -> bool:
        arrivals.extend(inbox.receive(0.1))
        return len(arrivals) >= count

    wait_for(enough)
    inbox.acknowledge(arrivals)
    return [arrival.item for arrival in arrivals]


def opener_of(rig: Rig) -> Opener:
    opener = Opener(rig.ca.certificate, rig.keys)
    opener.take(f"vidik/v1/{CAMERA}/status", status(rig))
    return opener


def test_there_and_back(rig: Rig, inbox: Receiver) -> None:
    clock = Clock()
    with Trial(make_folder(rig, court=court(rig)), clock) as trial:
        assert trial.state().state == "idle"
        trial.send()
        (item,) = taken(inbox, 1)
        assert (item.kind, item.key.boot, item.key.counts) == (Kind.TRIAL, TRIALS, False)
        wait_for(lambda: "The uplink has it" in trial.state().says)
        assert (trial.state().state, trial.state().missing) == ("waiting", ("court",))
        (found,) = opener_of(rig).take(f"vidik/v1/{CAMERA}/trial", item.sealed)
        assert isinstance(found, Tried)
        assert found.camera == CAMERA
        Confirmations(rig.folder / "confirm").take("", found.confirmation)
        assert trial.state().state == "confirmed"
        assert trial.state().confirmed == ("court",)


def test_each_recipient_confirms_for_itself(rig: Rig, inbox: Receiver) -> None:
    clock = Clock()
    with Trial(make_folder(rig, court=court(rig), police=OTHER.public_key().public_bytes_raw()), clock) as trial:
        trial.send()
        opener = opener_of(rig)
        found = [
            finding for item in taken(inbox, 2) for finding in opener.take(f"vidik/v1/{CAMERA}/trial", item.sealed)
        ]
        (tried,) = (each for each in found if isinstance(each, Tried))
        assert [each for each in found if isinstance(each, Sealed)]  # genuine, and for somebody else
        Confirmations(rig.folder / "confirm").take("", tried.confirmation)
        clock.now += 10 * ANSWER_SECONDS
        assert (trial.state().confirmed, trial.state().missing) == (("court",), ("police",))
        assert "Not yet by: police" in trial.state().says


def test_nobody_answers_and_then_late(rig: Rig, inbox: Receiver) -> None:
    clock = Clock()
    with Trial(make_folder(rig, court=court(rig)), clock) as trial:
        trial.send()
        (item,) = taken(inbox, 1)
        wait_for(lambda: "The uplink has it" in trial.state().says)
        clock.now += ANSWER_SECONDS + 1
        assert trial.state().state == "failed"
        assert "nobody has confirmed it" in trial.state().says
        assert "court" in trial.state().says
        (found,) = opener_of(rig).take(f"vidik/v1/{CAMERA}/trial", item.sealed)
        Confirmations(rig.folder / "confirm").take("", found.confirmation)
        assert trial.state().state == "confirmed"


def test_no_uplink_runs(rig: Rig) -> None:
    clock = Clock()
    with Trial(make_folder(rig, court=court(rig)), clock) as trial:
        trial.send()
        assert trial.state().state == "waiting"
        clock.now += INBOX_SECONDS + 0.1
        assert trial.state().state == "failed"
        assert "Is the uplink process running?" in trial.state().says


def test_what_is_missing_is_named_with_the_next_step(rig: Rig) -> None:
    def says(folder: Path) -> str:
        with Trial(folder) as trial:
            trial.send()
            assert trial.state().state == "failed"
            return trial.state().says

    assert "camera.toml" in says(rig.folder)
    folder = make_folder(rig)
    assert "vidik provision recipient KEY.pub" in says(folder)
    (folder / "identity" / "made" / "deployment.json").write_text('{"recipients": {"court": "AAAA"}}')
    assert "Enrol with a new claim" in says(folder)
    (folder / "identity" / "made" / "deployment.json").unlink()
    assert "Enrol it first" in says(folder)
    make_folder(Rig(rig.folder / "other"), court=court(rig))
    (rig.folder / "other" / f"{CAMERA}-signing.key").unlink()
    assert "signing key" in says(rig.folder / "other")


def test_sending_again_forgets_what_was_before(rig: Rig, inbox: Receiver) -> None:
    with Trial(make_folder(rig, court=court(rig))) as trial:
        trial.send()
        (first,) = taken(inbox, 1)
        trial.send()
        (second,) = taken(inbox, 1)
        assert first.key != second.key
        answers = [opener_of(rig).take(f"vidik/v1/{CAMERA}/trial", item.sealed)[0] for item in (first, second)]
        kept = Confirmations(rig.folder / "confirm")
        kept.take("", answers[0].confirmation)
        assert trial.state().state == "waiting"
        kept.take("", answers[1].confirmation)
        assert trial.state().state == "confirmed"


def test_a_subscriber_answers_once_and_waits_for_the_signer(rig: Rig, inbox: Receiver) -> None:
    with Trial(make_folder(rig, court=court(rig))) as trial:
        trial.send()
        (item,) = taken(inbox, 1)
    opener = Opener(rig.ca.certificate, rig.keys)
    assert opener.take(f"vidik/v1/{CAMERA}/trial", item.sealed, 7) == []
    assert opener.settled == []
    _, found = opener.take(f"vidik/v1/{CAMERA}/status", status(rig))
    assert isinstance(found, Tried)
    assert 7 in opener.settled
    assert opener.take(f"vidik/v1/{CAMERA}/trial", item.sealed) == []
    assert opener.duplicates == 1


@pytest.mark.parametrize(("kind", "boot"), [(Kind.PLATE, TRIALS), (Kind.FACE, TRIALS), (Kind.TRIAL, 1)])
def test_a_report_cannot_hide_among_test_reports(kind: Kind, boot: int) -> None:
    """Numbers of test reports are in nobody's account: a report under one would be lost without a word."""
    item = Item(kind, Key(boot, 1), 60, b"sealed")
    with pytest.raises(HandoverError):
        pack(item)
    good = bytearray(pack(Item(Kind.TRIAL, Key(TRIALS, 1), 60, b"sealed")))
    good[3] = kind
    good[8:12] = boot.to_bytes(4, "big")
    with pytest.raises(HandoverError):
        list(unpack(good))


def test_confirmations_are_bounded(tmp_path: Path) -> None:
    inlet = Confirmations(tmp_path / "confirm")
    inlet.take("", b"")
    inlet.take("", bytes(LARGEST + 1))
    assert not (tmp_path / "confirm").exists()
    for number in range(3 * MOST):
        inlet.take("", b"x%d" % number)
    assert len(list((tmp_path / "confirm").iterdir())) == MOST
    assert not inlet.asks_again()
    inlet = Confirmations(tmp_path / "file" / "confirm")
    (tmp_path / "file").write_text("in the way")
    inlet.take("", b"x")  # said in the log, and the uplink goes on


def test_a_trial_is_no_report_and_a_report_no_trial(rig: Rig) -> None:
    opener = opener_of(rig)
    sealer = seal.Sealer(rig.signing_key)
    asked = trial_form.encode(trial_form.new(CAMERA, 1.0))
    for channel, sealed in (
        ("plate", sealer.seal_content(asked, rig.recipient.public_key())),
        ("face", sealer.seal_content(asked, rig.recipient.public_key())),
        ("trial", rig.sealed(1)),
    ):
        (found,) = opener.take(f"vidik/v1/{CAMERA}/{channel}", sealed)
        assert isinstance(found, Rejected)
