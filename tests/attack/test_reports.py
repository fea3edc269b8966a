"""Attempts on reports under way: re-addressed, re-labelled, forged, and an uplink that has been taken over.

The uplink holds ciphertext and nothing else: it can lose or delay reports, and the loss shows in their numbers.
"""

from __future__ import annotations

import base64
import json
import random

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding

from edge import seal
from edge.handover import LARGEST, HandoverError, Item, Key, Kind, Receiver, Sender
from edge.handover.frame import unpack
from edge.listen.opener import Opened, Opener, Rejected, Sealed
from edge.records import PlateReport
from provisioning import pki

CA = pki.make_ca("Test")
IDENTITY = pki.issue_signing(CA, "cam-1")
RECIPIENT, OTHER, THIRD = (x25519.X25519PrivateKey.generate() for _ in range(3))
SIGNERS = {seal.key_id(IDENTITY.key.public_key()): IDENTITY.key.public_key()}


def held(*keys):
    return {seal.key_id(key.public_key()): key for key in keys}


def report(seq=1, camera="cam-1"):
    return PlateReport(
        camera=camera, boot=1, seq=seq, time=1_795_000_000.0, grant="plates-1", track=seq, box=(0, 0, 10, 10),
        text=f"BG{seq:04}AB", confidence=0.99,
    )  # fmt: skip


def sealed(seq=1, *recipients, key=IDENTITY.key, camera="cam-1"):
    return seal.Sealer(key).seal(report(seq, camera), *(k.public_key() for k in recipients or (RECIPIENT,)))


def opens(message, *keys, camera="cam-1", signers=SIGNERS):
    return seal.open_sealed(message, camera, signers, held(*keys))


def inside(message):
    """The parts of the encrypted message inside a sealed report, to be changed."""
    return cbor2.loads(cbor2.loads(message).value[2])


def with_inside(message, inner, key=None):
    """``message`` with its encrypted part replaced; signed anew when there is a ``key``."""
    packed = cbor2.dumps(inner)
    outer = cbor2.loads(message)
    outer.value[2] = packed
    if key is not None:
        sealer = seal.Sealer(key)
        header = {1: -7, 4: sealer._kid}
        return bytes(sealer._cose.encode_and_sign(packed, sealer._key, protected=header, unprotected={}))
    return cbor2.dumps(outer)


def test_another_recipients_name_on_the_envelope():
    """Even if the camera itself signed it: the name is bound to the ciphertext."""
    message = sealed()
    inner = inside(message)
    inner.value[0] = cbor2.dumps({1: 41, 4: seal.key_id(OTHER.public_key())})
    with pytest.raises(seal.BadSignature):
        opens(with_inside(message, inner), OTHER)
    with pytest.raises(seal.SealError, match="cannot be decrypted"):
        opens(with_inside(message, inner, IDENTITY.key), OTHER)


def test_a_recipient_added_exchanged_or_removed():
    message = sealed(1, RECIPIENT, OTHER)
    for change in (
        lambda entries: entries + inside(sealed(1, RECIPIENT, THIRD)).value[3][1:],
        lambda entries: entries[:1],
        lambda entries: entries[::-1],
        lambda entries: [],
    ):
        inner = inside(message)
        inner.value[3] = change(inner.value[3])
        with pytest.raises(seal.BadSignature):
            opens(with_inside(message, inner), RECIPIENT, OTHER, THIRD)
    inner = inside(message)
    inner.value[3][1][0] = cbor2.dumps({1: 49, 4: seal.key_id(THIRD.public_key())})
    with pytest.raises(seal.SealError, match="cannot be decrypted"):
        opens(with_inside(message, inner, IDENTITY.key), THIRD)


def test_a_recipient_who_passes_the_report_on_cannot_pass_it_off_as_the_cameras():
    """The first recipient decrypts and seals the report again, to another: the camera's signature is missing."""
    thief = ec.generate_private_key(ec.SECP256R1())
    again = seal.Sealer(thief).seal(opens(sealed(), RECIPIENT), OTHER.public_key())
    with pytest.raises(seal.UnknownSigner):
        opens(again, OTHER)


def test_another_genuine_camera_takes_the_ciphertext_for_its_own():
    other = pki.issue_signing(CA, "cam-2")
    signers = {seal.key_id(other.key.public_key()): other.key.public_key()}
    stolen = with_inside(sealed(), inside(sealed()), other.key)
    with pytest.raises(seal.BadSignature, match="re-labelled"):
        opens(stolen, RECIPIENT, camera="cam-2", signers=signers)
    with pytest.raises(seal.UnknownSigner):
        opens(stolen, RECIPIENT)


def opener(*keys):
    listening = Opener(CA.certificate, held(*keys))
    status = {"signing_certificate": base64.b64encode(IDENTITY.certificate.public_bytes(Encoding.DER)).decode()}
    listening.take("vidik/v1/cam-1/status", json.dumps(status).encode())
    return listening


def test_a_taken_over_uplink_can_only_lose_and_delay(tmp_path):
    """Reports cross the real socket; the uplink behind it reorders, repeats, corrupts, drops and floods."""
    chance, total = random.Random(4), 60
    receiver, sender = Receiver(tmp_path / "inbox"), Sender(tmp_path / "inbox")
    try:
        for seq in range(1, total + 1):
            sender.offer(Item(Kind.PLATE, Key(1, seq), 3600, sealed(seq)))
        loot = []
        while len(loot) < total:
            arrivals = receiver.receive(1.0)
            receiver.acknowledge(arrivals)
            loot += [arrival.item for arrival in arrivals]
        assert sender.drain(5.0) == 0
    finally:
        sender.close()
        receiver.close()
    assert not any(f"BG{seq:04}AB".encode() in item.sealed for seq, item in enumerate(loot, 1))

    dropped = {item.key.seq for item in chance.sample(loot, 7)}
    genuine = [item.sealed for item in loot if item.key.seq not in dropped]
    thief = ec.generate_private_key(ec.SECP256R1())
    messages = genuine * 3 + [chance.randbytes(chance.randrange(LARGEST + 50)) for _ in range(300)]
    for message in genuine:
        broken = bytearray(message)
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
        messages += [bytes(broken), message[: chance.randrange(len(message))], message + b"\0"]
    messages += [sealed(seq, key=thief) for seq in range(1, 20)]
    chance.shuffle(messages)

    listening, findings = opener(RECIPIENT), []
    for message in messages:
        topic = chance.choice(["cam-1/plate"] * 3 + ["cam-1/face", "cam-2/plate"])
        findings += listening.take(f"vidik/v1/{topic}", message)
    for message in genuine:  # delayed, not lost
        findings += listening.take("vidik/v1/cam-1/plate", message)
    opened = [finding.report for finding in findings if isinstance(finding, Opened)]
    assert sorted(found.seq for found in opened) == sorted(set(range(1, total + 1)) - dropped)  # each of them once
    assert all(found == report(found.seq) for found in opened)
    missing = set(range(1, max(found.seq for found in opened) + 1)) - {found.seq for found in opened}
    assert missing == {seq for seq in dropped if seq < max(found.seq for found in opened)}  # the loss shows
    assert listening.duplicates >= 2 * len(genuine)
    assert any(isinstance(finding, Rejected) for finding in findings)


def test_a_flood_from_unknown_signers_stays_bounded():
    listening = opener(RECIPIENT)
    key = ec.generate_private_key(ec.SECP256R1())
    message = sealed(1, key=key)
    for _ in range(1500):
        listening.take("vidik/v1/cam-1/plate", message)
    assert listening.waiting <= 1000
    assert [type(finding) for finding in listening.take("vidik/v1/cam-1/plate", sealed())] == [Opened]


def test_who_holds_no_key_learns_only_that_there_was_a_report():
    (finding,) = opener(THIRD).take("vidik/v1/cam-1/plate", sealed())
    assert finding == Sealed("cam-1", "plate", len(sealed()))


def test_garbage_on_the_socket_never_becomes_an_item():
    chance = random.Random(9)
    for _ in range(2000):
        content = bytearray(b"VK\x01" + chance.randbytes(chance.randrange(60)))
        try:
            for item in unpack(content):
                assert len(item.sealed) <= LARGEST
        except HandoverError:
            continue


