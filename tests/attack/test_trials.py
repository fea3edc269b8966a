"""Attempts to make a camera believe that its test report was opened, when nobody could have."""

from __future__ import annotations

import base64
import os

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from edge import seal, trial_form
from edge.listen.opener import Opener, Rejected, Tried
from edge.trial import Trial
from edge.uplink.confirmations import MOST, Confirmations
from provisioning import pki
from tests.rig import CAMERA, Rig
from tests.trials import make_folder
from tests.unit.test_listen import status


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


@pytest.fixture
def trial(rig):
    with Trial(make_folder(rig, court=rig.recipient.public_key().public_bytes_raw())) as made:
        made.send()
        yield made


def put(rig, *payloads):
    for payload in payloads:
        Confirmations(rig.folder / "confirm").take("", payload)


def asked_of(trial):
    """What the test report says: known to the camera and to whoever can open it, not to the attacker."""
    return trial._pending[0].asked, trial._pending[0].kid


def forged(asked, kid, nonce=bytes(32)):
    """What an attacker can make who knows all but the nonce."""
    guess = trial_form.Asked(camera=CAMERA, time=asked.time, id=asked.id, nonce=nonce)
    return trial_form.confirm(guess, kid)


def test_who_sees_only_the_sealed_bytes_confirms_nothing(rig, trial):
    """Broker and uplink know camera, recipient, and at best the id: the nonce is inside the seal."""
    asked, kid = asked_of(trial)
    sealed = seal.Sealer(rig.signing_key).seal_content(trial_form.encode(asked), rig.recipient.public_key())
    assert asked.nonce not in sealed
    assert asked.id not in sealed
    put(rig, forged(asked, kid), forged(asked, kid, sealed[:32]), forged(asked, kid, os.urandom(32)))
    put(rig, cbor2.dumps({0: 1, 1: asked.id, 2: kid, 3: b""}))
    assert trial.state().state == "waiting"


def test_a_genuine_confirmation_with_any_byte_changed_confirms_nothing(rig, trial):
    asked, kid = asked_of(trial)
    genuine = trial_form.confirm(asked, kid)
    for position in range(len(genuine)):
        changed = bytearray(genuine)
        changed[position] ^= 0x01
        assert not trial_form.confirms(bytes(changed), asked, kid)
    for cut in range(len(genuine)):
        assert not trial_form.confirms(genuine[:cut], asked, kid)
    assert not trial_form.confirms(genuine + b"\0", asked, kid)
    assert trial_form.confirms(genuine, asked, kid)


def test_an_old_confirmation_is_worth_nothing_for_the_next_test_report(rig, trial):
    put(rig, trial_form.confirm(*asked_of(trial)))
    assert trial.state().state == "confirmed"
    trial.send()
    assert trial.state().state == "waiting"


def test_the_confirmation_of_another_camera_confirms_nothing(rig, trial):
    asked, kid = asked_of(trial)
    elsewhere = trial_form.Asked(camera="cam-2", time=asked.time, id=asked.id, nonce=asked.nonce)
    put(rig, trial_form.confirm(elsewhere, kid))
    assert trial.state().state == "waiting"


def test_one_recipient_cannot_confirm_for_another(rig):
    mine, theirs = (x25519.X25519PrivateKey.generate().public_key() for _ in range(2))
    folder = make_folder(rig, mine=mine.public_bytes_raw(), theirs=theirs.public_bytes_raw())
    with Trial(folder) as trial:
        trial.send()
        asked = trial._pending[0].asked  # opened by mine
        put(rig, trial_form.confirm(asked, seal.key_id(theirs)))
        assert trial.state().state == "waiting"
        put(rig, trial_form.confirm(asked, seal.key_id(mine)))
        assert (trial.state().confirmed, trial.state().missing) == (("mine",), ("theirs",))


def test_a_flood_of_forgeries_ends_neither_the_camera_nor_its_patience(rig, trial):
    asked, kid = asked_of(trial)
    put(rig, *(forged(asked, kid, os.urandom(32)) for _ in range(3 * MOST)))
    put(rig, b"\xff" * 200, b"\x9f" * 200, cbor2.dumps([1]), cbor2.dumps({0: 1, 1: [], 2: {}, 3: None}))
    folder = rig.folder / "confirm"
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    assert trial.state().state == "waiting"
    put(rig, trial_form.confirm(asked, kid))  # the folders that are no files cannot be removed: the log says so
    assert trial.state().state == "confirmed"


@pytest.mark.parametrize("signer", [CAMERA, "cam-2-signing", "subscriber"])
def test_a_subscriber_answers_nobody_but_the_camera(rig, signer):
    """Otherwise whoever can publish could have it confirm, and learn who listens with which keys."""
    opener = Opener(rig.ca.certificate, rig.keys)
    for camera in (CAMERA, "cam-2"):
        opener.take(f"vidik/v1/{camera}/status", status(rig, f"{camera}-signing"))
    asked = trial_form.new(CAMERA, 1.0)
    forger = seal.Sealer(pki.load(rig.folder, signer).key)
    sealed = forger.seal_content(trial_form.encode(asked), rig.recipient.public_key())
    for camera in (CAMERA, "cam-2"):
        found = opener.take(f"vidik/v1/{camera}/trial", sealed)
        assert not any(isinstance(each, Tried) for each in found)


def test_a_report_sent_as_a_test_report_is_not_answered(rig):
    """An answer would prove to a broker that a plate was read by somebody; and the id of a report is no secret."""
    opener = Opener(rig.ca.certificate, rig.keys)
    opener.take(f"vidik/v1/{CAMERA}/status", status(rig))
    (found,) = opener.take(f"vidik/v1/{CAMERA}/trial", rig.sealed(1))
    assert isinstance(found, Rejected)


def test_a_hostile_office_file_names_no_recipient_of_low_order(rig):
    folder = make_folder(rig, court=bytes(32))
    with Trial(folder) as trial:
        trial.send()
        assert trial.state().state == "failed"
    named = base64.b64encode(bytes(31)).decode()
    (folder / "identity" / "made" / "deployment.json").write_text(f'{{"recipients": {{"x": "{named}"}}}}')
    with Trial(folder) as trial:
        trial.send()
        assert trial.state().state == "failed"
