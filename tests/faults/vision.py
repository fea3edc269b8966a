"""Vision's part in the fault suite: hands over made-up reports, and writes down which the uplink has acknowledged."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import struct
import sys
import time
from pathlib import Path

from edge.handover import Item, Key, Kind, Sender

PLACE = struct.Struct("!QQ")


def content(boot: int, seq: int, size: int) -> bytes:
    """The made-up sealed report: says which it is, the rest follows from that."""
    head = PLACE.pack(boot, seq)
    return (head + hashlib.shake_128(head).digest(size))[:size]


def place(payload: bytes) -> tuple[int, int]:
    """Which report ``payload`` is; an assertion error if anything about it was changed."""
    boot, seq = PLACE.unpack_from(payload)
    assert payload == content(boot, seq, len(payload)), "a changed report came through"
    return boot, seq


def short_lived(seq: int) -> bool:
    """Whether a report may exist for two seconds only: every tenth."""
    return seq % 10 == 3


def main(inbox: str, log: str, boot: int, rate: float, size: int, retention: int) -> None:
    """Until SIGTERM; then until everything is acknowledged. ``retention``: seconds, of the others."""
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    sender = Sender(Path(inbox), longest_pause=0.2)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    waiting: dict[Key, None] = {}
    seq, began = 0, time.monotonic()
    while not stopping or waiting:
        if not stopping and len(waiting) < 3000 and seq < (time.monotonic() - began) * rate:
            seq += 1
            seconds = 2 if short_lived(seq) else retention
            sender.offer(Item(Kind.PLATE, Key(boot, seq), seconds, content(boot, seq, size)))
            waiting[Key(boot, seq)] = None
            continue
        unacknowledged = set(sender._unacknowledged)
        done = [key for key in waiting if key not in unacknowledged]
        os.write(output, b"".join(json.dumps(key).encode() + b"\n" for key in done))
        for key in done:
            del waiting[key]
        time.sleep(0.01)
    # while the disk is full for longer than they may exist, short-lived ones go here; the uplink announces the hole
    assert sender.dropped <= sum(map(short_lived, range(1, seq + 1)))
    sender.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5]), int(sys.argv[6]))
