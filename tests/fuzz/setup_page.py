"""What the setup page and its camera process read of each other, and of a phone."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from contextlib import closing

import msgspec

from edge import aiming
from edge.aiming import Answer, Measures
from edge.errors import VidikError
from edge.setup import drawing
from edge.setup.page import form_of
from tests.fuzz.mutate import mutated_bytes, mutated_text

DRAWING = {
    "zones": [{"name": "zone-1", "points": [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]], "rule": "dwell", "seconds": 30}],
    "lines": [{"name": "line-1", "points": [[0, 0], [1, 1]], "rule": "both"}], "privacy": [[[0, 0], [1, 0], [1, 1]]],
}  # fmt: skip
MEASURES = Measures(width=1920, height=1080, focus=61.0, plates=3, widest=120.0, median=99.0, tilt=-0.5, tested=6)


def crossed(read: Callable[[socket.socket], object]) -> Callable[[bytes], None]:
    """``read`` of a connection on which a process that was taken over says anything, and hangs up."""

    def target(content: bytes) -> None:
        ours, theirs = socket.socketpair()
        with closing(ours), closing(theirs):
            theirs.setblocking(False)
            theirs.send(content[: 64 << 10])
            theirs.shutdown(socket.SHUT_WR)
            read(ours)

    return target


def answered() -> bytes:
    """An answer of the camera process, byte by byte."""
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        aiming.answer(theirs, Answer(MEASURES, b"\xff\xd8picture"))
        return ours.recv(1 << 16)


def form(content: bytes) -> None:
    fields = form_of(content)
    if not fields:
        raise VidikError("no form")
    assert len(fields) <= 8


TARGETS = {
    "aiming, question": (crossed(aiming.asked), [b"VQ\1\0", b"VQ\1\1"], mutated_bytes),
    "aiming, answer": (crossed(lambda it: aiming.ask(it, scan=False)), [answered()], mutated_bytes),
    "measures": (crossed(lambda it: aiming.ask(it, scan=True)), [answered()], mutated_text),
    "drawing": (drawing.parse, [json.dumps(DRAWING).encode(), msgspec.json.encode(drawing.Drawing())], mutated_text),
    "form": (form, [b"proof=" + b"a" * 64 + b"&drawing=%7B%7D"], mutated_text),
}
