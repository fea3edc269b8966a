"""Live sources on a camera that a test plays: stalls, losses, garbage, times and what is dropped."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from edge import config
from edge.vision import image
from edge.vision.sources.base import Skip
from edge.vision.sources.live import CameraLost, LiveSource, Picture, State
from edge.vision.values import Pixels
from tests.rig import wait_for


def picture(level: int = 0, width: int = 32) -> Pixels:
    return np.full((24, width, 3), level, np.uint8)


class ScriptedCamera:
    """Delivers what is put into it: a ``Picture``, None for damage, an exception to raise, or a callable to run."""

    name = "the camera in the test"
    interval = 0.01

    def __init__(self) -> None:
        self.script: queue.SimpleQueue[Picture | Exception | Callable[[], None] | None] = queue.SimpleQueue()
        self.opened = self.closed = 0
        self.adjusted: list[config.Camera] = []
        self.refuse: Exception | None = None
        self._gone = threading.Event()

    def put(self, *things: Picture | Exception | Callable[[], None] | None) -> None:
        for thing in things:
            self.script.put(thing)

    def open(self) -> None:
        self.opened += 1
        self._gone = threading.Event()
        if self.refuse is not None:
            raise self.refuse

    def read(self) -> Picture | None:
        gone = self._gone
        while not gone.is_set():
            try:
                thing = self.script.get(timeout=0.01)
            except queue.Empty:
                continue
            if isinstance(thing, Exception):
                raise thing
            if callable(thing) and not isinstance(thing, Picture):
                thing()
                continue
            return thing
        raise CameraLost("closed")

    def adjust(self, settings: config.Camera) -> None:
        self.adjusted.append(settings)

    def close(self) -> None:
        self.closed += 1
        self._gone.set()


def feed(camera: ScriptedCamera, source: LiveSource, *pictures: Picture) -> list[float]:
    """The frame times of ``pictures``, given one by one, so that none replaces another."""
    frames, times = iter(source), []
    for one in pictures:
        camera.put(one)
        times.append(next(frames).monotonic)
    return times


def test_times_follow_the_sensor_and_start_at_0() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera, 1000.0) as source:
        times = feed(camera, source, *(Picture(picture(), 77.0 + t) for t in (0, 0.1, 0.3)))
    assert times == pytest.approx([0, 0.1, 0.3])


def test_without_stamps_the_time_of_arrival_counts() -> None:
    camera, now = ScriptedCamera(), [50.0]
    with LiveSource(camera, clock=lambda: now[0], stall=1e9) as source:
        frames = iter(source)
        camera.put(Picture(picture()))
        assert next(frames).monotonic == 0
        now[0] += 0.5
        camera.put(Picture(picture()))
        assert next(frames).monotonic == pytest.approx(0.5)


@pytest.mark.parametrize("stamps", [(5.0, 5.0, 4.9), (5.0, 1e9, 3.0), (1e12, 0.0, 0.1)])
def test_stamps_that_make_no_sense_still_give_rising_times(stamps: tuple[float, ...]) -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        times = feed(camera, source, *(Picture(picture(), stamp) for stamp in stamps))
    assert (np.diff(times) > 0).all()
    assert times[-1] < 60, "the computer's clock bounds what the sensor's may say"


def test_only_the_newest_waits_and_the_others_are_counted() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        frames = iter(source)
        camera.put(Picture(picture(1)))
        next(frames)
        camera.put(*(Picture(picture(level)) for level in range(2, 7)))
        wait_for(lambda: source.skipped[Skip.DROPPED] == 4)
        assert next(frames).pixels[0, 0, 0] == 6
    assert source.delivered == 2


def test_garbage_is_skipped_and_counted() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        bad = [
            None, Picture(picture()[:0]), Picture(picture()[:, :, 0]), Picture(picture().astype(np.float32)),  # type: ignore[arg-type]
        ]  # fmt: skip
        camera.put(*bad, Picture(picture(9)))
        assert next(iter(source)).pixels[0, 0, 0] == 9
    assert source.skipped == {Skip.CORRUPT: len(bad)}


def test_another_resolution_is_just_another_frame() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        frames = iter(source)
        sizes = []
        for width in (32, 64):
            camera.put(Picture(picture(0, width)))
            sizes.append(next(frames).width)
    assert sizes == [32, 64]


@pytest.mark.parametrize("trouble", ["raises", "stalls", "garbage", "hangs"])
def test_a_lost_camera_is_opened_again_and_time_goes_on(trouble: str) -> None:
    camera = ScriptedCamera()
    release = threading.Event()
    idled: list[State] = []
    source = LiveSource(camera, idle=lambda: idled.append(source.condition.state), first_rest=0.01, stall=0.3)
    with source:
        frames = iter(source)
        camera.put(Picture(picture(), 500.0))
        first = next(frames)
        if trouble == "raises":
            camera.put(CameraLost("the cable is out"))
        if trouble == "hangs":
            camera.put(lambda: release.wait(60) and None)
        if trouble == "garbage":
            camera.put(*[None] * 40)

        def come_back() -> None:
            wait_for(lambda: camera.opened == 2)
            camera.put(Picture(picture(7), 3.0))  # its clock starts anew

        threading.Thread(target=come_back, daemon=True).start()
        second = next(frames)
        release.set()
    assert second.pixels[0, 0, 0] == 7
    assert second.index == first.index + 1
    assert 0 < second.monotonic < 120
    assert source.condition.state is State.RUNNING
    assert source.condition.reopened == 1
    assert State.LOST in idled or State.RUNNING in idled


def test_what_a_hung_driver_still_delivers_is_not_taken() -> None:
    camera = ScriptedCamera()
    release = threading.Event()
    with LiveSource(camera, first_rest=0.01, stall=0.2) as source:
        frames = iter(source)
        camera.put(Picture(picture(1)))
        next(frames)
        camera.put(lambda: release.wait(60) and None)
        threading.Timer(1.5, lambda: camera.put(Picture(picture(2)))).start()
        assert next(frames).pixels[0, 0, 0] == 2
        release.set()
        camera.put(Picture(picture(3)))
        assert next(frames).pixels[0, 0, 0] == 3


def test_attempts_to_open_come_at_longer_and_longer_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = ScriptedCamera()
    camera.refuse = CameraLost("not there")
    source = LiveSource(camera)
    rests: list[float] = []

    def pause(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 8:
            source.close()

    monkeypatch.setattr(source, "_pause", pause)
    assert list(source) == []
    assert rests == [0.25, 0.5, 1, 2, 4, 8, 8, 8]
    assert source.condition.cause == "not there"


def test_closing_ends_a_wait_at_once() -> None:
    camera = ScriptedCamera()
    source = LiveSource(camera)
    threading.Timer(0.2, source.close).start()
    begin = time.monotonic()
    assert list(source) == []
    assert time.monotonic() - begin < 20
    assert camera.closed >= 1


WHOLE, PART = image.Region(0, 0, 64, 48), image.Region(0, 0, 32, 24)


def test_the_half_that_the_hardware_made_is_the_one_the_detectors_use() -> None:
    camera = ScriptedCamera()
    whole, half = np.zeros((48, 64, 3), np.uint8), np.full((24, 32, 3), 200, np.uint8)
    with LiveSource(camera) as source:
        camera.put(Picture(whole, 1.0, half))
        frame = next(iter(source))
    with image.halves.during(frame.pixels):
        assert image.shrink(frame.pixels, WHOLE, 16, 12).mean() == 200
        assert image.shrink(frame.pixels, PART, 8, 6).mean() == 0, "tiles are cut out of the whole"
    assert image.shrink(frame.pixels, WHOLE, 16, 12).mean() == 0


def test_what_is_blanked_in_a_frame_cannot_be_seen_in_the_hardware_s_half() -> None:
    whole, half = np.full((48, 64, 3), 90, np.uint8), np.full((24, 32, 3), 90, np.uint8)
    image.halves.put(whole, half)
    with pytest.raises(ValueError, match="read-only"):
        whole[:] = 0
    blanked = whole.copy()
    blanked[:] = 0
    with image.halves.during(blanked):
        assert image.shrink(blanked, WHOLE, 16, 12).max() == 0


def test_what_is_written_into_a_frame_shows_at_the_next_look() -> None:
    frame = np.zeros((48, 64, 3), np.uint8)
    for level in (0, 100, 200):
        frame[:] = level
        with image.halves.during(frame):
            for _ in range(2):
                assert image.shrink(frame, WHOLE, 16, 12).mean() == level


def test_a_half_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="not half"):
        image.halves.put(np.zeros((48, 64, 3), np.uint8), np.zeros((24, 31, 3), np.uint8))


def test_halving_once_and_halving_for_each_give_the_same() -> None:
    rng = np.random.default_rng(5)
    for frame in (rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(3)):
        alone = image.shrink(frame, image.Region(0, 0, 96, 64), 24, 16)
        with image.halves.during(frame):
            for _ in range(2):
                assert np.array_equal(image.shrink(frame, image.Region(0, 0, 96, 64), 24, 16), alone)


def test_the_half_of_a_part_is_that_part_of_the_half() -> None:
    frame = np.random.default_rng(6).integers(0, 255, (64, 96, 3), np.uint8)
    for region in (image.Region(10, 20, 74, 60), image.Region(11, 20, 75, 60), image.Region(32, 0, 96, 64)):
        part = image.cut(frame, region)
        alone = image.shrink(part, image.Region(0, 0, part.shape[1], part.shape[0]), 16, 10)
        with image.halves.during(frame):
            assert np.array_equal(image.shrink(frame, region, 16, 10), alone)
            assert np.array_equal(image.shrink(frame.copy(), region, 16, 10), alone), "of another picture"


def test_many_frames_leave_nothing_behind() -> None:
    camera = ScriptedCamera()
    with LiveSource(camera) as source:
        for frame in itertools.islice(source, 0):
            del frame
        feed(camera, source, *(Picture(picture(level), level / 10) for level in range(50)))
        threads = threading.active_count()
    wait_for(lambda: threading.active_count() < threads)
