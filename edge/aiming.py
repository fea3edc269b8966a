"""What crosses the socket between the setup mode's camera and its page. Bounded, framed, one question at a time.

The page asks, the camera answers with one small picture, masked before it was encoded, and with what it measured.
Whoever does not ask gets nothing, and no picture is worked on.

Question: magic ``VQ`` · version u8 · flags u8 (1: look for a claim's QR code).
Answer, network byte order: magic ``VW`` · version u8 · zero u8 · bytes of the measures u16 · bytes of the picture u32 ·
measures (JSON) · picture (JPEG; none while there is no picture).
"""

from __future__ import annotations

import socket
import struct
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta

from edge.errors import VidikError

LARGEST_PICTURE = 512 << 10  # bytes
_LARGEST_MEASURES = 8 << 10
_VERSION = 1
_QUESTION = struct.Struct("!2sBB")
_ANSWER = struct.Struct("!2sBBHI")
_SCAN = 1
_Text = Annotated[str, Meta(max_length=512)]
_Count = Annotated[int, Meta(ge=0, le=100_000)]
_Pixels = Annotated[float, Meta(ge=0.0, le=100_000.0)]


class AimingError(VidikError):
    """The other side does not answer, or not as it should."""


class Measures(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the camera measured in one frame of ``width`` by ``height`` pixels.

    ``trouble``: why there is no picture. ``focus``: sharpness, 0 to 100. ``plates``: how many were seen in the last
    minute, ``widest`` and ``median`` their widths in pixels of the full frame. ``tilt``: by how many degrees the camera
    is turned clockwise, None where too few upright edges are in view. ``masked``: faces and plates blanked in this
    picture. ``claim``: the text of a QR code. ``accelerator``: what should run the models; ``faults``: what the models'
    self-test, or that accelerator, has to complain about.
    """

    trouble: _Text = ""
    width: _Count = 0
    height: _Count = 0
    focus: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.0
    plates: _Count = 0
    widest: _Pixels = 0.0
    median: _Pixels = 0.0
    tilt: Annotated[float, Meta(ge=-90.0, le=90.0)] | None = None
    masked: _Count = 0
    claim: Annotated[str, Meta(max_length=1024)] = ""
    accelerator: Annotated[str, Meta(max_length=16)] = "cpu"
    tested: _Count = 0
    faults: Annotated[tuple[_Text, ...], Meta(max_length=8)] = ()


class Answer(NamedTuple):
    """One look through the camera. ``picture``: JPEG, empty while there is none."""

    measures: Measures
    picture: bytes


def ask(connection: socket.socket, scan: bool) -> Answer:
    """The page's side: one question, one answer. Raises ``AimingError``."""
    try:
        connection.sendall(_QUESTION.pack(b"VQ", _VERSION, _SCAN if scan else 0))
        magic, version, _, measured, pictured = _ANSWER.unpack(_exactly(connection, _ANSWER.size))
        if magic != b"VW" or version != _VERSION or measured > _LARGEST_MEASURES or pictured > LARGEST_PICTURE:
            raise AimingError("The camera process answered in an unknown form. Are both processes of one version?")
        measures = msgspec.json.decode(_exactly(connection, measured), type=Measures)
        picture = _exactly(connection, pictured)
    except OSError as error:
        raise AimingError(f"The camera process does not answer: {error}. It is started again by itself.") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # also for names that are no UTF-8
        raise AimingError(f"The camera process measured nonsense: {error}.") from error
    if picture and not picture.startswith(b"\xff\xd8"):
        raise AimingError("The camera process sent something that is no JPEG picture.")
    return Answer(measures, picture)


def asked(connection: socket.socket) -> bool:
    """The camera's side: takes the next question, and returns whether to look for a claim. Raises ``AimingError``
    when the page has left or asks something else."""
    try:
        magic, version, flags = _QUESTION.unpack(_exactly(connection, _QUESTION.size))
    except OSError as error:
        raise AimingError(f"The page left: {error}.") from error
    if magic != b"VQ" or version != _VERSION or flags & ~_SCAN:
        raise AimingError("The page asked in an unknown form. Are both processes of one version?")
    return bool(flags & _SCAN)


def answer(connection: socket.socket, given: Answer) -> None:
    """The camera's side: sends what was asked for. Raises ``AimingError``."""
    measures = msgspec.json.encode(given.measures)
    if len(measures) > _LARGEST_MEASURES or len(given.picture) > LARGEST_PICTURE:
        raise AimingError("The answer is larger than the page takes.")
    head = _ANSWER.pack(b"VW", _VERSION, 0, len(measures), len(given.picture))
    try:
        connection.sendall(head + measures + given.picture)
    except OSError as error:
        raise AimingError(f"The page left: {error}.") from error


def _exactly(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(1 << 16, size - len(parts)))
        if not part:
            raise AimingError("The other side has left.")
        parts += part
    return bytes(parts)
