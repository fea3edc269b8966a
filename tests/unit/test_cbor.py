"""The strict reader: everything our formats use, nothing else, and never out of proportion."""

from __future__ import annotations

import time

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import cbor

keys = st.integers(-(2**64), 2**64 - 1) | st.text(max_size=10)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.text(max_size=10) | st.binary(max_size=300)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@settings(max_examples=300)
@given(values, st.booleans())
def test_reads_what_we_write(value, canonical):
    content = cbor2.dumps(value, canonical=canonical)
    if depth(value) <= cbor.DEEPEST:
        assert cbor.loads(content) == value
        assert cbor.loads(cbor2.dumps(cbor2.CBORTag(98, value)), tag=98) == value


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "empty"),
        (b"\x18", "head cut short"),
        (b"\x18\x17", "longer than needed"),
        (b"\x1b\x00\x00\x00\x00\xff\xff\xff\xff", "longer than needed"),
        (b"\x43ab", "bytes cut short"),
        (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "length beyond memory"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "count beyond memory"),
        (b"\xbb\x7f\xff\xff\xff\xff\xff\xff\xff", "count beyond memory"),
        (b"\x9f\xff", "indefinite array"),
        (b"\xbf\xff", "indefinite map"),
        (b"\x5f\xff", "indefinite bytes"),
        (b"\xff", "break"),
        (b"\x00\x00", "bytes after the end"),
        (b"\x61\xff", "not UTF-8"),
        (b"\xf7", "undefined"),
        (b"\xf8\xff", "simple value"),
        (b"\xf9\x7e\x00", "NaN"),
        (b"\xfa\x7f\x80\x00\x00", "infinity"),
        (b"\xfb\xff\xf0\x00\x00\x00\x00\x00\x00", "minus infinity"),
        (b"\xa2\x00\x00\x00\x01", "key twice"),
        (b"\xa1\x40\x00", "bytes as a key"),
        (b"\xa1\x80\x00", "array as a key"),
        (b"\xa1\xf5\x00", "true as a key"),
        (b"\xa1\x00", "key without a value"),
        (b"\x81" * 9 + b"\x00", "deep"),
        (b"\x81" * 100_000, "very deep"),
        (cbor2.dumps([0] * 256), "many items"),
        (b"\xd8\x23\x61(", "tag: regular expression"),
        (b"\xc2\x41\xff", "tag: bignum"),
        (b"\xd8\x1c\x81\xd8\x1d\x00", "tag: shared reference"),
        (b"\x81\xc0\x60", "tag inside"),
        (b"\xd8\x62\xd8\x62\x00", "tag in a tag"),
    ],
)  # fmt: skip
def test_refuses(content, why):
    with pytest.raises(cbor.CborError):
        cbor.loads(content)
    with pytest.raises(cbor.CborError):
        cbor.loads(content, tag=98)


@pytest.mark.parametrize("byte", [0x00, 0x80, 0xA0, 0x81, 0xA1, 0x9A, 0x40, 0xC0, 0xFB])
def test_four_megabytes_of_anything_are_done_with_at_once(byte):
    before = time.process_time()
    with pytest.raises(cbor.CborError):
        cbor.loads(bytes([byte]) * (4 << 20), items=200_000)
    assert time.process_time() - before < 20  # not a measurement: an endless loop or a quadratic one takes hours


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_bytes_by_chance_are_read_or_refused(content):
    try:
        value = cbor.loads(content)
    except cbor.CborError:
        return
    assert cbor.loads(cbor2.dumps(value, canonical=True)) == value
