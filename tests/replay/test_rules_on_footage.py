"""Rules on rendered footage, from pixels to opened reports, with the real models. The truth is the renderer's."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from edge import config, seal
from edge.behaviour import Behaviour, Crossing, Dwell, Entry, RedLight, Signal, Speed, Stop, WrongWay
from edge.grant.document import Grant
from edge.grant.gate import Terms
from edge.records import FaceReport, Measure
from edge.vision import build, sources
from edge.vision.pipeline import Pipeline
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.track import Tracker
from provisioning import deployment
from provisioning.demo import clip as demo_clip
from provisioning.demo.actors import Car, Path, Scene
from provisioning.demo.raster import Camera
from tests.law import Count
from tests.replay.conftest import play

START = 1_795_000_000.0
FPS = 15
SIGNING = ec.generate_private_key(ec.SECP256R1())
RECIPIENT = x25519.X25519PrivateKey.generate()

pytestmark = pytest.mark.slow


def grant(rule, function="plates", **changes):
    """A grant of its own for every rule, so that each report stands for one trigger."""
    fields = {
        "id": f"for-{rule}", "serial": 1, "authority": "", "legal_basis": "", "purpose": "", "reference": "",
        "function": function, "cameras": ("cam-1",), "not_before": int(START) - 10, "not_after": int(START) + 9000,
        "retention": 3600, "scope": "open", "recipients": (RECIPIENT.public_key().public_bytes_raw(),),
        "template_key": bytes(32), "triggers": (rule,),
    }  # fmt: skip
    return Terms(Grant(**{**fields, **changes}))


class Grants:
    def __init__(self, held):
        self.held = held

    def terms(self, now):
        return self.held


class Sent(list):
    def offer(self, item):
        self.append(item)


class Lit:
    """Footage, and beside it somebody who writes down with every frame whether the light is red."""

    def __init__(self, source, path, red):
        self.source, self.path, self.red = source, path, red

    def __iter__(self):
        for frame in self.source:
            begin, end = self.red
            self.path.write_text(f"{'closed' if begin <= frame.monotonic < end else 'open'} {frame.wall:.3f}\n")
            yield frame


def run(source, behaviour, grants, privacy=()):
    numbers = itertools.count(1)
    sent = Sent()
    pipeline = Pipeline(
        camera=source,
        blank=PrivacyZones(privacy),
        look=build.look(config.Look()),
        detect=build.detect(),
        tracker=Tracker(),
        rules=Rules(behaviour),
        best_shots=build.best_shots(),
        describe=build.describe(),
        gate=Gate("cam-1", Grants(grants), lambda: True, Count()),
        seal=Seal("cam-1", 1, seal.Sealer(SIGNING), b"12345678", lambda: next(numbers)),
        sender=sent,
    )
    pipeline.run()
    signers = {seal.key_id(SIGNING.public_key()): SIGNING.public_key()}
    keys = {seal.key_id(RECIPIENT.public_key()): RECIPIENT}
    assert all(len(item.sealed) <= 480 for item in sent)
    return [seal.open_sealed(item.sealed, "cam-1", signers, keys) for item in sent]


def fractions(*points, width=1280, height=720):
    return tuple((x / width, y / height) for x, y in points)


OVER, BACK = (480, 470), (1000, 530)  # a line over the whole road
STOP = (690, 380), (790, 520)  # over the lane that leads away
JUNCTION = (780, 340), (1060, 340), (1060, 470), (790, 470)
PARKING = (20, 450), (200, 450), (200, 600), (20, 600)
ROAD = (0, 380), (1279, 280), (1279, 500), (760, 719), (0, 719)


@pytest.fixture(scope="module")
def street(clip, tmp_path_factory):
    """The default clip, watched by every kind of rule but speed; the light is red from 12 to 16 s."""
    light = tmp_path_factory.mktemp("light") / "light"
    behaviour = Behaviour(
        lines={"over": fractions(OVER, BACK), "stop": fractions(*STOP)},
        zones={"junction": fractions(*JUNCTION), "parking": fractions(*PARKING), "road": fractions(*ROAD)},
        signals={"light": Signal(file=light)},
        rules=(
            Crossing(name="towards", line="over", direction="right", objects=("plates",)),
            Crossing(name="away", line="over", direction="left", objects=("plates",)),
            Crossing(name="on-foot", line="over", direction="right", objects=("faces",)),
            Entry(name="enters", zone="junction", objects=("plates",)),
            Dwell(name="dwells", zone="parking", seconds=10.0),
            Stop(name="halts", zone="junction", seconds=3.0),
            WrongWay(name="against", zone="road", along=fractions((200, 640), (900, 370)), objects=("plates",)),
            RedLight(name="runs-red", line="stop", direction="left", zone="junction", signal="light"),
        ),
    )
    grants = [grant(rule.name) for rule in behaviour.rules if rule.name != "on-foot"]
    grants.append(grant("on-foot", "faces"))
    source = Lit(sources.open_source(str(clip), wall_start=START), light, (12.0, 16.0))
    return run(source, behaviour, grants)


TOWARDS, AWAY = ["BG1847KT", "NS318VU", "ŠA052HN"], ["BG2093TX", "KG119ZX", "NI206FD"]


@pytest.mark.parametrize(
    ("rule", "measure", "plates"),
    [
        ("towards", Measure.LINE, TOWARDS),
        ("away", Measure.LINE, AWAY),
        ("enters", Measure.ENTRY, ["BG2093TX", "KG119ZX"]),  # the third goes in while a van hides it for 2.3 s
        ("dwells", Measure.DWELL, ["PA112KD"]),  # parked, hidden now and then by those who pass
        ("halts", Measure.STOP, ["NI206FD"]),  # waits at the crossing for six seconds
        ("against", Measure.WRONG_WAY, TOWARDS),
        ("runs-red", Measure.RED_LIGHT, ["BG2093TX"]),  # the taxi; the others drive while it is green
    ],
)
def test_exactly_those_are_reported_that_did_it(street, rule, measure, plates):
    reports = [r for r in street if r.grant == f"for-{rule}"]
    assert sorted(r.text for r in reports) == plates
    assert {(r.trigger.rule, r.trigger.measure) for r in reports} == {(rule, measure)}


def moments(truth, a, b):
    """When the middle of every plate and face is on the endless line through ``a`` and ``b``, by its name."""
    (ax, ay), (bx, by) = a, b
    found = {}
    for one in truth["plates"] + truth["faces"]:
        rows = np.array(one["seen"])
        x, y = (rows[:, 1] + rows[:, 3]) / 2, (rows[:, 2] + rows[:, 4]) / 2
        beside = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
        for i in np.flatnonzero(np.diff(np.sign(beside))):
            share = beside[i] / (beside[i] - beside[i + 1])
            found[one.get("text") or one["person"]] = (rows[i, 0] + share * (rows[i + 1, 0] - rows[i, 0])) / FPS
    return found


def test_a_crossing_is_dated_to_the_moment_on_the_line(street, truth):
    expected = moments(truth, OVER, BACK)
    seen = {r.text: r.trigger.time - START for r in street if r.grant in ("for-towards", "for-away")}
    assert seen == {name: pytest.approx(expected[name], abs=0.1) for name in TOWARDS + AWAY}
    by_red = next(r for r in street if r.grant == "for-runs-red")
    assert by_red.trigger.time - START == pytest.approx(moments(truth, *STOP)["BG2093TX"], abs=0.1)
    assert by_red.trigger.value == pytest.approx(moments(truth, *STOP)["BG2093TX"] - 12.0, abs=0.2)


def test_persons_are_judged_too(street, truth):
    reports = [r for r in street if r.grant == "for-on-foot"]
    assert all(isinstance(r, FaceReport) and r.trigger.rule == "on-foot" for r in reports)
    expected = moments(truth, OVER, BACK)
    assert sorted(r.trigger.time - START for r in reports) == [
        pytest.approx(expected[person], abs=0.15) for person in ("collins", "hopper")
    ]


def test_nothing_in_a_privacy_zone_is_seen_or_reported(clip):
    parking = fractions((0, 440), (210, 440), (210, 620), (0, 620))
    right_half = fractions((840, 0), (1280, 0), (1280, 720), (700, 720))
    everything = [grant("plates", triggers=()), grant("faces", "faces", triggers=())]
    texts = {}
    for name, private in (("none", ()), ("parking", (parking,)), ("both", (parking, right_half))):
        five_seconds = itertools.islice(sources.open_source(str(clip), wall_start=START), 75)
        reports = run(five_seconds, Behaviour(), everything, private)
        texts[name] = {"a face" if isinstance(r, FaceReport) else r.text for r in reports}
    assert texts == {
        "none": {"PA112KD", "BG1847KT", "a face"}, "parking": {"BG1847KT", "a face"}, "both": set(),
    }  # fmt: skip


def test_a_rule_in_the_file_decides_what_reaches_a_subscriber(clip, tmp_path, monkeypatch):
    """Both processes, a broker and TLS: the rule stands in camera.toml, and the grant on the camera asks for it."""
    (ax, ay), (bx, by) = fractions(OVER, BACK)
    behaviour = f"""
[vision.behaviour]
lines.over = [[{ax}, {ay}], [{bx}, {by}]]
rules = [{{ kind = "line", name = "towards", line = "over", direction = "right" }}]
"""
    plain = deployment.configure

    def configure(made, *given, **named):
        plain(made, *given, **named)
        with made.config.open("a") as file:
            file.write(behaviour)

    monkeypatch.setattr(deployment, "configure", configure)
    played = play(tmp_path, clip, lambda made: deployment.grant_plates(made, triggers=("towards",)))
    assert sorted(played.texts) == TOWARDS
    assert {(r.trigger.rule, r.trigger.measure) for r in played.reports} == {("towards", Measure.LINE)}
    assert played.counted["discarded"]["no trigger of the grant"] > 0


# How fast: a camera 5.5 m above the road, marks painted on both lanes 17 and 36 m away, and cars of known speed.

TALL = 5.5
EYE = Camera(1280, 720, 3000.0, (960.0, 360.0), TALL, float(np.radians(12)))
NEAR, FAR = 17.0, 36.0
LANES = {"towards": (-2.4, 0.0), "away": (-5.0, -2.6)}
HEIGHTS = {"towards": 0.47, "away": 0.72}  # of the front plates and of the rear plates of hatchbacks, metres
FLEET = {
    "towards": {"BG 417-PK": 20, "NI 206-FD": 50, "KG 119-ZX": 90, "SU 702-HD": 120},
    "away": {"NS 318-VU": 120, "PA 112-KD": 70, "BG 1847-KT": 30, "VR 083-DT": 20},
}


def marks(lane):
    """The four marks of a lane: on the road, metres, and in the picture, fractions."""
    left, right = LANES[lane]
    metres = ((left, FAR), (right, FAR), (right, NEAR), (left, NEAR))
    pixels, _ = EYE.project(np.array([[x, 0.0, z] for x, z in metres]))
    return metres, tuple((float(x) / EYE.width, float(y) / EYE.height) for x, y in pixels)


def motorcade():
    cars, ends = [], 0.0
    for lane, fleet in FLEET.items():
        time, x = 0.2, sum(LANES[lane]) / 2
        for plate, kmh in fleet.items():
            way = (40.0, 12.0) if lane == "towards" else (12.0, 40.0)
            arrives = time + 28.0 / (kmh / 3.6)
            path = Path(((time, x, way[0]), (arrives, x, way[1])))
            cars.append(Car(plate, "hatchback", (120, 40, 36), path, lane == "towards"))
            time = arrives + 0.3
        ends = max(ends, time)
    return Scene(ends, FPS, cars, exposure=1 / 1000)


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """What a camera reports of the motorcade: kilometres an hour by plate."""
    film = tmp_path_factory.mktemp("film") / "speeds.mp4"
    demo_clip.render(film, film.with_suffix(".json"), scene=motorcade(), camera=EYE)
    rules = []
    for lane, height in HEIGHTS.items():
        metres, points = marks(lane)
        rules.append(Speed(name=lane, over=5.0, points=points, metres=metres, camera_height=TALL, plate_height=height))
    source = sources.open_source(str(film), wall_start=START)
    return run(source, Behaviour(rules=tuple(rules)), [grant(rule.name) for rule in rules])


@pytest.mark.parametrize("lane", LANES)
def test_speeds_are_right_within_five_per_cent(timed, lane):
    expected = {plate.replace(" ", "").replace("-", ""): kmh for plate, kmh in FLEET[lane].items()}
    measured = {r.text: r.trigger.value for r in timed if r.grant == f"for-{lane}"}
    print({text: f"{value} of {expected.get(text)} km/h" for text, value in measured.items()})
    assert measured == {text: pytest.approx(kmh, rel=0.05) for text, kmh in expected.items()}
    assert all(r.trigger.measure is Measure.SPEED for r in timed)
