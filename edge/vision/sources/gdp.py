"""The GStreamer Data Protocol, version 1.0: how a pipeline in another process hands over pictures with their times.

GStreamer's ``gdppay`` writes it. Every message has a header of 62 bytes, big-endian: version, minor, flags, a spare
byte, type, length, time stamp, duration, two offsets, buffer flags, 14 reserved bytes and two checksums.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

_HEADER = struct.Struct(">BBBxHIQ24xH14x4x")
_BUFFER, _CAPS, _OTHER = 1, 2, 64
_NO_TIME = 2**64 - 1
_LARGEST = 64 << 20  # bytes of one message: more than any picture has
_LARGEST_SIDE = 16384
_FIELD = re.compile(r"(\w[\w-]*)=\((\w+)\)([^,;]+)")


class ProtocolError(ValueError):
    """What arrived is not of this protocol, or not raw video as agreed."""


class Form(NamedTuple):
    """What the caps say of raw video: planar YUV 4:2:0 of a size in pixels; ``fps`` is 0 when unknown."""

    width: int
    height: int
    fps: float

    @property
    def strides(self) -> tuple[int, int]:
        """Bytes a row of the luma plane and of each chroma plane: GStreamer pads rows to multiples of four."""
        return _four(self.width), _four((self.width + 1) // 2)

    @property
    def size(self) -> int:
        """Bytes of a picture."""
        luma, chroma = self.strides
        rows = (self.height + 1) // 2
        return luma * 2 * rows + 2 * chroma * rows


class Buffer(NamedTuple):
    """One picture's bytes and its time stamp in seconds, None where the pipeline knows none."""

    data: bytearray
    stamp: float | None


def read(take: Callable[[int], bytearray]) -> Form | Buffer | None:
    """The next message out of ``take``, which gives exactly as many bytes as it is asked for; None for an event.

    Raises ``ProtocolError``.
    """
    version, minor, _, kind, length, stamp, _ = _HEADER.unpack(take(_HEADER.size))
    if (version, minor) != (1, 0) or not kind > 0 or length > _LARGEST or (_CAPS < kind < _OTHER):
        raise ProtocolError("the pipeline wrote something that is not the GStreamer Data Protocol")
    body = take(length)
    if kind == _BUFFER:
        return Buffer(body, None if stamp == _NO_TIME else stamp / 1e9)
    return parse(bytes(body)) if kind == _CAPS else None


def parse(caps: bytes) -> Form:
    """The form that ``caps`` describe, as GStreamer writes them out. Raises ``ProtocolError``."""
    text = caps.rstrip(b"\0").decode("ascii", "replace")
    fields = {name: value.strip().strip('"') for name, _, value in _FIELD.findall(text)}
    if not text.startswith("video/x-raw") or fields.get("format") != "I420":
        raise ProtocolError(f"the pipeline delivers {text[:60]!r}, not raw video in I420")
    try:
        width, height = int(fields["width"]), int(fields["height"])
        above, _, below = fields.get("framerate", "0/1").partition("/")
        fps = int(above) / int(below)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ProtocolError(f"the pipeline states no size: {text[:120]!r}") from error
    if not (0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
        raise ProtocolError(f"the pipeline states an impossible size, {width}x{height}")
    return Form(width, height, fps)


def _four(number: int) -> int:
    return (number + 3) // 4 * 4
