"""Grants: who may sign, what is refused, and what the gate makes of them."""

from __future__ import annotations

import base64
import logging

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.grant import document, gate, trust
from edge.grant.document import Grant, GrantError, ListedFace
from edge.grant.gate import Discard, Permit, Reason, Terms
from edge.grant.store import GrantStore
from edge.vision.values import FaceTemplate, PlateText

NOW = 1_795_000_000
AUTHORITY, OPERATOR, STRANGER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))


def person(name, role, key):
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return trust.Person(name, role, base64.b64encode(der).decode())


TRUST = trust.Trust((person("A. Authority", "authority", AUTHORITY), person("O. Operator", "operator", OPERATOR)))


def make(**changes):
    fields = {
        "id": "plates-1", "serial": 1, "authority": "Court", "legal_basis": "Act 1", "purpose": "find a car",
        "reference": "K 1/26", "function": "plates", "cameras": ("cam-1",), "not_before": NOW - 10,
        "not_after": NOW + 3600, "recipients": (x25519.X25519PrivateKey.generate().public_key().public_bytes_raw(),),
        "retention": 3600, "template_key": bytes(32), "scope": "open",
    }  # fmt: skip
    return Grant(**{**fields, **changes})


def template(seed):
    vector = np.random.default_rng(seed).standard_normal(128)
    vector /= np.abs(vector).max()
    whole = np.rint(vector * 127).astype(np.int8)
    return FaceTemplate(whole, 1 / float(np.linalg.norm(whole.astype(float))), 80.0)


def entry(name, seed, threshold=0.9):
    face = template(seed)
    return ListedFace(name, face.vector.tobytes(), face.scale, threshold)


FACES = {"id": "faces-1", "function": "faces", "scope": "listed", "faces": (entry("p-1", 1), entry("p-2", 2))}
PLATE = PlateText("BG123AB", 0.99)


def digest(key):
    return gate.plate_digest(key, PLATE.text)


def test_a_signed_grant_comes_back_whole():
    grant = make(**FACES)
    assert trust.verify(document.sign(grant, [AUTHORITY, OPERATOR]), TRUST) == grant
    assert trust.verify(document.sign(grant, [OPERATOR, AUTHORITY]), TRUST) == grant


def test_every_flipped_bit_refuses_it():
    signed = document.sign(make(), [AUTHORITY])
    for position in range(len(signed)):
        for bit in (0, 5):
            broken = bytearray(signed)
            broken[position] ^= 1 << bit
            with pytest.raises(GrantError):
                trust.verify(bytes(broken), TRUST)


@pytest.mark.parametrize(
    ("grant", "signers", "cause"),
    [
        (make(), [STRANGER], "No signer"),
        (make(), [], "Not a signed grant|No signer"),
        (make(), [OPERATOR], "0 of 1 signatures needed from the role authority"),
        (make(**FACES), [AUTHORITY], "0 of 1 signatures needed from the role operator"),
        (make(**FACES), [AUTHORITY, AUTHORITY], "role operator"),
        (make(**{**FACES, "scope": "open"}), [AUTHORITY, OPERATOR], "rules out"),
        (make(not_after=NOW + 366 * 86400), [AUTHORITY], "longer than the 365 days"),
        (make(**{**FACES, "not_after": NOW + 31 * 86400}), [AUTHORITY, OPERATOR], "longer than the 30 days"),
        (make(not_after=NOW - 10), [AUTHORITY], "ends before it begins"),
    ],
)
def test_refused_with_the_cause(grant, signers, cause):
    signed = document.sign(grant, signers) if signers else b"\xd8\x62\x80"
    with pytest.raises(GrantError, match=cause):
        trust.verify(signed, TRUST)


def test_an_unknown_field_refuses():
    import cbor2

    body = msgspec.to_builtins(make(), builtin_types=(bytes,))
    with pytest.raises(GrantError, match="schema"):
        document.decode(cbor2.dumps({**body, "extra": 1}))


def test_open_faces_only_where_the_deployment_allows_them():
    grant = make(**{**FACES, "scope": "open", "faces": ()})
    relaxed = msgspec.structs.replace(TRUST, open_faces=True)
    assert trust.verify(document.sign(grant, [AUTHORITY, OPERATOR]), relaxed) == grant


@pytest.mark.parametrize(
    ("seen", "changes", "camera", "now", "outcome"),
    [
        (PLATE, {}, "cam-1", NOW, None),
        (PLATE, {}, "cam-2", NOW, Reason.WRONG_CAMERA),
        (PLATE, {}, "cam-1", NOW - 11, Reason.NOT_YET),
        (PLATE, {}, "cam-1", NOW + 3600, Reason.EXPIRED),
        (PLATE, FACES, "cam-1", NOW, Reason.NO_GRANT),
        (template(1), {}, "cam-1", NOW, Reason.NO_GRANT),
        (template(1), FACES, "cam-1", NOW, None),
        (template(3), FACES, "cam-1", NOW, Reason.NOT_LISTED),
        (template(1), {**FACES, "faces": ()}, "cam-1", NOW, Reason.NOT_LISTED),
        (PLATE, {"scope": "listed"}, "cam-1", NOW, Reason.NOT_LISTED),
        (PLATE, {"scope": "listed", "plates": (digest(bytes(32)),)}, "cam-1", NOW, None),
        (PLATE, {"scope": "listed", "plates": (digest(b"x" * 32),)}, "cam-1", NOW, Reason.NOT_LISTED),
    ],
)
def test_the_gate(seen, changes, camera, now, outcome):
    decision = gate.decide(seen, Terms(make(**changes)), camera, now)
    if outcome is None:
        assert isinstance(decision, Permit)
        assert decision.seen is seen
    else:
        assert decision == Discard(outcome)


def test_the_gate_names_the_entry_and_the_similarity():
    decision = gate.decide(template(2), Terms(make(**FACES)), "cam-1", NOW)
    assert decision.entry == "p-2"
    assert decision.similarity == pytest.approx(1.0, abs=1e-3)


def test_the_store_says_why_nothing_is_reported(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    store = GrantStore(tmp_path, TRUST, "cam-1")
    assert store.terms(NOW) == []
    assert "no valid grant" in caplog.text
    signed = document.sign(make(), [AUTHORITY])
    (tmp_path / "a.grant").write_bytes(signed[:-1])
    assert store.terms(NOW) == []
    assert "a.grant refused" in caplog.text
    (tmp_path / "a.grant").write_bytes(signed)
    assert [t.grant.id for t in store.terms(NOW)] == ["plates-1"]
    assert "in force" in caplog.text
    store.terms(NOW + 4000)
    assert "grant plates-1 (plates): grant expired" in caplog.text
    (tmp_path / "a.grant").unlink()
    assert store.terms(NOW) == []
