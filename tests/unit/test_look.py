"""The look scheduler's promise: everything is examined at tile resolution within the stated time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.vision.look import Grid, Look
from edge.vision.track import Track
from edge.vision.values import Box, Frame, Kind, Region

GRID = Grid(480, 480, 0.25, coarse_share=0.1, smallest=40.0)


def frame(index, fps=15.0, width=1920, height=1080):
    pixels = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3))
    return Frame(pixels, index, index / fps, 1.8e9 + index / fps)


def tiles(plan):
    return [g.region for g in plan if g.region.x1 - g.region.x0 <= 480]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(500, 4000), height=st.integers(300, 2500), fps=st.floats(2, 60), cover=st.floats(0.2, 3.0)
)
def test_every_pixel_is_covered_within_the_stated_time(width, height, fps, cover):
    look = Look({Kind.FACE: GRID}, cover)
    count = int(np.ceil(cover * fps)) + 1
    for start in (0, count):  # from the start, and again from then on
        covered = np.zeros((height, width), bool)
        for index in range(start, start + count):
            for region in tiles(look.plan(frame(index, fps, width, height), [])):
                covered[region.y0 : region.y1, region.x0 : region.x1] = True
        assert covered.all()


def test_cost_per_frame_is_even_and_a_lone_picture_is_covered_at_once():
    look = Look({Kind.FACE: GRID}, 0.7)
    everything = len(GRID.tiles(1920, 1080))
    assert len(tiles(look.plan(frame(0), []))) == everything
    per_frame = [len(tiles(look.plan(frame(i), []))) for i in range(1, 100)]
    assert max(per_frame) <= int(np.ceil(everything / (0.7 * 15)))
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
