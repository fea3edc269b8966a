"""Reports and their sealing: sizes, round trips, and everything that must be refused."""

from __future__ import annotations

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import records, seal
from edge.records import FaceReport, PlateReport, RecordError

SIGNING = ec.generate_private_key(ec.SECP256R1())
RECIPIENT = x25519.X25519PrivateKey.generate()
SIGNERS = {seal.key_id(SIGNING.public_key()): SIGNING.public_key()}
KEYS = {seal.key_id(RECIPIENT.public_key()): RECIPIENT}
HEADER = {
    "camera": "belgrade-terazije-0042", "boot": 1000, "seq": 10_000_000, "time": 1_795_000_000.123,
    "grant": "plates-2026-11-00017", "track": 1_000_000, "box": (1000, 1000, 1000, 1000),
}  # fmt: skip
PLATE = PlateReport(
    text="BG1234ŠŽ", confidence=0.987, country="RS",
    alternates=tuple((f"BG123{i}ŠŽ", 0.004) for i in range(3)), **HEADER,
)  # fmt: skip
FACE = FaceReport(
    vector=bytes(range(128)), scale=0.00312345, quality=88.0, model=b"\xff" * 8, entry="sought-0000000001",
    similarity=0.953, **HEADER,
)  # fmt: skip


@pytest.mark.parametrize(("report", "limit"), [(PLATE, 340), (FACE, 480)])
def test_opens_to_what_was_sealed_within_the_size_promised(report, limit):
    sealed = seal.Sealer(SIGNING).seal(report, RECIPIENT.public_key())
    assert seal.open_sealed(sealed, report.camera, SIGNERS, KEYS) == report
    assert len(sealed) <= limit


def test_ciphertext_shows_neither_text_nor_camera():
    sealed = seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key())
    assert b"BG1234" not in sealed
    assert PLATE.camera.encode() not in sealed


def test_every_flipped_bit_is_noticed():
    sealed = seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key())
    for position in range(len(sealed)):
        broken = bytearray(sealed)
        broken[position] ^= 1 << position % 8
        with pytest.raises(seal.SealError):
            seal.open_sealed(bytes(broken), PLATE.camera, SIGNERS, KEYS)


def test_refuses_another_signer_recipient_and_camera():
    sealed = seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key())
    with pytest.raises(seal.UnknownSigner):
        seal.open_sealed(sealed, PLATE.camera, {}, KEYS)
    with pytest.raises(seal.NotForUs):
        seal.open_sealed(sealed, PLATE.camera, SIGNERS, {})
    with pytest.raises(seal.BadSignature, match="re-labelled"):
        seal.open_sealed(sealed, "another-camera", SIGNERS, KEYS)
    stranger = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(seal.BadSignature):
        seal.open_sealed(sealed, PLATE.camera, dict.fromkeys(SIGNERS, stranger.public_key()), KEYS)


def test_resealing_under_another_signature_is_noticed():
    """Somebody on the way cannot take the ciphertext and sign it as their own camera."""
    thief = ec.generate_private_key(ec.SECP256R1())
    inner = seal.verify(seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key()), SIGNERS)
    outer = cbor2.loads(seal.Sealer(thief).seal(FACE, RECIPIENT.public_key()))
    outer.value[2] = inner
    signers = {seal.key_id(thief.public_key()): thief.public_key()}
    with pytest.raises(seal.BadSignature):
        seal.open_sealed(cbor2.dumps(outer), PLATE.camera, signers, KEYS)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=1100))
def test_garbage_is_refused_with_one_error(content):
    with pytest.raises(RecordError):
        records.decode(content)
    with pytest.raises(seal.SealError):
        seal.open_sealed(content, "camera", SIGNERS, KEYS)


simple = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=130),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(0, 30), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from([*range(14), *range(20, 26), 99]), simple, max_size=20))
def test_well_formed_cbor_of_the_wrong_shape_is_refused(body):
    body = {**body, 0: 1, 1: 1, 99: 0}  # 99 belongs to no report
    with pytest.raises(RecordError):
        records.decode(cbor2.dumps(body))


def test_a_field_of_the_other_kind_is_refused():
    body = cbor2.loads(records.encode(PLATE))
    assert records.decode(cbor2.dumps(body)) == PLATE
    with pytest.raises(RecordError):
        records.decode(cbor2.dumps({**body, 20: bytes(128)}))
    with pytest.raises(RecordError):
        records.decode(cbor2.dumps({**body, 11: 1001}))
