"""The look scheduler's promise: everything is examined at tile resolution within the stated time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.vision.look import MOVED_AGAIN, BudgetError, Grid, Look
from edge.vision.track import Track
from edge.vision.values import Box, Frame, Kind, Region

GRID = Grid(480, 480, 0.25, coarse_share=0.1, smallest=40.0)


def frame(index, fps=15.0, width=1920, height=1080):
    pixels = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    return Frame(pixels, index, index / fps, 1.8e9 + index / fps)


def tiles(plan):
    return [g.region for g in plan if g.region.x1 - g.region.x0 <= 480]


@settings(max_examples=60)
@given(
    width=st.integers(500, 4000), height=st.integers(300, 2500), fps=st.floats(2, 60), cover=st.floats(0.2, 3.0)
)
def test_every_pixel_is_covered_within_the_stated_time(width, height, fps, cover):
    look = Look({Kind.FACE: GRID}, cover)
    count = look.frames_to_cover(width, height, 1 / fps)
    assert count / fps <= max(cover, 1 / fps) + 1e-4
    for start in (0, count):  # from the start, and again from then on
        covered = np.zeros((height, width), bool)
        for index in range(start, start + count):
            for region in tiles(look.plan(frame(index, fps, width, height), [])):
                covered[region.y0 : region.y1, region.x0 : region.x1] = True
        assert covered.all()


PLATES = Grid(960, 552, 0.25, coarse_share=0.034, smallest=60.0, coarse_ms=9.0, tile_ms=8.0)
FACES = Grid(432, 432, 0.25, coarse_share=0.1, smallest=40.0, coarse_ms=5.0, tile_ms=4.0)
BOTH = {Kind.PLATE: PLATES, Kind.FACE: FACES}
SIZES = st.sampled_from([(1280, 720), (1920, 1080), (2560, 1440), (3840, 2160)])


def cost(plan, width, height):
    whole = Region(0, 0, width, height)
    return sum(BOTH[g.kind].coarse_ms if g.region == whole else BOTH[g.kind].tile_ms for g in plan)


@st.composite
def scenes(draw):
    """Anything that may pull the scheduler about: small tracks of both kinds, settled or not, and movement."""
    fields = draw(st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0, 1), st.floats(0, 1)), max_size=6))
    tracks = [
        Track(i, Kind.FACE if face else Kind.PLATE, Box(x * 1200, y * 650, x * 1200 + 50, y * 650 + 40), 0.0, 0.0,
              settled=settled, best=90.0 * x)
        for i, (face, settled, x, y) in enumerate(fields)
    ]  # fmt: skip
    return tracks, draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 400))


def restless(index, seed, side, fps, width, height):
    """A frame in which a square of ``side`` pixels leaps about."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x, y = np.random.default_rng(seed + index).integers(0, (width - 400, height - 400))
    pixels[y : y + side, x : x + side] = 255
    return Frame(pixels, index, index / fps, 1.8e9 + index / fps)


@settings(max_examples=40)
@given(scene=scenes(), size=SIZES, fps=st.floats(5, 30), cover=st.floats(0.4, 2.0), budget=st.floats(26, 120))
def test_neither_budget_nor_promise_is_broken_whatever_goes_on(scene, size, fps, cover, budget):
    (tracks, seed, side), (width, height) = scene, size
    look = Look(BOTH, cover, budget)
    frames, limit = look.frames_to_cover(width, height, 1 / fps), look.worst_case(width, height, 1 / fps)
    examined = {(kind, tile): 0.0 for kind, grid in BOTH.items() for tile in grid.tiles(width, height)}
    look.plan(frame(0, fps, width, height), tracks)  # stands alone: covered at once, whatever it costs
    for index in range(1, 2 * frames + 2):
        now = restless(index, seed, side, fps, width, height)
        plan = look.plan(now, tracks)
        assert cost(plan, width, height) <= budget + 1e-6
        examined |= {(g.kind, g.region): now.monotonic for g in plan if (g.kind, g.region) in examined}
        assert min(examined.values(), default=now.monotonic) >= now.monotonic - limit - 1e-6


@settings(max_examples=40)
@given(st.lists(st.floats(0.01, 0.3), min_size=30, max_size=60))
def test_uneven_frames_add_their_longest_interval_to_the_promise(intervals):
    look, now = Look({Kind.FACE: FACES}, 0.7), 0.0
    examined = dict.fromkeys(FACES.tiles(1920, 1080), 0.0)
    for index, interval in enumerate([0.0, *intervals]):
        now += interval
        plan = look.plan(Frame(frame(0).pixels, index, now, 1.8e9 + now), [])
        examined |= {g.region: now for g in plan if g.region in examined}
        assert min(examined.values()) >= now - 0.7 - max(intervals) - 1e-6


def test_a_small_budget_lengthens_the_promise_and_says_so():
    rich, poor = Look(BOTH, 0.7, 50.0), Look(BOTH, 0.7, 27.0)
    assert rich.worst_case(1920, 1080, 1 / 15) <= 0.7
    assert poor.worst_case(1920, 1080, 1 / 15) == pytest.approx(18 / 15)  # one face tile a frame is all it pays for
    with pytest.raises(BudgetError, match="26 ms"):
        Look(BOTH, 0.7, 25.9)


def test_what_moves_comes_first_unless_it_was_examined_just_before():
    look = Look({Kind.FACE: FACES}, 100.0)
    still, moved, gone = frame(1), frame(2).pixels.copy(), frame(3).pixels
    moved[900:1000, 1600:1700] = 200
    look.plan(frame(0), [])
    assert look.plan(still, [])[1:] == []
    (glance,) = look.plan(Frame(moved, 2, 0.4, 1.8e9), [])[1:]
    assert (glance.region.x0 <= 1600, glance.region.x1 >= 1700) == (True, True)
    assert (glance.region.y0 <= 900, glance.region.y1 >= 1000) == (True, True)
    last, gaps = {glance.region: 0.4}, []
    for n in range(5, 20):
        for one in look.plan(Frame(gone if n % 2 else moved, n, n / 10, 1.8e9), [])[1:]:
            gaps.append(n / 10 - last.get(one.region, 0.0))
            last[one.region] = n / 10
    assert len(gaps) > 5
    assert min(gaps) >= MOVED_AGAIN - 1e-6


def test_a_moving_camera_shows_no_place_to_prefer():
    look = Look({Kind.FACE: FACES}, 100.0)
    rng = np.random.default_rng(1)
    for index in range(3):
        pixels = rng.integers(0, 256, (1080, 1920, 3)).astype(np.uint8)
        plan = look.plan(Frame(pixels, index, index / 15, 1.8e9), [])
    assert len(plan) == 1


def test_the_track_without_a_good_shot_comes_first():
    look = Look({Kind.FACE: GRID}, 100.0)
    look.plan(frame(0), [])
    good = Track(1, Kind.FACE, Box(100, 100, 150, 160), 0.0, 0.0, best=80.0)
    poor = Track(2, Kind.FACE, Box(1800, 1000, 1850, 1060), 0.0, 0.05, best=20.0)
    assert tiles(look.plan(frame(1), [good, poor])) == [Region(1440, 600, 1920, 1080)]


def test_cost_per_frame_is_even_and_a_lone_picture_is_covered_at_once():
    look = Look({Kind.FACE: GRID}, 0.7)
    everything = len(GRID.tiles(1920, 1080))
    assert len(tiles(look.plan(frame(0), []))) == everything
    per_frame = [len(tiles(look.plan(frame(i), []))) for i in range(1, 100)]
    assert max(per_frame) <= int(np.ceil(everything / 10))
    assert len(tiles(look.plan(frame(1000), []))) == everything


def test_no_tiles_where_the_coarse_pass_suffices():
    assert Grid(480, 480, 0.25, coarse_share=0.1, smallest=200.0).tiles(1920, 1080) == []
    assert len(Look({Kind.FACE: GRID}, 0.7).plan(frame(0, width=300, height=200), [])) == 1


@pytest.mark.parametrize(("settled", "followed"), [(False, True), (True, False)])
def test_a_small_track_gets_a_tile_of_its_own_until_it_is_settled(settled, followed):
    look = Look({Kind.FACE: GRID}, 100.0)
    look.plan(frame(0), [])
    track = Track(1, Kind.FACE, Box(1800, 1000, 1850, 1060), 0.0, 0.0, settled=settled)
    own = tiles(look.plan(frame(1), [track]))
    assert own == ([Region(1440, 600, 1920, 1080)] if followed else [])
