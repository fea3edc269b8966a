"""What every frame source promises, checked on every kind of source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.vision.sources import FrameSource, MemorySource, Paced, PhotoSource, VideoSource
from edge.vision.values import Pixels

COUNT = 6
START = 1_700_000_000.0

Make = Callable[[Path], FrameSource]


def pictures() -> list[Pixels]:
    return [np.full((96, 128, 3), 20 * index, np.uint8) for index in range(COUNT)]


def memory(folder: Path) -> FrameSource:
    return MemorySource(pictures(), wall_start=START)


def video(folder: Path) -> FrameSource:
    path = folder / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 15, (128, 96))
    for pixels in pictures():
        writer.write(pixels)
    writer.release()
    return VideoSource(str(path), START)


def folder_of_photos(folder: Path) -> FrameSource:
    for index, pixels in enumerate(pictures()):
        (folder / f"{index}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    return PhotoSource.of_folder(folder, START)


def paced(folder: Path) -> FrameSource:
    return Paced(memory(folder), clock=lambda: 0.0, sleep=lambda seconds: None)


@pytest.fixture(params=[memory, video, folder_of_photos, paced], ids=lambda make: str(make.__name__))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> FrameSource:
    make: Make = request.param
    return make(tmp_path)


def test_all_frames_in_order(source: FrameSource) -> None:
    with source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert np.allclose([frame.pixels.mean() for frame in frames], 20 * np.arange(COUNT), atol=3)
    assert source.delivered == COUNT
    assert sum(source.skipped.values()) == 0


def test_pixels_are_bgr_bytes(source: FrameSource) -> None:
    with source:
        for frame in source:
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.shape == (96, 128, 3)


def test_frames_stay_as_delivered(source: FrameSource) -> None:
    """A source does not write into a picture it has handed over."""
    with source:
        frames = iter(source)
        first = next(frames)
        before = first.pixels.copy()
        list(frames)
    assert np.array_equal(first.pixels, before)


def test_times_rise_and_agree(source: FrameSource) -> None:
    with source:
        frames = list(source)
    monotonic = np.array([frame.monotonic for frame in frames])
    assert monotonic[0] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(monotonic) > 0).all()
    assert np.allclose([frame.wall for frame in frames] - monotonic, START, atol=1e-5)


def test_a_second_loop_goes_on(source: FrameSource) -> None:
    with source:
        first = next(iter(source))
        rest = list(source)
        assert [first.index, *(frame.index for frame in rest)] == list(range(COUNT))
        assert list(source) == []


def test_nothing_comes_after_close(source: FrameSource) -> None:
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert next(frames, None) is None
    assert list(source) == []
    assert source.delivered == 1
