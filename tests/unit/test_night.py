"""Day and night: when it is which, what is switched then, and what of it cannot fail unseen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config
from edge.vision import outputs
from edge.vision.gpio import Line
from edge.vision.night import DayNight, Light, Mode, Readings, light
from edge.vision.outputs import Gpio, Led, Output, OutputError, Pulsed
from edge.vision.sources import LiveSource, MemorySource
from edge.vision.sources.live import Picture
from edge.vision.sources.picamera import light_controls
from edge.vision.switch import Switch
from edge.vision.values import Frame
from tests.unit.test_live import ScriptedCamera
from tests.wires import simulated

NIGHT = config.Night()
DAYLIGHT, DARKNESS, TWILIGHT = Light(0.5, 1000.0), Light(0.5, 1.0), Light(0.5, 20.0)


def modes(policy: DayNight, begin: int, *seconds: tuple[int, Light]) -> list[Mode]:
    """The mode after each stretch of so many seconds of that light."""
    found, now = [], begin
    for count, seen in seconds:
        for _ in range(count):
            now += 1
            policy.judge(now, seen)
        found.append(policy.mode)
    return found


def test_it_is_day_until_it_has_been_dark_for_a_while() -> None:
    policy = DayNight(NIGHT)
    assert modes(policy, 0, (100, DAYLIGHT), (10, DARKNESS), (1, DARKNESS)) == [Mode.DAY, Mode.DAY, Mode.NIGHT]


def test_headlights_and_clouds_change_nothing() -> None:
    policy = DayNight(NIGHT)
    assert set(modes(policy, 0, *[(9, DARKNESS), (1, DAYLIGHT)] * 50)) == {Mode.DAY}
    assert modes(policy, 500, (20, DARKNESS)) == [Mode.NIGHT]
    assert set(modes(policy, 520, *[(9, DAYLIGHT), (1, DARKNESS)] * 50)) == {Mode.NIGHT}


def test_twilight_changes_nothing_in_either_mode() -> None:
    policy = DayNight(NIGHT)
    assert modes(policy, 0, (5000, TWILIGHT), (20, DARKNESS), (5000, TWILIGHT)) == [Mode.DAY, Mode.NIGHT, Mode.NIGHT]


def test_what_was_changed_stays_for_a_while() -> None:
    policy = DayNight(NIGHT)
    assert modes(policy, 0, (900, DAYLIGHT), (11, DARKNESS), (118, DAYLIGHT), (3, DAYLIGHT)) == [
        Mode.DAY, Mode.NIGHT, Mode.NIGHT, Mode.DAY,
    ]  # fmt: skip


def test_a_lamp_that_looks_like_day_has_the_day_tried_less_and_less_often() -> None:
    """The camera's own infrared lamp, which is on by night only."""
    policy, changes, before = DayNight(NIGHT), [], Mode.DAY
    for now in range(12 * 3600):
        lit = policy.mode is Mode.NIGHT
        mode = policy.judge(now, DAYLIGHT if lit else DARKNESS)
        if mode is not before:
            before = mode
            changes.append((now, mode))
    days = [now for now, mode in changes if mode is Mode.DAY]
    pauses = np.diff(days)
    assert len(days) < 20
    assert (np.diff(pauses) >= 0).all()
    assert pauses[-1] > 3600
    assert modes(policy, 12 * 3600, (4000, DAYLIGHT)) == [Mode.DAY]  # the morning comes all the same


def test_a_real_day_makes_it_patient_as_before() -> None:
    policy = DayNight(NIGHT)
    modes(policy, 0, (11, DARKNESS), (150, DAYLIGHT), (150, DARKNESS), (250, DAYLIGHT))  # a trial that failed
    assert policy._patience > NIGHT.dwell_seconds
    assert modes(policy, 1000, (4000, DAYLIGHT), (20, DARKNESS), (130, DAYLIGHT)) == [Mode.DAY, Mode.NIGHT, Mode.DAY]


def test_where_no_lux_is_known_the_picture_decides() -> None:
    policy = DayNight(NIGHT)
    bright, dark, between = Light(0.5, None), Light(0.05, None), Light(0.2, None)
    assert modes(policy, 0, (50, bright), (20, dark), (500, between), (20, bright)) == [
        Mode.DAY, Mode.NIGHT, Mode.NIGHT, Mode.DAY,
    ]  # fmt: skip


@settings(max_examples=300)
@given(st.lists(st.tuples(st.floats(0.1, 30.0), st.sampled_from([DAYLIGHT, DARKNESS, TWILIGHT])), max_size=200))
def test_whatever_the_light_does_the_mode_is_steady(steps: list[tuple[float, Light]]) -> None:
    policy, now, changes, asked = DayNight(NIGHT), 0.0, [], []
    for seconds, seen in steps:
        now += seconds
        before = policy.mode
        asked.append((now, seen))
        if policy.judge(now, seen) is not before:
            changes.append(now)
            for at, then in reversed(asked):  # the light asked for it all the time
                assert (then is DARKNESS) == (policy.mode is Mode.NIGHT)
                assert then is not TWILIGHT
                if now - at >= NIGHT.steady_seconds:
                    break
    assert all(later - earlier >= NIGHT.dwell_seconds for earlier, later in pairwise(changes))


def test_the_light_is_stated_reckoned_or_unknown() -> None:
    pixels = np.full((160, 160, 3), 128, np.uint8)
    assert light(pixels, Readings(lux=3.5)) == Light(pytest.approx(128 / 255), 3.5)
    assert light(pixels, Readings()).lux is None
    assert light(pixels, Readings(exposure_us=1000.0)).lux is None
    sunny = light(pixels, Readings(exposure_us=100.0, gain=1.0)).lux
    street_at_night = light(pixels // 4, Readings(exposure_us=33_000.0, gain=8.0)).lux
    assert sunny is not None
    assert sunny > 10_000
    assert street_at_night is not None
    assert street_at_night < 10


def test_a_headlight_in_the_picture_is_no_day() -> None:
    pixels = np.full((480, 640, 3), 8, np.uint8)
    pixels[100:300, 200:500] = 255
    assert light(pixels, Readings()).luminance < 0.05


# outputs: the same for all kinds


class Memory:
    """An output that only remembers. ``fails``: it cannot be switched."""

    def __init__(self) -> None:
        self.on: list[bool] = []
        self.fails = False

    def switch(self, on: bool) -> None:
        if self.fails:
            raise OutputError("the wire is cut. Mend it.")
        self.on.append(on)

    def close(self) -> None:
        pass


Made = tuple[Output, Callable[[], bool]]


def memory(folder: Path) -> Made:
    made = Memory()
    return made, lambda: made.on[-1]


def led(folder: Path) -> Made:
    for name, content in (("brightness", "0\n"), ("max_brightness", "255\n"), ("trigger", "none [heartbeat] timer\n")):
        (folder / name).write_text(content)

    def lit() -> bool:
        assert (folder / "trigger").read_text() == "none"
        value = (folder / "brightness").read_text()
        assert value in ("0", "255")
        return value == "255"

    return Led(folder), lit


def gpio(folder: Path) -> Made:
    """A line of the kernel's own simulator, whose state another interface of it shows."""
    chip, shown = simulated(0)
    return Gpio(Line(chip, 0)), lambda: (shown / "value").read_text().strip() == "1"


@pytest.fixture(params=[memory, led, gpio])
def output(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Made]:
    made = request.param(tmp_path)
    yield made
    made[0].close()


def test_an_output_goes_on_and_off(output: Made) -> None:
    switched, state = output
    for on in (True, False, False, True, True):
        switched.switch(on)
        assert state() is on
    switched.close()
    switched.close()


def test_a_pulse_ends(output: Made) -> None:
    switched, state = output
    during: list[bool] = []
    pulsed = Pulsed(switched, 0.1, lambda seconds: during.append(state()))
    pulsed.switch(True)
    assert during == [True]
    assert state() is False
    pulsed.switch(False)
    assert state() is False
    pulsed.close()


def test_a_pulse_ends_whatever_happens_in_it() -> None:
    made = Memory()

    def crash(_: float) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        Pulsed(made, 0.1, crash).switch(True)
    assert made.on == [True, False]


@pytest.mark.parametrize("missing", [Led(Path("/nowhere/leds/ir")), Gpio(Line(Path("/nowhere/gpiochip0"), 3))])
def test_what_is_not_there_is_named(missing: Output) -> None:
    with pytest.raises(OutputError, match="/nowhere"):
        missing.switch(True)
    missing.close()


def test_what_is_no_gpio_chip_is_named() -> None:
    with pytest.raises(OutputError, match="Line 3 of /dev/null"):
        Gpio(Line(Path("/dev/null"), 3)).switch(True)


def test_the_configuration_makes_the_output_it_describes(tmp_path: Path) -> None:
    assert isinstance(outputs.make(config.Output(name="lamp", led=tmp_path)), Led)
    pulsed = outputs.make(config.Output(name="filter", chip=Path("/dev/gpiochip0"), line=3, pulse_ms=100))
    assert isinstance(pulsed, Pulsed)
    assert isinstance(pulsed._output, Gpio)


# the switch


class Bench:
    """A switch with its outputs, and a live camera in front of which the light changes."""

    def __init__(self, **night: object) -> None:
        self.made: dict[str, Memory] = {}
        self.camera = ScriptedCamera()
        self.source = LiveSource(self.camera)
        self.lens = config.Camera(gain=2.0)
        self.now = 0.0
        self.switch = Switch(
            config.Night(
                output=(
                    config.Output(name="lamp", led=Path("x")), config.Output(name="filter", led=Path("y"), when="day"),
                ), **night,  # type: ignore[arg-type]
            ),
            self.lens, lambda output: self.made.setdefault(output.name, Memory()),
        )  # fmt: skip

    def see(self, seconds: int, lux: float) -> None:
        for _ in range(seconds * 10):
            self.now += 0.1
            self.source.readings = Readings(lux=lux)
            self.switch.look(self.now, Frame(np.zeros((64, 64, 3), np.uint8), 0, 0.0, 0.0), self.source)

    @property
    def states(self) -> dict[str, bool]:
        return {name: output.on[-1] for name, output in self.made.items()}


def test_lamp_filter_and_exposure_follow_day_and_night() -> None:
    bench = Bench(exposure_us=2000, monochrome=True)
    bench.see(5, 900.0)
    assert bench.states == {"lamp": False, "filter": True}
    assert bench.camera.adjusted == [bench.lens]
    bench.see(30, 2.0)
    assert bench.states == {"lamp": True, "filter": False}
    night = bench.camera.adjusted[-1]
    assert (night.exposure_us, night.gain, night.monochrome) == (2000, 2.0, True)
    assert bench.switch.facts() == {"night": True, "lux": 2.0, "luminance": 0.0}
    bench.see(200, 900.0)
    assert bench.states == {"lamp": False, "filter": True}
    assert bench.camera.adjusted[-1] == bench.lens
    assert len(bench.camera.adjusted) == 3
    assert {name: len(output.on) for name, output in bench.made.items()} == {"lamp": 3, "filter": 3}


def test_an_output_that_fails_is_a_trouble_and_is_tried_again() -> None:
    bench = Bench()
    bench.see(5, 900.0)
    bench.made["lamp"].fails = True
    bench.see(40, 2.0)
    assert bench.switch.troubles() == ["the output lamp fails: the wire is cut. Mend it."]
    assert bench.states["filter"] is False  # the others go on
    bench.made["lamp"].fails = False
    bench.see(11, 2.0)
    assert bench.states["lamp"] is True
    assert bench.switch.troubles() == []


def test_another_source_and_another_lens_are_set_too() -> None:
    bench = Bench(exposure_us=2000)
    bench.see(30, 2.0)
    bench.camera, before = ScriptedCamera(), bench.camera
    bench.source = LiveSource(bench.camera)
    bench.see(2, 2.0)
    assert before.adjusted[-1].exposure_us == bench.camera.adjusted[-1].exposure_us == 2000
    bench.switch.lens(config.Camera(gain=4.0))
    bench.see(2, 2.0)
    assert bench.camera.adjusted[-1] == config.Camera(gain=4.0, exposure_us=2000)


def test_a_file_is_watched_too_and_cannot_be_set() -> None:
    bench = Bench()
    film = MemorySource([])
    for second in range(30):
        bench.switch.look(float(second), Frame(np.zeros((64, 64, 3), np.uint8), 0, 0.0, 0.0), film)
    assert bench.switch.facts() == {"night": True, "lux": None, "luminance": 0.0}


def test_a_camera_that_cannot_be_set_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()

    def fail(_: config.Camera) -> None:
        raise RuntimeError("no such control")

    works, bench.camera.adjust = bench.camera.adjust, fail  # type: ignore[method-assign]
    bench.see(9, 900.0)
    assert caplog.text.count("cannot be set: no such control") == 1
    bench.camera.adjust = works  # type: ignore[method-assign]
    bench.see(11, 900.0)
    assert bench.camera.adjusted == [bench.lens]


def test_readings_come_with_the_frame() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        camera.put(Picture(np.zeros((4, 4, 3), np.uint8), readings=Readings(lux=7.0)))
        next(iter(source))
        assert source.readings == Readings(lux=7.0)


OLD = {"ExposureTime": (), "AnalogueGain": (), "Saturation": ()}
NEW = OLD | {"ExposureTimeMode": (), "AnalogueGainMode": ()}


@pytest.mark.parametrize(
    ("lens", "offered", "again", "expected"),
    [
        (config.Camera(), NEW, False, {}),
        (config.Camera(exposure_us=2000), OLD, False, {"ExposureTime": 2000}),
        (config.Camera(exposure_us=2000), NEW, False, {"ExposureTimeMode": 1, "ExposureTime": 2000}),
        (config.Camera(gain=2.0, monochrome=True), OLD, False, {"AnalogueGain": 2.0, "Saturation": 0.0}),
        (config.Camera(), OLD, True, {"ExposureTime": 0, "AnalogueGain": 0.0, "Saturation": 1.0}),
        (config.Camera(), NEW, True, {"ExposureTimeMode": 0, "AnalogueGainMode": 0, "Saturation": 1.0}),
        (config.Camera(), {}, True, {}),
    ],
)
def test_libcameras_controls(lens: config.Camera, offered: dict, again: bool, expected: dict) -> None:
    assert light_controls(lens, offered, again=again) == expected


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("lux = [40.0, 10.0]", "must be less"),
        ("luminance = [0.5, 0.5]", "must be less"),
        ('output = [{name = "lamp"}]', "either led, or chip and line"),
        ('output = [{name = "lamp", led = "a", chip = "b", line = 1}]', "either led, or chip and line"),
        ('output = [{name = "lamp", chip = "b"}]', "either led, or chip and line"),
        ('output = [{name = "lamp", led = "a"}, {name = "lamp", led = "b"}]', "same name"),
        ('output = [{name = "lamp", led = "a", pulse_ms = 501}]', "500"),
        ("exposure_us = 5", "exposure_us"),
    ],
)
def test_a_night_that_makes_no_sense_is_refused(text: str, complaint: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    places = ("inbox", "trust", "grants", "state", "signing_key", "signing_certificate")
    there = "\n".join(f'{name} = "x"' for name in ("camera", "source", *places))
    path.write_text(f"[vision]\n{there}\n[vision.night]\n{text}\n")
    with pytest.raises(config.ConfigError, match=complaint):
        config.load(path, config.Vision)
    path.write_text(f"[vision]\n{there}\n[vision.night]\n")
    assert config.load(path, config.Vision).night == config.Night()
    assert json.loads(msgspec.json.encode(config.Night()))["output"] == []
