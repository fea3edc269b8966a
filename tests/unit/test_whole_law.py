"""From signed bytes to a report, everything drawn by chance: signers, trust file, clock, medium, camera, what is seen.

No combination yields a report that any of them forbids, and every refusal has a reason, in the log and in the account.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audit import Tally
from edge.clock import EARLIEST
from edge.grant import document, gate
from edge.grant.gate import Reason
from edge.grant.store import GrantStore
from edge.vision.report import Gate
from edge.vision.values import FaceTemplate, Kind, PlateText
from tests import law
from tests.law import AUTHORITY, CAMERA, DAY, NOW, OPERATOR, STRANGER, Book, FakeClock, changed, digest, entry, make

KEY = b"k" * 32
MEMORY = Path("/dev/shm")  # where there is one, files cost no disk
SEEN = [PlateText("BG123AB", 0.99), PlateText("NS456CD", 0.99), law.template(1), law.template(2), None]
BOTH = {"authority", "operator"}
SIGNERS = {"authority": AUTHORITY, "operator": OPERATOR, "stranger": STRANGER}


@st.composite
def worlds(draw):
    """Everything on which a report depends, each near the edge at which the answer changes, mostly in favour."""
    faces, listed = draw(st.booleans()), draw(st.booleans())
    begin = NOW - draw(st.sampled_from([*[10] * 7, 0, -5]))
    grant = make(
        function="faces" if faces else "plates", scope="listed" if listed else "open", template_key=KEY,
        cameras=draw(st.sampled_from([(CAMERA,)] * 5 + [(CAMERA, "cam-2"), ("cam-2",)])),
        not_before=begin, not_after=begin + draw(st.sampled_from([5, *[3600] * 6, 30 * DAY, 31 * DAY, 366 * DAY])),
        faces=(entry("p-1", 1, draw(st.sampled_from([0.95, 0.95, 0.9, 0.7]))),) if faces and listed else (),
        plates=(digest(KEY, "BG123AB"),) if listed and not faces else (),
    )  # fmt: skip
    return SimpleNamespace(
        grant=grant,
        signers=draw(st.just(BOTH) | st.just(BOTH) | st.sets(st.sampled_from(sorted(SIGNERS)))),
        trust=changed(
            law.TRUST, open_faces=draw(st.booleans()),
            expires=draw(st.sampled_from([NOW + 2000 * DAY] * 6 + [NOW, NOW - 1])),
        ),
        seen=draw(st.sampled_from([*SEEN, *[law.template(1) if faces else SEEN[0]] * 6])),
        trusted=draw(st.sampled_from([True] * 9 + [False])),
        kept=draw(st.sampled_from([True] * 9 + [False])),
        spoilt=draw(st.sampled_from([False] * 9 + [True])),
        now=float(draw(st.sampled_from([NOW] * 7 + [NOW - 20, NOW + 6, EARLIEST - 1]))),
    )  # fmt: skip


def allowed(world):
    """What must hold, said once more in other words than the code's."""
    grant, trust, seen = world.grant, world.trust, world.seen
    faces = grant.function == "faces"
    needed = {"authority", "operator"} if faces else {"authority"}
    days = (grant.not_after - grant.not_before) / DAY
    fits = isinstance(seen, FaceTemplate) if faces else isinstance(seen, PlateText)
    match = seen is not None and (
        grant.scope == "open"
        or (faces and fits and np.array_equal(seen.vector, law.template(1).vector))
        or (not faces and fits and seen.text == "BG123AB")
    )
    return (
        not world.spoilt and needed <= world.signers and world.trusted and world.kept and world.now >= EARLIEST
        and CAMERA in grant.cameras and grant.not_before <= world.now < min(grant.not_after, trust.expires)
        and days <= (30 if faces else 365) and (grant.scope == "listed" or not faces or trust.open_faces)
        and all(face.threshold >= trust.lowest_threshold for face in grant.faces) and fits and match
    )  # fmt: skip


def lived(world, folder):
    """What the camera makes of it: its permits, and its books."""
    signed = document.sign(world.grant, [SIGNERS[name] for name in sorted(world.signers)])
    if world.spoilt:
        # in what was signed: a bit of one signature would only make that one not count
        reference = world.grant.reference.encode()
        assert reference in signed
        signed = signed.replace(reference, reference[:-1] + bytes([reference[-1] ^ 1]))
    (folder / "g.grant").write_bytes(signed)
    book = Book()
    store = GrantStore(folder, world.trust, CAMERA, state=folder / "state", journal=book)
    tally = Tally(book, FakeClock())
    guard = Gate(CAMERA, store, lambda: world.trusted, tally, lambda: world.kept)
    kind = Kind.FACE if isinstance(world.seen, FaceTemplate) else Kind.PLATE
    track = SimpleNamespace(kind=kind, settled=False, tripped={}, answered=set(), reported=False, last=0.0)
    frame = SimpleNamespace(wall=world.now, monotonic=1000.0)
    permits = list(guard(track, world.seen, frame, final=True))
    tally.flush()
    return permits, guard, book


class Lines(logging.Handler):
    """What the gate logs."""

    def __init__(self):
        super().__init__()
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())


@settings(max_examples=150)
@given(worlds())
def test_no_combination_is_reported_that_anything_forbids_and_every_refusal_is_on_record(world):
    folder, lines = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None)), Lines()
    logger = logging.getLogger("edge.vision.report")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.INFO)
    try:
        permits, guard, book = lived(world, folder)
    finally:
        logger.removeHandler(lines)
        logger.setLevel(level)
        shutil.rmtree(folder)
    assert bool(permits) == allowed(world)
    (hour,) = book.of("hour")
    if permits:
        assert (sum(hour["reported"].values()), hour["discarded"]) == (1, {})
        return
    ((reason, count),) = guard.discarded.items()
    assert reason in Reason
    assert count == 1
    assert hour["discarded"] == {reason.value: 1}
    assert hour["reported"] == {}
    assert any(reason.value in line for line in lines.said)


def test_every_reason_of_the_gate_fits_the_account():
    book = Book()
    tally = Tally(book, FakeClock())
    for reason in gate.Reason:
        tally.discarded(reason.value)
    tally.flush()
    assert set(book.of("hour")[0]["discarded"]) == {reason.value for reason in gate.Reason}
