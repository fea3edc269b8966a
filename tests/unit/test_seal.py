"""Reports and their sealing: sizes, round trips, and everything that must be refused."""

from __future__ import annotations

import cbor2
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import records, seal
from edge.hybrid import HybridPrivateKey
from edge.records import FaceReport, Measure, PlateReport, RecordError, Trigger

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


def test_every_one_of_several_recipients_can_open_it_and_nobody_else():
    others = [x25519.X25519PrivateKey.generate() for _ in range(3)]
    for count in (1, 2, 3):
        sealed = seal.Sealer(SIGNING).seal(FACE, RECIPIENT.public_key(), *(k.public_key() for k in others[:count]))
        assert len(sealed) <= 480 + 110 * count
        for key in (RECIPIENT, *others[:count]):
            assert seal.open_sealed(sealed, FACE.camera, SIGNERS, {seal.key_id(key.public_key()): key}) == FACE
        stranger = x25519.X25519PrivateKey.generate()
        with pytest.raises(seal.NotForUs):
            seal.open_sealed(sealed, FACE.camera, SIGNERS, {seal.key_id(stranger.public_key()): stranger})
        kid = seal.key_id(RECIPIENT.public_key())  # another key under a known name
        with pytest.raises(seal.SealError, match="cannot be decrypted"):
            seal.open_sealed(sealed, FACE.camera, SIGNERS, {kid: stranger})


def test_a_hybrid_recipient_can_open_it():
    key = HybridPrivateKey.generate()
    sealed = seal.Sealer(SIGNING).seal(FACE, key.public_key())
    assert len(sealed) <= 480 + 1100
    kid = seal.key_id(key.public_key())
    assert seal.open_sealed(sealed, FACE.camera, SIGNERS, {kid: key}) == FACE
    with pytest.raises(seal.SealError, match="cannot be decrypted"):
        seal.open_sealed(sealed, FACE.camera, SIGNERS, {kid: HybridPrivateKey.generate()})
    with pytest.raises(seal.SealError, match="cannot be decrypted"):
        seal.open_sealed(sealed, FACE.camera, SIGNERS, {kid: RECIPIENT})
    plain = seal.Sealer(SIGNING).seal(FACE, RECIPIENT.public_key())
    with pytest.raises(seal.SealError, match="cannot be decrypted"):
        seal.open_sealed(plain, FACE.camera, SIGNERS, dict.fromkeys(KEYS, key))


def test_no_recipient_too_many_or_a_mixture_is_refused():
    x, hybrid = RECIPIENT.public_key(), HybridPrivateKey.generate().public_key()
    for recipients in ((), (x,) * 5, (x, hybrid), (hybrid, hybrid)):
        with pytest.raises(seal.SealError, match="recipients"):
            seal.Sealer(SIGNING).seal(FACE, *recipients)


def test_keys_no_report_can_be_sealed_to_are_refused():
    hybrid = HybridPrivateKey.generate().public_key()
    assert seal.public_key(hybrid.raw) == hybrid
    low = [bytes(32), b"\x01" + bytes(31), bytes(31), b"", hybrid.raw[:-32] + bytes(32), b"\xff" * len(hybrid.raw)]
    for raw in low:
        with pytest.raises(ValueError):
            seal.public_key(raw)


def test_names_of_algorithms_and_keys_are_in_the_clear():
    outer = cbor2.loads(seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key()))
    assert cbor2.loads(outer.value[0]) == {1: -7, 4: seal.key_id(SIGNING.public_key())}
    assert cbor2.loads(cbor2.loads(outer.value[2]).value[0]) == {1: 41, 4: seal.key_id(RECIPIENT.public_key())}
    two = cbor2.loads(seal.Sealer(SIGNING).seal(PLATE, RECIPIENT.public_key(), RECIPIENT.public_key()))
    several = cbor2.loads(two.value[2])
    assert several.tag == 96
    assert [cbor2.loads(entry[0])[1] for entry in several.value[3]] == [49, 49]
    assert seal.addressees(two.value[2]) == [seal.key_id(RECIPIENT.public_key())] * 2


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


@settings(max_examples=300)
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


@settings(max_examples=300)
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
    for lenient in ({11: "12"}, {5: 1.5}, {13: [["A", True]]}, {2: b"c"}):
        with pytest.raises(RecordError):
            records.decode(cbor2.dumps({**body, **lenient}))


@pytest.mark.parametrize("measure", Measure)
@pytest.mark.parametrize(("value", "at"), [(0.0, 0.0), (123.4, -86_400.0), (-90.0, 0.001), (86_400.0, 86_400.0)])
def test_the_trigger_is_in_the_report_and_fits(measure, value, at):
    trigger = Trigger("a-16-letter-rule", measure, value, round(PLATE.time + at, 3))
    for report, limit in ((PLATE, 340), (FACE, 480)):
        triggered = msgspec.structs.replace(report, trigger=trigger)
        assert records.decode(records.encode(triggered)) == triggered
        assert len(seal.Sealer(SIGNING).seal(triggered, RECIPIENT.public_key())) <= limit


@pytest.mark.parametrize(
    "broken",
    [["line"], ["line", 1, 10], ["line", 8, 10, 0], ["line", 0, 10, 0], ["line", True, 10, 0], ["line", 1, 1.5, 0],
     ["line", 1, 10, "0"], ["", 1, 10, 0], ["A b", 1, 10, 0], ["line", 1, 10**9, 0],
     [5, 1, 10, 0], ["x" * 65, 1, 10, 0], ["line", 1, 10, 0, 0],
     {"rule": "line", "measure": 1, "value": 1, "time": 1}, "line", 1],
)  # fmt: skip
def test_a_broken_trigger_is_refused(broken):
    body = cbor2.loads(records.encode(PLATE))
    with pytest.raises(RecordError):
        records.decode(cbor2.dumps({**body, 9: broken}))


def test_every_measure_has_a_unit():
    assert {m.unit for m in Measure} == {"deg", "s", "km/h"}
