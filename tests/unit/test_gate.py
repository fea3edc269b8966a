"""The gate: every single case by hand, then every combination by chance."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.grant import gate, rotation
from edge.grant.gate import Discard, Permit, Reason, Terms
from edge.records import Measure, Trigger
from edge.vision.values import FaceTemplate, PlateText
from tests.law import CAMERA, DAY, FACES, NOW, PLATE, changed, digest, entry, make, template

LINE, SPEED, ZONE = (
    Trigger(name, measure, 1.0, NOW - 5.0)
    for name, measure in (("line", Measure.LINE), ("speed", Measure.SPEED), ("zone", Measure.ENTRY))
)
MIDNIGHT = NOW - NOW % DAY


@pytest.fixture(scope="module", autouse=True)
def few_matrices():
    """Derives each matrix once: thousands of grants share two keys here."""
    known = lru_cache(rotation.matrix)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rotation, "matrix", lambda key: known(key).copy())
        yield


@pytest.mark.parametrize(
    ("seen", "changes", "camera", "now", "outcome"),
    [
        (PLATE, {}, CAMERA, NOW, None),
        (PLATE, {}, "cam-2", NOW, Reason.WRONG_CAMERA),
        (PLATE, {}, CAMERA, NOW - 11, Reason.NOT_YET),
        (PLATE, {}, CAMERA, math.nan, Reason.NOT_YET),
        (PLATE, {}, CAMERA, NOW + 3600, Reason.EXPIRED),
        (PLATE, {}, CAMERA, math.inf, Reason.EXPIRED),
        (PLATE, {"not_after": NOW + 9000}, CAMERA, NOW + 8000, Reason.TRUST),
        (PLATE, FACES, CAMERA, NOW, Reason.NO_GRANT),
        (template(1), {}, CAMERA, NOW, Reason.NO_GRANT),
        (template(1), FACES, CAMERA, NOW, None),
        (template(3), FACES, CAMERA, NOW, Reason.NOT_LISTED),
        (template(1), {**FACES, "faces": ()}, CAMERA, NOW, Reason.NOT_LISTED),
        (template(3), {**FACES, "scope": "open", "faces": ()}, CAMERA, NOW, None),
        (PLATE, {"scope": "listed"}, CAMERA, NOW, Reason.NOT_LISTED),
        (PLATE, {"scope": "listed", "plates": (digest(bytes(32)),)}, CAMERA, NOW, None),
        (PLATE, {"scope": "listed", "plates": (digest(b"x" * 32),)}, CAMERA, NOW, Reason.NOT_LISTED),
        (PLATE, {"triggers": ("speed", "line")}, CAMERA, NOW, None),
        (PLATE, {"triggers": ("zone", "line")}, CAMERA, NOW, None),
        (PLATE, {"triggers": ("speed",)}, CAMERA, NOW, Reason.NOT_TRIGGERED),
    ],
)
def test_the_gate(seen, changes, camera, now, outcome):
    decision = gate.decide(seen, Terms(make(**changes), NOW + 8000), camera, now, {"line": LINE, "zone": ZONE})
    if outcome is None:
        assert isinstance(decision, Permit)
        assert decision.trigger == (LINE if "triggers" in changes else None)
    else:
        assert decision == Discard(outcome)


@pytest.mark.parametrize(
    ("minute", "open_now"), [(0, True), (59.99, True), (60, False), (479.99, False), (480, True), (1439.99, True)]
)
def test_daily_hours(minute, open_now):
    grant = make(hours=((0, 60), (480, 1440)), not_before=0, not_after=NOW + 9 * DAY)
    decision = gate.decide(PLATE, Terms(grant), CAMERA, MIDNIGHT + 60 * minute)
    assert isinstance(decision, Permit) is open_now
    assert open_now or decision == Discard(Reason.HOURS)


def test_the_gate_names_the_entry_and_the_similarity():
    decision = gate.decide(template(2), Terms(make(**FACES)), CAMERA, NOW)
    assert decision.entry == "p-2"
    assert decision.similarity == pytest.approx(1.0, abs=1e-3)


def test_a_reported_face_is_rotated_and_a_plate_is_not():
    terms = Terms(make(**FACES))
    reported = gate.decide(template(2), terms, CAMERA, NOW).seen
    assert np.array_equal(reported.vector, rotation.rotated(template(2), terms.rotation).vector)
    assert not np.array_equal(reported.vector, template(2).vector)
    assert gate.decide(PLATE, Terms(make()), CAMERA, NOW).seen is PLATE


def test_what_is_wiped_is_gone_and_shut():
    for grant, seen in ((make(**FACES), template(1)), (make(scope="listed", plates=(digest(b"k" * 32),)), PLATE)):
        terms = Terms(grant)
        held = [terms.faces, terms.rotation, terms.thresholds]
        key = terms.key
        assert any(array.any() for array in held) or terms.plates
        terms.wipe(Reason.REVOKED)
        assert not any(array.any() for array in held)
        assert not any(key)
        assert (terms.entries, terms.plates, terms.faces.size, terms.rotation.size) == ((), set(), 0, 0)
        assert gate.decide(seen, terms, CAMERA, NOW) == Discard(Reason.REVOKED)


def test_terms_keep_no_secret_where_it_cannot_be_wiped():
    grant = Terms(make(**{**FACES, "template_key": b"k" * 32})).grant
    assert (grant.faces, grant.plates, grant.template_key) == ((), (), bytes(32))


TEXTS = ("BG123AB", "NS456CD")
windows = st.lists(st.integers(0, 1440), max_size=6, unique=True).map(
    lambda edges: tuple(zip(sorted(edges)[::2], sorted(edges)[1::2], strict=False))
)


@st.composite
def cases(draw):
    """A grant, what was seen, and the circumstances, all near the edges at which the answer changes."""
    faces = draw(st.booleans())
    listed = draw(st.booleans())
    key = draw(st.sampled_from([bytes(32), b"k" * 32]))
    begin = draw(st.integers(NOW - 2 * DAY, NOW + DAY))
    entries = draw(st.lists(st.integers(1, 4), max_size=3, unique=True))
    grant = make(
        function="faces" if faces else "plates", scope="listed" if listed else "open", template_key=key,
        not_before=begin, not_after=begin + draw(st.integers(1, 2 * DAY)), hours=draw(windows),
        cameras=tuple(draw(st.sets(st.sampled_from([CAMERA, "cam-2"]), min_size=1))),
        triggers=tuple(draw(st.sets(st.sampled_from(["line", "speed"])))),
        faces=tuple(entry(f"p-{i}", i, draw(st.floats(0.9, 1.0))) for i in entries) if faces and listed else (),
        plates=tuple(digest(key, TEXTS[i % 2]) for i in entries) if listed and not faces else (),
    )  # fmt: skip
    plates = st.sampled_from([PlateText(text, 0.95) for text in TEXTS])
    seen = draw(plates | st.integers(1, 6).map(template))
    expires = draw(st.integers(NOW - DAY, NOW + DAY))
    closed = draw(st.none() | st.sampled_from([Reason.EXPIRED, Reason.REVOKED]))
    now = draw(st.floats(NOW - 2 * DAY, NOW + 2 * DAY) | st.sampled_from([begin, grant.not_after, math.nan, math.inf]))
    tripped = {t.rule: t for t in draw(st.lists(st.sampled_from([LINE, SPEED, ZONE]), unique=True))}
    return grant, seen, expires, closed, draw(st.sampled_from([CAMERA, "cam-3"])), now, tripped


def cosine(one: FaceTemplate, face) -> float:
    other = np.frombuffer(face.vector, np.int8).astype(float)
    return float(one.vector.astype(float) @ other / np.linalg.norm(one.vector.astype(float)) / np.linalg.norm(other))


@settings(max_examples=400)
@given(cases())
def test_no_combination_yields_a_report_that_the_grant_does_not_allow(case):
    grant, seen, expires, closed, camera, now, tripped = case
    terms = Terms(grant, expires)
    if closed is not None:
        terms.wipe(closed)
    decision = gate.decide(seen, terms, camera, now, tripped)
    if isinstance(decision, Discard):
        assert decision.reason in Reason
        return
    assert closed is None
    assert grant.function == ("plates" if isinstance(seen, PlateText) else "faces")
    assert camera in grant.cameras
    assert grant.not_before <= now < min(grant.not_after, expires)
    assert not grant.hours or any(60 * a <= now % DAY < 60 * b for a, b in grant.hours)
    named = [trigger for rule, trigger in tripped.items() if rule in grant.triggers]
    assert decision.trigger == (named[0] if named else None)
    assert named or not grant.triggers
    assert decision.grant == changed(grant, template_key=bytes(32), faces=(), plates=())
    if isinstance(seen, PlateText):
        assert decision.seen is seen
        assert grant.scope == "open" or digest(grant.template_key, seen.text) in grant.plates
    elif grant.scope == "listed":
        face = next(face for face in grant.faces if face.entry == decision.entry)
        assert cosine(seen, face) >= face.threshold - 1e-4
    else:
        assert decision.entry == ""


@settings(max_examples=200)
@given(cases())
def test_what_every_field_allows_is_reported(case):
    """The other half: the gate is not safe because it is always shut."""
    grant, seen, _, _, _, _, tripped = case
    function = "plates" if isinstance(seen, PlateText) else "faces"
    wide = {"hours": (), "triggers": (), "faces": (), "plates": (), "scope": "open", "cameras": (CAMERA,)}
    grant = changed(grant, function=function, **wide)
    assert isinstance(gate.decide(seen, Terms(grant), CAMERA, float(grant.not_before), tripped), Permit)
