"""The pipeline with fakes for the camera and the models: what goes out, once, and why the rest does not."""

from __future__ import annotations

import copy
import itertools
import logging

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from edge import seal
from edge.behaviour import Behaviour, Crossing, Dwell, Stop
from edge.clock import Timekeeper, record
from edge.grant import rotation
from edge.grant.document import Grant, ListedFace
from edge.grant.gate import Reason, Terms
from edge.records import Measure
from edge.vision.best_shot import BestShots
from edge.vision.look import Grid, Look
from edge.vision.pipeline import Pipeline
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.sources.base import MemorySource
from edge.vision.track import Track, Tracker
from edge.vision.values import Box, Detection, FaceTemplate, Kind, PlateText
from edge.vision.watch import Watched
from tests.law import Book, Count, FakeClock

START = 1_795_000_000.0
SIGNING = ec.generate_private_key(ec.SECP256R1())
RECIPIENT = x25519.X25519PrivateKey.generate()
FACE = FaceTemplate(np.arange(-64, 64, dtype=np.int8), 1 / float(np.linalg.norm(np.arange(-64.0, 64.0))), 80.0)
STRANGER = FaceTemplate(FACE.vector[::-1].copy(), FACE.scale, 80.0)


NO_RULES = Behaviour()


class Script:
    """A fake detector: what it sees in each frame is written down beforehand."""

    def __init__(self, frames):
        self.frames = frames

    def __call__(self, frame, glances):
        return self.frames.get(frame.index, [])


class Sent(list):
    """Notes for every item how many frames the camera had delivered by then."""

    def __init__(self, camera):
        self.camera, self.frames = camera, []

    def offer(self, item):
        self.append(item)
        self.frames.append(self.camera.delivered)


def plate(x, score=0.9):
    box = Box(x, 50, x + 60, 64)
    corners = np.array([[x, 50], [x + 60, 50], [x + 60, 64], [x, 64]], np.float32)
    return Detection(Kind.PLATE, box, score, corners)


def face(x):
    return Detection(Kind.FACE, Box(x, 10, x + 40, 60), 0.9, np.zeros((4, 2), np.float32))


def grant(**changes):
    fields = {
        "id": "plates-1", "serial": 1, "authority": "", "legal_basis": "", "purpose": "", "reference": "",
        "function": "plates", "cameras": ("cam-1",), "not_before": int(START) - 10, "not_after": int(START) + 9000,
        "recipients": (RECIPIENT.public_key().public_bytes_raw(),), "retention": 3600, "template_key": bytes(32),
        "scope": "open",
    }  # fmt: skip
    return Grant(**{**fields, **changes})


FACES = grant(
    id="faces-1", function="faces", scope="listed",
    faces=(ListedFace("p-1", FACE.vector.tobytes(), FACE.scale, 0.9),),
)  # fmt: skip


class Grants:
    def __init__(self, *grants):
        self.held = [Terms(g) for g in grants]

    def terms(self, now):
        return self.held


def run(
    script, grants, describe, frames=60, wall=START, trusted=True,
    behaviour=NO_RULES, privacy=(), pixels=0, detect=Script,
):  # fmt: skip
    numbers = itertools.count(1)
    camera = MemorySource([np.full((120, 400, 3), pixels, np.uint8)] * frames, wall_start=wall)
    quality = dict.fromkeys(Kind, lambda crop, points, detection: 50.0)
    sent = Sent(camera)
    pipeline = Pipeline(
        camera=camera,
        blank=PrivacyZones(privacy),
        look=Look({Kind.PLATE: Grid(200, 100, 0.2, 0.1, 10)}, 0.7),
        detect=detect(script),
        tracker=Tracker(),
        rules=Rules(behaviour),
        best_shots=BestShots(quality),
        describe=describe,
        gate=Gate("cam-1", Grants(*grants), lambda: trusted, Count()),
        seal=Seal("cam-1", 7, seal.Sealer(SIGNING), b"12345678", lambda: next(numbers)),
        sender=sent,
    )
    pipeline.run()
    signers = {seal.key_id(SIGNING.public_key()): SIGNING.public_key()}
    keys = {seal.key_id(RECIPIENT.public_key()): RECIPIENT}
    return pipeline, [seal.open_sealed(item.sealed, "cam-1", signers, keys) for item in sent]


def reads(text, confidence=0.99):
    return lambda track, shots: PlateText(text, confidence)


WHOLE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
LINES = Behaviour(
    lines={"gate": ((0.3, 0.0), (0.3, 1.0))},
    rules=(
        Crossing(name="left-over", line="gate", direction="right"),
        Crossing(name="way-out", line="gate", direction="left"),
    ),
)
PASSING = {i: [plate(5.0 * i)] for i in range(30)}


def test_one_car_one_report_with_when_and_where():
    pipeline, (report,) = run(PASSING, [grant()], reads("BG123AB"))
    assert (report.text, report.camera, report.boot, report.seq, report.grant) == ("BG123AB", "cam-1", 7, 1, "plates-1")
    assert START <= report.time <= START + 2
    assert report.box[2:] == (150, 117)
    assert pipeline.gate.reported[Kind.PLATE] == 1


def test_a_car_in_view_to_the_end_of_the_footage_is_reported():
    _, reports = run({i: [plate(50.0)] for i in range(10)}, [grant()], reads("BG123AB"), frames=10)
    assert [r.text for r in reports] == ["BG123AB"]


@pytest.mark.parametrize(
    ("grants", "wall", "reason"),
    [
        ([], START, Reason.NO_GRANT),
        ([FACES], START, Reason.NO_GRANT),
        ([grant(cameras=("cam-2",))], START, Reason.WRONG_CAMERA),
        ([grant(), ], START + 9000, Reason.EXPIRED),
        ([grant(not_before=int(START) + 1000)], START, Reason.NOT_YET),
        ([grant()], 1_000_000.0, Reason.CLOCK),
    ],
)
def test_without_leave_nothing_goes_out_and_the_reason_is_counted(grants, wall, reason):
    pipeline, reports = run(PASSING, grants, reads("BG123AB"), wall=wall)
    assert reports == []
    assert dict(pipeline.gate.discarded) == {reason: 1}


def test_a_clock_that_is_not_trusted_shuts_the_gate():
    pipeline, reports = run(PASSING, [grant()], reads("BG123AB"), trusted=False)
    assert reports == []
    assert dict(pipeline.gate.discarded) == {Reason.CLOCK: 1}


def test_every_decision_is_counted_and_a_new_reason_logged(caplog):
    caplog.set_level(logging.INFO)
    pipeline, _ = run(PASSING, [], reads("BG123AB"))
    assert pipeline.gate._tally == {("seen", "plate"): 1, ("discarded", "no grant"): 1}
    assert "discarded for the first time since the start: no grant" in caplog.text
    pipeline, _ = run(PASSING, [grant()], reads("BG123AB"))
    assert pipeline.gate._tally == {("seen", "plate"): 1, ("reported", "plate"): 1}


def test_only_what_tripped_a_trigger_is_reported_and_the_report_names_it():
    limited = grant(triggers=("left-over", "way-out"))
    pipeline, reports = run(PASSING, [limited], reads("BG123AB"), behaviour=LINES)
    (report,) = reports
    assert (report.trigger.rule, report.trigger.measure) == ("way-out", Measure.LINE)
    assert report.trigger.value == pytest.approx(-90, abs=0.1)
    # PASSING is at 30 + 75 t pixels, and the line at 120
    assert report.trigger.time == pytest.approx(START + 90 / 75, abs=0.01)
    assert (pipeline.gate.reported[Kind.PLATE], dict(pipeline.gate.discarded)) == (1, {})


def test_what_trips_no_rule_of_a_grant_is_not_even_read():
    def never(track, shots):
        raise AssertionError("was read")

    for limited in (grant(triggers=("left-over",)), grant(triggers=("unheard-of",))):
        pipeline, reports = run(PASSING, [limited], never, behaviour=LINES)
        assert reports == []
        assert dict(pipeline.gate.discarded) == {Reason.NOT_TRIGGERED: 1}
        assert pipeline.gate._tally == {("seen", "plate"): 1, ("discarded", "no trigger of the grant"): 1}


def test_a_report_without_triggers_in_its_grant_says_nothing_of_behaviour():
    _, (report,) = run(PASSING, [grant()], reads("BG123AB"), behaviour=LINES)
    assert report.trigger is None


def parked(seconds):
    return {i: [plate(50.0)] for i in range(round(15 * seconds))}


@pytest.mark.parametrize("trip", [0.5, 2.0, 6.0])
def test_a_trigger_after_the_best_shot_is_reported_at_once_and_once(trip):
    stays = Behaviour(zones={"z": WHOLE}, rules=(Dwell(name="stays", zone="z", seconds=trip),))
    pipeline, reports = run(parked(12), [grant(triggers=("stays",))], reads("BG123AB"), frames=180, behaviour=stays)
    (report,) = reports
    assert report.trigger.value == pytest.approx(trip, abs=0.1)
    assert pipeline.gate.reported[Kind.PLATE] == 1
    assert pipeline.sender.frames[0] / 15 == pytest.approx(max(trip, 2.2), abs=0.8)  # the best shot is awaited


def test_one_object_one_report_a_grant_whether_it_trips_before_or_after():
    both = [grant(), grant(id="plates-2", triggers=("stays",))]
    stays = Behaviour(zones={"z": WHOLE}, rules=(Dwell(name="stays", zone="z", seconds=6.0),))
    pipeline, reports = run(parked(12), both, reads("BG123AB"), frames=180, behaviour=stays)
    assert [(r.grant, r.trigger and r.trigger.rule) for r in reports] == [("plates-1", None), ("plates-2", "stays")]
    assert pipeline.gate.reported[Kind.PLATE] == 1
    assert pipeline.gate._tally == {("seen", "plate"): 1, ("reported", "plate"): 1}
    pipeline, reports = run(parked(4), both, reads("BG123AB"), behaviour=stays)
    assert [r.grant for r in reports] == ["plates-1"]
    assert (pipeline.gate.reported[Kind.PLATE], dict(pipeline.gate.discarded)) == (1, {})


def test_an_unsure_reading_after_a_trigger_is_tried_again():
    tries = iter([0.5, 0.99, 0.99])
    stays = Behaviour(zones={"z": WHOLE}, rules=(Dwell(name="stays", zone="z", seconds=3.0),))
    both = [grant(), grant(id="plates-2", triggers=("stays",))]
    _, reports = run(parked(6), both, lambda *_: PlateText("BG123AB", next(tries)), frames=140, behaviour=stays)
    assert [r.grant for r in reports] == ["plates-1", "plates-2"]


def test_a_car_reported_just_before_is_still_reported_for_what_it_does_now():
    both = [grant(), grant(id="plates-2", triggers=("stops",))]
    stops = Behaviour(zones={"z": WHOLE}, rules=(Stop(name="stops", zone="z", seconds=4.0),))
    script = {**PASSING, **{i: [plate(200.0)] for i in range(90, 180)}}
    pipeline, reports = run(script, both, reads("BG123AB"), frames=200, behaviour=stops)
    assert [(r.grant, r.track) for r in reports] == [("plates-1", 1), ("plates-2", 2)]
    assert pipeline.gate.reported[Kind.PLATE] == 2


def test_privacy_zones_are_black_before_any_stage_sees_them():
    seen = []

    class Watchful(Script):
        def __call__(self, frame, glances):
            seen.append(frame.pixels.copy())
            return super().__call__(frame, glances)

    hidden = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    run(PASSING, [grant()], reads("BG123AB"), pixels=200, privacy=[hidden], detect=Watchful)
    assert len(seen) == 60
    assert all(not p[:, :200].any() and (p[:, 203:] == 200).all() for p in seen)


def test_what_was_gathered_under_a_grant_is_wiped_with_it():
    pipeline, _ = run(PASSING, [grant()], reads("BG123AB"))
    assert pipeline.gate._recent
    pipeline.gate.forget(grant(id="another"))
    assert pipeline.gate._recent
    pipeline.gate.forget(grant())
    assert not pipeline.gate._recent
    shots = BestShots(dict.fromkeys(Kind, lambda *_: 50.0))
    frame = next(iter(MemorySource([np.full((120, 400, 3), 9, np.uint8)])))
    tracks = [Track(1, Kind.PLATE, plate(50).box, 0.0, 0.0), Track(2, Kind.FACE, face(50).box, 0.0, 0.0)]
    for track, seen in zip(tracks, (plate(50), face(50)), strict=True):
        shots.offer(frame, track, seen)
    (crop,) = (shot.crop for shot in shots._albums[1].shots)
    shots.forget(Kind.PLATE)
    assert not crop.any()
    assert set(shots._albums) == {2}


def test_frames_carry_the_right_time_when_the_clock_was_set_after_the_start(tmp_path):
    ticking, looked = FakeClock(START), []
    record(tmp_path / "newest", START - 10)
    keeper = Timekeeper(ticking, tmp_path / "newest", Book())
    black = np.zeros((4, 4, 3), np.uint8)
    with Watched(MemorySource([black] * 4, 1.0, wall_start=START), keeper, looked.append) as source:
        for frame in source:
            ticking.pass_time(1.0)
            if frame.index == 1:
                ticking.now += 3600
        assert source.delivered == 4
    assert looked == pytest.approx([START, START + 1, START + 3602, START + 3603], abs=0.01)


def test_unsure_is_not_reported_and_counted_once():
    pipeline, reports = run(PASSING, [grant()], reads("BG123AB", 0.5))
    assert reports == []
    assert dict(pipeline.gate.discarded) == {Reason.UNSURE: 1}
    pipeline, reports = run(PASSING, [grant()], lambda track, shots: None)
    assert dict(pipeline.gate.discarded) == {Reason.UNSURE: 1}


def test_only_the_listed_person_is_reported():
    script, given = {i: [face(4.0 * i), face(300 - 4.0 * i)] for i in range(10)}, []

    def describe(track, shots):
        given.append(copy.deepcopy(FACE if track.number == 1 else STRANGER))
        return given[-1]

    pipeline, (report,) = run(script, [FACES], describe)
    rotated = rotation.rotated(FACE, rotation.matrix(bytes(32)))
    assert (report.entry, report.vector, report.model) == ("p-1", rotated.vector.tobytes(), b"12345678")
    assert report.similarity == pytest.approx(1.0, abs=1e-3)
    assert dict(pipeline.gate.discarded) == {Reason.NOT_LISTED: 1}
    assert len(given) >= 2
    assert not any(template.vector.any() for template in given)  # overwritten, matched or not


def test_a_car_found_again_after_a_bus_passed_is_not_news():
    script = {i: [plate(50.0)] for i in [*range(30), *range(80, 110)]}
    pipeline, reports = run(script, [grant()], reads("BG123AB"), frames=140)
    assert len(reports) == 1
    assert pipeline.tracker.count == 2
    assert dict(pipeline.gate.discarded) == {Reason.REPEAT: 1}


def test_two_grants_two_reports():
    _, reports = run(PASSING, [grant(), grant(id="plates-2")], reads("BG123AB"))
    assert [(r.grant, r.seq) for r in reports] == [("plates-1", 1), ("plates-2", 2)]


def test_nothing_about_what_was_seen_reaches_the_log(caplog):
    caplog.set_level(logging.DEBUG)
    run(PASSING, [grant()], reads("BG123AB"))
    run(PASSING, [], reads("BG123AB"))
    assert "BG123" not in caplog.text
