"""The GStreamer Data Protocol, as far as pictures need it."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from edge.vision.sources import gdp
from edge.vision.sources.gdp import Buffer, Form, ProtocolError
from edge.vision.sources.gstreamer import to_bgr

CAPS = (
    b"video/x-raw, format=(string)I420, width=(int)130, height=(int)98, framerate=(fraction)15/1, "
    b'colorimetry=(string)"bt601", interlace-mode=(string)progressive\0'
)


def message(kind: int, body: bytes, stamp: int = 2**64 - 1, version: tuple[int, int] = (1, 0)) -> bytes:
    return struct.pack(">BBBBHIQ", *version, 1, 0, kind, len(body), stamp) + bytes(44) + body


def reader(data: bytes):
    left = bytearray(data)

    def take(count: int) -> bytearray:
        if len(left) < count:
            raise EOFError
        out = left[:count]
        del left[:count]
        return out

    return take


def test_caps_buffers_and_events() -> None:
    take = reader(message(2, CAPS) + message(0x284E, b"event") + message(1, b"pixels", 1_500_000_000) + message(1, b""))
    assert gdp.read(take) == Form(130, 98, 15.0)
    assert gdp.read(take) is None
    assert gdp.read(take) == Buffer(bytearray(b"pixels"), 1.5)
    assert gdp.read(take) == Buffer(bytearray(), None)


@pytest.mark.parametrize(
    "data",
    [
        message(2, CAPS, version=(7, 7)),
        message(0, b""),
        message(9, b""),
        struct.pack(">BBBBHIQ", 1, 0, 1, 0, 1, 2**31, 0) + bytes(44),
        message(2, CAPS.replace(b"I420", b"BGRx")),
        message(2, b"audio/x-raw"),
        message(2, CAPS.replace(b"130", b"0")),
        message(2, CAPS.replace(b"(int)130", b"(int)99999999")),
        message(2, CAPS.replace(b"15/1", b"15/0")),
        message(2, CAPS.replace(b"height", b"weight")),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        gdp.read(reader(data))


def test_noise_is_refused_or_runs_out_and_nothing_else() -> None:
    random.seed(7)

    def drain(data: bytes) -> None:
        take = reader(data)
        while True:
            gdp.read(take)

    for _ in range(2000):
        with pytest.raises((ProtocolError, EOFError)):
            drain(random.randbytes(200))


@pytest.mark.parametrize(("width", "height"), [(128, 96), (130, 98), (131, 97), (6, 5)])
def test_planes_of_any_size_become_bgr(width: int, height: int) -> None:
    form = Form(width, height, 15.0)
    (luma, chroma), rows = form.strides, (height + 1) // 2
    y = np.full((2 * rows, luma), 255, np.uint8)  # what lies in the padding must not show
    u = np.full((rows, chroma), 255, np.uint8)
    v = np.full((rows, chroma), 255, np.uint8)
    y[:height, :width], u[:, : (width + 1) // 2], v[:, : (width + 1) // 2] = 16 + 219 // 2, 128, 128
    pixels = to_bgr(bytearray(b"".join(part.tobytes() for part in (y, u, v))), form)
    assert pixels is not None
    assert pixels.shape == (height & ~1, width & ~1, 3)
    assert np.abs(pixels.astype(int) - 127).max() <= 2


def test_a_picture_of_another_length_is_damaged() -> None:
    assert to_bgr(bytearray(100), Form(128, 96, 15.0)) is None
