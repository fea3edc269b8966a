"""The parts of the rules: the plane and its speeds, signals, and privacy zones. What trips is in test_rules_world."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from edge.behaviour import Behaviour, Crossing, Dwell, Entry, Signal
from edge.vision.privacy import PrivacyZones
from edge.vision.rules import Rules
from edge.vision.rules.plane import Plane, Position, estimate
from edge.vision.rules.signals import FromFile, FromWire, Signals
from edge.vision.track import Track
from edge.vision.values import Box, Frame, Kind
from provisioning.demo.raster import Camera
from tests.wires import Contact

EYE = Camera(1280, 720, 2000.0, (700.0, 360.0), 5.5, float(np.radians(12)))
METRES = ((-3.0, 40.0), (0.5, 40.0), (0.5, 16.0), (-3.0, 16.0))


def seen(places, height):
    pixels, _ = EYE.project(np.array([[x, height, z] for x, z in places]))
    return [(float(x), float(y)) for x, y in pixels]


def test_four_points_place_everything_else():
    plane = Plane(seen(METRES, 0.0), METRES)
    for place in ((-1.0, 20.0), (0.0, 35.0), (2.0, 60.0)):
        assert plane.at(*seen([place], 0.0)[0]) == pytest.approx(place, abs=1e-6)


@pytest.mark.parametrize("height", [0.3, 0.5, 0.9])
def test_the_height_of_plates_is_made_up_for_exactly(height):
    plane = Plane(seen(METRES, 0.0), METRES, (5.5 - height) / 5.5)
    (a, b) = (plane.at(*pixel) for pixel in seen([(-2.0, 35.0), (-1.0, 18.0)], height))
    assert np.hypot(a[0] - b[0], a[1] - b[1]) == pytest.approx(np.hypot(1.0, 17.0), rel=1e-6)


def drive(kmh, count, noise, rng, fps=15.0):
    times = np.arange(count) / fps
    off = rng.normal(0, noise, (count, 2))
    return [Position(float(t), float(x), float(kmh / 3.6 * t + y), 1.0) for t, (x, y) in zip(times, off, strict=True)]


@pytest.mark.parametrize("kmh", [20, 50, 120])
def test_noise_does_not_bias_the_speed_and_the_error_is_honest(kmh):
    rng = np.random.default_rng(kmh)
    found = [estimate(drive(kmh, 15, 0.05, rng)) for _ in range(300)]
    off = np.array([e.speed - kmh for e in found])
    stated = np.array([e.error for e in found])
    assert abs(off.mean()) < 0.2
    # the error is stated over both axes, so it errs on the safe side
    assert off.std() <= stated.mean() <= 2 * off.std()
    assert (np.abs(off) <= 3 * stated).mean() > 0.98


def test_a_slip_of_the_detector_is_left_out():
    positions = drive(60, 12, 0.02, np.random.default_rng(1))
    positions[4] = positions[4]._replace(y=positions[4].y + 4.0)
    assert estimate(positions).speed == pytest.approx(60, rel=0.01)


def test_what_is_not_certain_is_not_said():
    rng = np.random.default_rng(2)
    assert estimate([]) is None
    assert estimate(drive(60, 4, 0.01, rng)) is None  # too few
    assert estimate(drive(60, 5, 0.01, rng, fps=60)) is None  # too short a time
    assert estimate(drive(60, 8, 2.0, rng)) is None  # too noisy
    back_and_forth = [Position(i / 15, 0.0, float(i % 2), 1.0) for i in range(20)]
    assert estimate(back_and_forth) is None
    assert estimate([Position(i / 15, 0.0, 0.0, 1.0) for i in range(20)]).speed == 0.0  # it stands


WALL = 1_795_000_000.0


@pytest.mark.parametrize(
    ("content", "closed"),
    [
        (b"closed 1795000000.000\n", True),
        (b"open 1795000000", False),
        (b"closed 1794999998.5", True),
        (b"closed 1794999996.9", None),  # older than three seconds
        (b"closed 1795000000.9", True),
        (b"closed 1795000002", None),  # of the future
        (b"CLOSED 1795000000", None),
        (b"closed", None),
        (b"closed 1795000000.0 1", None),
        (b"closed -1795000000", None),
        (b"closed nan", None),
        (b"closed 1795000000\n\n", None),
        (b"", None),
        (b"closed 1795000000.0" + b" " * 100, None),
        (b"\xff" * 20, None),
    ],
)
def test_a_signal_file_says_what_it_says_or_nothing(tmp_path, content, closed):
    path = tmp_path / "light"
    path.write_bytes(content)
    assert FromFile(path, 3.0).closed(WALL) is closed


def test_only_a_plain_file_is_a_signal(tmp_path):
    path = tmp_path / "light"
    assert FromFile(path, 3.0).closed(WALL) is None
    path.mkdir()
    assert FromFile(path, 3.0).closed(WALL) is None
    os.mkfifo(tmp_path / "pipe")
    assert FromFile(tmp_path / "pipe", 3.0).closed(WALL) is None
    (tmp_path / "true").write_text("closed 1795000000")
    (tmp_path / "link").symlink_to(tmp_path / "true")
    assert FromFile(tmp_path / "link", 3.0).closed(WALL) is None
    assert FromFile(tmp_path / "true", 3.0).closed(WALL) is True


@pytest.mark.parametrize(("high", "means_closed", "closed"), [(True, 1, True), (False, 1, False), (True, 0, False),
                                                              (False, 0, True), (None, 1, None), (None, 0, None)])
def test_a_wire_is_a_signal(high, means_closed, closed):
    assert FromWire(Contact(high), means_closed).closed(0.0) is closed


def on_a_wire():
    contact = Contact(None)
    return contact, Signals({"light": Signal(chip=Path("/dev/gpiochip0"), line=17)}, wire=lambda _: contact)


def test_a_signal_is_known_for_the_moments_it_was_looked_at():
    contact, signals = on_a_wire()
    for time, contact.high in enumerate([None, False, False, True, True, True, None, True]):
        signals.sample(float(time), WALL + time)
    found = [signals.closed_for("light", time) for time in (-1.0, 0.5, 1.5, 2.9, 3.0, 4.5, 5.9, 6.5, 7.25)]
    assert found == [None, None, None, None, 0.0, 1.5, 2.9000000000000004, None, 0.25]


def test_memory_of_signals_is_bounded():
    contact, signals = on_a_wire()
    for time in range(1000):
        contact.high = bool(time % 2)
        signals.sample(float(time), WALL + time)
    assert len(signals._past["light"]) < 70
    assert signals.closed_for("light", 999.5) == 0.5


def test_of_what_nothing_is_known_is_said_as_long_as_it_is_so(tmp_path):
    path = tmp_path / "light"
    signals = Signals({"main": Signal(file=path), "side": Signal(chip=Path("/nowhere/gpiochip0"), line=17)})
    assert signals.troubles() == []  # nobody looked yet
    signals.sample(0.0, WALL)
    main, side = signals.troubles()
    assert re.search(f"signal main: {path} is missing, older than 3 s", main)
    assert re.search("signal side: Line 17 of /nowhere/gpiochip0 cannot be read: .*No such file", side)
    path.write_bytes(b"open 1795000001")
    signals.sample(1.0, WALL + 1)
    assert signals.troubles() == [side]
    signals.sample(9.0, WALL + 9)
    assert signals.troubles() == [main, side]


def test_rules_say_which_signals_they_lack(tmp_path):
    pixels = np.zeros((36, 64, 3), np.uint8)
    places = {"zones": {"zone": ((0, 0), (1, 0), (1, 1))}, "signals": {"light": Signal(file=tmp_path / "light")}}
    with_rules = Rules(Behaviour(**places, rules=(Entry(name="entry", zone="zone"),)))
    without = Rules(Behaviour(**places))
    for rules in (with_rules, without):
        rules.watch(frame(pixels), [])
    assert len(with_rules.troubles()) == 1
    assert without.troubles() == []


def frame(pixels, index=0):
    return Frame(pixels, index, index / 15, WALL + index / 15)


@pytest.mark.parametrize(("width", "height"), [(640, 360), (1280, 720), (333, 217)])
def test_every_pixel_that_a_zone_touches_is_black(width, height):
    corner = ((0.9, 0.9), (1, 0.9), (1, 1))
    polygons = [((0.1, 0.2), (0.6, 0.1), (0.5, 0.7)), ((0.3, 0.3), (0.9, 0.3), (0.9, 0.9)), corner]
    blank = PrivacyZones(polygons)
    for _ in range(2):  # with fresh and with kept corners
        out = blank(frame(np.full((height, width, 3), 255, np.uint8))).pixels
        ys, xs = np.mgrid[0 : 4 * height, 0 : 4 * width] / 4 + 0.125  # sixteen points of every pixel
        for polygon in polygons:
            inside = np.zeros(xs.shape, bool)
            corners = [(x * width, y * height) for x, y in polygon]
            for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
                if y0 != y1:
                    inside ^= ((y0 > ys) != (y1 > ys)) & (xs < x0 + (x1 - x0) * (ys - y0) / (y1 - y0))
            touched = inside.reshape(height, 4, width, 4).any((1, 3))
            assert touched.any()
            assert not out[touched].any()
        assert (out == 255).mean() > 0.6  # and not much more than that


def test_zones_follow_the_size_of_the_frame_and_leave_no_way_around():
    blank = PrivacyZones([((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))])
    for width in (200, 400, 200):
        out = blank(frame(np.full((100, width, 3), 9, np.uint8))).pixels
        assert not out[:, : width // 2].any()
        assert out[:, width // 2 + 3 :].all()
    locked = np.full((100, 200, 3), 9, np.uint8)
    locked.flags.writeable = False
    strided = np.full((100, 200, 4), 9, np.uint8)[:, :, :3]
    for pixels in (locked, strided):
        assert not blank(frame(pixels)).pixels[:, :100].any()
    same = frame(locked)
    assert PrivacyZones(())(same) is same


ZONE = ((0.25, 0.0), (0.75, 0.0), (0.75, 1.0), (0.25, 1.0))


def test_places_hold_at_every_resolution_and_a_change_of_it_starts_afresh():
    judged = (Entry(name="in", zone="z"), Dwell(name="stays", zone="z", seconds=2))
    rules = Rules(Behaviour(zones={"z": ZONE}, rules=judged))
    track = Track(1, Kind.PLATE, Box(0, 0, 1, 1), 0.0, 0.0)
    for index in range(60):
        width = 400 if index < 20 else 800
        x = width * (0.1 if index < 5 or 20 <= index < 25 else 0.5)
        now = frame(np.zeros((100, width, 3), np.uint8), index)
        track.box, track.point, track.last = Box(x - 20, 46, x + 20, 54), (x, 50), now.monotonic
        rules.watch(now, [track])
        assert list(track.tripped) == ([] if index < 6 else ["in"] if index < 55 else ["in", "stays"])
    rules.watch(now, [])
    assert rules._subjects == {}


def test_rules_for_plates_do_not_concern_faces_and_no_rules_cost_nothing():
    line = {"l": ((0.5, 0.0), (0.5, 1.0))}
    rules = Rules(Behaviour(lines=line, rules=(Crossing(name="over", line="l", objects=("plates",)),)))
    tracks = [Track(i, kind, Box(0, 0, 1, 1), 0.0, 0.0) for i, kind in enumerate(Kind)]
    for index in range(10):
        now = frame(np.zeros((10, 400, 3), np.uint8), index)
        for track in tracks:
            track.box, track.point, track.last = Box(0, 0, 20, 8), (100.0 + 30 * index, 4.0), now.monotonic
        rules.watch(now, tracks)
        idle = Rules(Behaviour())
        idle.watch(now, tracks)
        assert idle._subjects == {}
    assert [list(track.tripped) for track in tracks] == [["over"], []]
