"""The published vectors: what the code makes of them, and that it still writes the same bytes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key

from edge import records, seal, trial_form
from edge.grant import document, gate, rotation, signed, trust
from edge.grant.signed import GrantError
from edge.vision.values import FaceTemplate
from tests.vectors import generate

VECTORS = json.loads(generate.PATH.read_text(encoding="utf-8"))
PLATES, FACES, REVOCATION, TRUST = generate.documents()


def hexed(entry, name):
    return bytes.fromhex(entry[name])


def test_the_keys_are_the_ones_written_down():
    for name, key in generate.SIGNERS.items():
        assert load_der_public_key(hexed(VECTORS["signers"][name], "spki")) == key.public_key()
    assert [entry["kid"] for entry in VECTORS["recipients"]] == [
        seal.key_id(key.public_key()).hex() for key in generate.RECIPIENTS
    ]
    assert generate.HYBRID.public_key().raw == hexed(VECTORS["hybrid"], "public")


@pytest.mark.parametrize(("index", "says"), list(enumerate([PLATES, FACES, REVOCATION, TRUST])))
def test_documents(index, says):
    vector = VECTORS["documents"][index]
    content, whole = hexed(vector, "content"), hexed(vector, "signed")
    decode, encode, verify = {
        "grant": (document.decode, document.encode, trust.verify),
        "revocation": (document.decode_revocation, document.encode, trust.verify_revocation),
        "trust": (trust.decode, trust.encode, lambda whole, _: trust.reload(whole)),
    }[vector["kind"]]
    assert decode(content) == says
    assert encode(says) == content
    assert verify(whole, TRUST) == says
    assert signed.content(whole, signed.Kind(f"application/vidik-{vector['kind']}+cbor")) == content


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["why"])
def test_what_must_be_refused(vector):
    with pytest.raises(GrantError):
        trust.verify(hexed(vector, "signed"), TRUST)


@pytest.mark.parametrize(("vector", "report"), list(zip(VECTORS["reports"], generate.reports(), strict=True)))
def test_reports(vector, report):
    assert records.encode(report) == hexed(vector, "content")
    assert records.decode(hexed(vector, "content")) == report
    camera = generate.SIGNERS["camera"].public_key()
    first, second = ({seal.key_id(key.public_key()): key} for key in generate.RECIPIENTS)
    hybrid = {generate.HYBRID.public_key().kid: generate.HYBRID}
    for name, holders in (
        ("sealed to the first recipient", [first]),
        ("sealed to both recipients", [first, second]),
        ("sealed to the hybrid key", [hybrid]),
    ):
        for keys in holders:
            assert seal.open_sealed(hexed(vector, name), "cam-1", {seal.key_id(camera): camera}, keys) == report


def test_the_trial():
    vector, asked = VECTORS["trial"], generate.trial()
    camera, recipient = generate.SIGNERS["camera"].public_key(), generate.RECIPIENTS[0]
    kid = seal.key_id(recipient.public_key())
    assert trial_form.encode(asked) == hexed(vector, "content")
    opened = seal.open_content(
        hexed(vector, "sealed to the first recipient"), {seal.key_id(camera): camera}, {kid: recipient}
    )
    assert opened == (hexed(vector, "content"), kid)
    assert trial_form.decode(opened[0]) == asked
    assert trial_form.confirm(asked, kid) == hexed(vector, "confirmation")
    assert trial_form.confirms(hexed(vector, "confirmation"), asked, kid)


def test_derivations():
    derived = VECTORS["derived"]
    key, matrix = hexed(derived, "template_key"), rotation.matrix(hexed(derived, "template_key"))
    for text in ("BG123AB", "NŠ001ĆĐ"):
        assert gate.plate_digest(key, text).hex() == derived[f"digest of {text}"]
    assert matrix[0, :4] == pytest.approx(derived["matrix, start of the first row"], abs=2e-6)
    assert matrix[-1, -4:] == pytest.approx(derived["matrix, end of the last row"], abs=2e-6)
    template = FaceTemplate(np.frombuffer(hexed(derived, "template"), np.int8), generate.SCALE, 80.0)
    rotated = rotation.rotated(template, matrix).vector.astype(int)
    assert np.abs(rotated - np.frombuffer(hexed(derived, "template rotated"), np.int8)).max() <= 1
