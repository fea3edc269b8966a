"""What every frame source promises, checked on every kind of source.

Live cameras (``LIVE``) never end and may drop pictures; what is asked of others in full is asked of their first few.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import config
from edge.vision.sources import (
    Camera,
    FrameSource,
    LiveSource,
    MemorySource,
    Paced,
    PhotoSource,
    Skip,
    State,
    VideoSource,
)
from edge.vision.sources.live import CameraLost, Picture
from edge.vision.values import Frame, Pixels
from tests import cameras

COUNT = 6
START = 1_700_000_000.0

Make = Callable[[Path], FrameSource]
MakeCamera = Callable[[Path], AbstractContextManager[Camera]]


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


RECORDED: list[Make] = [memory, video, folder_of_photos, paced]
LIVE: list[MakeCamera] = [cameras.gstreamer, cameras.rtsp, cameras.picamera, cameras.device]


@pytest.fixture(params=[*RECORDED, *LIVE], ids=lambda make: str(make.__name__))
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FrameSource]:
    if request.param in RECORDED:
        with request.param(tmp_path) as recorded:
            yield recorded
        return
    with request.param(tmp_path) as camera, LiveSource(camera, START) as live:
        yield live


@pytest.fixture(params=RECORDED, ids=lambda make: str(make.__name__))
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> FrameSource:
    make: Make = request.param
    return make(tmp_path)


@pytest.fixture(params=LIVE, ids=lambda make: str(make.__name__))
def camera(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Camera]:
    make: MakeCamera = request.param
    with make(tmp_path) as found:
        yield found


def some(source: FrameSource) -> list[Frame]:
    return list(itertools.islice(source, COUNT))


def test_frames_in_order(source: FrameSource) -> None:
    with source:
        frames = some(source)
    assert [frame.index for frame in frames] == list(range(COUNT))
    assert source.delivered == COUNT
    assert source.skipped.get(Skip.CORRUPT, 0) == 0


def test_a_recording_comes_whole(recorded: FrameSource) -> None:
    with recorded:
        frames = list(recorded)
    assert np.allclose([frame.pixels.mean() for frame in frames], 20 * np.arange(COUNT), atol=3)
    assert sum(recorded.skipped.values()) == 0


def test_pixels_are_bgr_bytes(source: FrameSource) -> None:
    with source:
        shapes = set()
        for frame in some(source):
            assert frame.pixels.dtype == np.uint8
            assert frame.pixels.ndim == 3
            assert frame.pixels.shape[2] == 3
            shapes.add(frame.pixels.shape)
    assert len(shapes) == 1


def test_frames_stay_as_delivered(source: FrameSource) -> None:
    """A source does not write into a picture it has handed over."""
    with source:
        frames = iter(source)
        first = next(frames)
        before = first.pixels.copy()
        list(itertools.islice(frames, COUNT))
    assert np.array_equal(first.pixels, before)


def test_times_rise_and_agree(source: FrameSource) -> None:
    with source:
        frames = some(source)
    monotonic = np.array([frame.monotonic for frame in frames])
    assert monotonic[0] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(monotonic) > 0).all()
    assert np.allclose([frame.wall for frame in frames] - monotonic, START, atol=1e-5)


def test_a_second_loop_goes_on(source: FrameSource) -> None:
    with source:
        first = next(iter(source))
        rest = list(itertools.islice(source, COUNT - 1))
        assert [first.index, *(frame.index for frame in rest)] == list(range(COUNT))


def test_a_recording_ends(recorded: FrameSource) -> None:
    with recorded:
        list(recorded)
        assert list(recorded) == []


def test_nothing_comes_after_close(source: FrameSource) -> None:
    frames = iter(source)
    next(frames)
    source.close()
    source.close()
    assert next(frames, None) is None
    assert list(source) == []
    assert source.delivered == 1


def test_what_the_pipeline_is_too_slow_for_is_dropped_and_counted(camera: Camera) -> None:
    with LiveSource(camera, START) as source:
        frames = iter(source)
        next(frames)
        time.sleep(1.0)  # pictures that come meanwhile replace each other
        late = list(itertools.islice(frames, 2))
    assert source.skipped[Skip.DROPPED] >= 1
    assert late[1].monotonic - late[0].monotonic > 0
    assert source.condition.state is State.RUNNING


def test_a_camera_can_be_opened_again(camera: Camera) -> None:
    for _ in range(2):
        with LiveSource(camera, START) as source:
            assert len(list(itertools.islice(source, 2))) == 2


def test_exposure_and_gain_can_be_set_at_any_moment(camera: Camera) -> None:
    """Before it is opened, while it delivers, and back; what it cannot do stops nothing."""
    night = config.Camera(width=1280, height=720, exposure_us=2000, gain=4.0, monochrome=True)
    camera.adjust(night)
    with LiveSource(camera, START) as source:
        for settings in (night, config.Camera(width=1280, height=720), night):
            assert len(list(itertools.islice(source, 3))) == 3
            source.adjust(settings)
        assert len(list(itertools.islice(source, 3))) == 3
    assert source.condition.reopened == 0


def test_a_half_made_by_the_hardware_shows_the_same(camera: Camera) -> None:
    camera.open()
    try:
        picture = next(picture for _ in range(50) if (picture := camera.read()) is not None)
    finally:
        camera.close()
    if picture.half is None:
        pytest.skip("this camera makes none")
    assert picture.half.shape[:2] == (picture.pixels.shape[0] // 2, picture.pixels.shape[1] // 2)
    small = cv2.resize(picture.pixels, (16, 8), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - cv2.resize(picture.half, (16, 8), interpolation=cv2.INTER_AREA)).mean() < 20


def test_frame_times_are_the_sensors(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    """They keep the sensor's pace, not that of a reader which is late now and then."""
    stamps: list[float | None] = []
    read = camera.read

    def noting() -> Picture | None:
        picture = read()
        stamps.append(None if picture is None else picture.stamp)
        return picture

    monkeypatch.setattr(camera, "read", noting)
    with LiveSource(camera, START) as source:
        times = []
        for number, frame in enumerate(itertools.islice(source, 8)):
            times.append(frame.monotonic)
            time.sleep(0.09 * (number % 2))
    assert None not in stamps
    since = np.array(stamps, float) - stamps[0]
    # a sensor's clock is set anew only when it parts from the computer's by seconds
    assert all(np.abs(since - at).min() < 1e-6 for at in np.array(times) - times[0])



def test_a_network_camera_shows_its_password_neither_when_it_is_right_nor_when_it_is_wrong(tmp_path: Path) -> None:
    from tests.rig import wait_for

    cameras.needs_rtsp()
    server = cameras.Rtsp()
    server.start()
    log = tmp_path / "link.log"
    try:
        with cameras.linked(tmp_path, server) as camera, LiveSource(camera, START) as live:
            assert len(some(live)) == COUNT
        assert "Unauthorized" not in log.read_text()
        with cameras.linked(tmp_path, server, password="not/žhis") as camera:
            camera.open()
            with pytest.raises(CameraLost):
                camera.read()
            camera.close()
            wait_for(lambda: "Unauthorized" in log.read_text())
    finally:
        server.stop()
