"""Grants as documents: what they may say, and in which bytes."""

from __future__ import annotations

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import x25519

from edge.grant import document, signed, trust
from edge.grant.document import GrantError, ListedFace, Revocation
from edge.grant.signed import Kind
from edge.hybrid import HybridPrivateKey
from tests.law import AUTHORITY, FACES, NOW, OPERATOR, RECIPIENT, TRUST, changed, digest, entry, make, template

REVOCATION = Revocation(grant="plates-1", serial=3, reason="the car was found", time=NOW)


def test_a_signed_grant_comes_back_whole_in_whatever_order_people_signed():
    grant = make(**FACES, hours=((0, 60), (480, 1440)), triggers=("wrong-way",))
    assert trust.verify(document.sign(grant, [AUTHORITY, OPERATOR]), TRUST) == grant
    alone = document.sign(grant, [OPERATOR])
    assert trust.verify(signed.add(alone, Kind.GRANT, AUTHORITY), TRUST) == grant


def test_a_revocation_comes_back_whole():
    assert trust.verify_revocation(document.sign_revocation(REVOCATION, [OPERATOR]), TRUST) == REVOCATION


def test_signing_again_replaces_the_signature():
    once = document.sign(make(), [AUTHORITY])
    again = signed.add(once, Kind.GRANT, AUTHORITY)
    assert len(signed.signatures(again, Kind.GRANT)) == 1
    assert signed.content(again, Kind.GRANT) == signed.content(once, Kind.GRANT)


def test_what_one_signed_is_no_other_kind_of_document():
    for kind in (Kind.REVOCATION, Kind.TRUST):
        with pytest.raises(GrantError, match="Not a signed document"):
            signed.signatures(document.sign(make(), [AUTHORITY]), kind)


def test_every_flipped_bit_refuses_it():
    whole = document.sign(make(), [AUTHORITY])
    for position in range(len(whole)):
        for bit in (0, 5):
            broken = bytearray(whole)
            broken[position] ^= 1 << bit
            with pytest.raises(GrantError):
                trust.verify(bytes(broken), TRUST)


def longer(face):
    return ListedFace(face.entry, b"\x7f" * 128, 1.0, face.threshold)


X = RECIPIENT.public_key().public_bytes_raw()
HYBRID = HybridPrivateKey.generate().public_key().raw


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"not_after": NOW - 10}, "ends before it begins"),
        ({"hours": ((600, 500),)}, "daily hours"),
        ({"hours": ((0, 600), (599, 700))}, "daily hours"),
        ({"hours": ((700, 800), (0, 600))}, "daily hours"),
        ({"hours": ((0, 1441),)}, "schema"),
        ({"cameras": ("cam-1", "cam-1")}, "twice"),
        ({"cameras": ()}, "schema"),
        ({"cameras": ("cam-1\n",)}, "schema"),
        ({"recipients": (X, X)}, "twice"),
        ({"recipients": ()}, "schema"),
        ({"recipients": tuple(bytes([i]) * 32 for i in range(5))}, "schema"),
        ({"recipients": (bytes(32),)}, "key that cannot be used"),
        ({"recipients": (X + b"x",)}, "key that cannot be used"),
        ({"recipients": (b"\xff" * len(HYBRID),)}, "key that cannot be used"),
        ({"recipients": (X, HYBRID)}, "key that cannot be used"),
        ({"id": "plates-1\n"}, "schema"),
        ({"id": "../up"}, "schema"),
        ({"purpose": "find\x1b[2J"}, "schema"),
        ({"purpose": "\u202eevil"}, "schema"),
        ({"function": "plates\n"}, "schema"),
        ({"function": "ages"}, "schema"),
        ({"scope": "all"}, "schema"),
        ({"retention": 59}, "schema"),
        ({"serial": 0}, "schema"),
        ({"template_key": b"short"}, "schema"),
        ({"triggers": ("Wrong Way",)}, "schema"),
        ({"plates": (digest(b"k"),)}, "list although its scope is open"),
        ({"faces": FACES["faces"], "scope": "listed"}, "lists what it is not about"),
        ({**FACES, "plates": (digest(b"k"),)}, "lists what it is not about"),
        ({**FACES, "faces": (entry("p-1", 1), entry("p-1", 2))}, "twice"),
        ({**FACES, "faces": (longer(entry("p-1", 1)),)}, "not of length 1"),
        ({**FACES, "faces": (ListedFace("p-1", bytes(128), 0.5, 0.9),)}, "not of length 1"),
        ({**FACES, "faces": (ListedFace("p-1", template(1).vector.tobytes(), 0.0, 0.9),)}, "schema"),
    ],
)
def test_refused_for_what_it_says(changes, cause):
    with pytest.raises(GrantError, match=cause):
        document.decode(document.encode(make(**changes)))


def test_every_field_is_critical():
    body = msgspec.to_builtins(make(), builtin_types=(bytes,))
    assert document.decode(cbor2.dumps(body)) == make()
    with pytest.raises(GrantError, match="schema"):
        document.decode(cbor2.dumps({**body, "extra": 1}))
    for name in set(body) - {"hours", "triggers", "scope", "faces", "plates"}:
        with pytest.raises(GrantError, match="schema"):
            document.decode(cbor2.dumps({k: v for k, v in body.items() if k != name}))
    with pytest.raises(GrantError, match="schema"):  # bytes are bytes, not base64
        document.decode(cbor2.dumps({**body, "template_key": "A" * 44}))


def test_all_recipients_come_out():
    raw = [x25519.X25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(4)]
    assert [key.public_bytes_raw() for key in document.recipients(make(recipients=tuple(raw)))] == raw
    assert document.recipients(make(recipients=(HYBRID,)))[0].raw == HYBRID


def test_too_many_signatures_are_refused():
    whole = cbor2.loads(document.sign(make(), [AUTHORITY]))
    whole.value[3] *= 17
    with pytest.raises(GrantError, match="too many"):
        trust.verify(cbor2.dumps(whole), TRUST)
    whole.value[3] = whole.value[3][:2]
    with pytest.raises(GrantError, match="two signatures of one key"):
        trust.verify(cbor2.dumps(whole), TRUST)


@pytest.mark.parametrize(
    "signer",
    [
        [b"", {}, bytes(64)], [b"\x40", {}, bytes(64)], [b"\x80", {}, bytes(64)], [b"\xa0", {}, bytes(64)],
        [0, {}, bytes(64)], [], 7, [b"\xa1\x04\x00", {}, bytes(64)], ["\u0041", {}, bytes(64)],
    ],
)  # fmt: skip
def test_signers_of_the_wrong_shape_are_refused(signer):
    whole = cbor2.loads(document.sign(make(), [AUTHORITY]))
    for signers in ([signer], whole.value[3] + [signer], signer):
        whole.value[3] = signers
        with pytest.raises(GrantError):
            trust.verify(cbor2.dumps(whole), TRUST)


def test_a_revocation_of_the_wrong_shape_is_refused():
    for changes in ({"serial": 0}, {"reason": "a\nb"}, {"grant": ""}):
        with pytest.raises(GrantError, match="schema"):
            document.decode_revocation(document.encode(changed(REVOCATION, **changes)))
