"""Frame sources on files that the tests write themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import config
from edge.errors import VidikError
from edge.vision.image import MAX_PIXELS, Capture
from edge.vision.sources import LiveSource, MemorySource, Paced, PhotoSource, Skip, VideoSource, open_source
from edge.vision.sources.gstreamer import GstCamera
from edge.vision.sources.live import CameraLost
from edge.vision.sources.picamera import PiCamera, to_bgr
from edge.vision.sources.v4l2 import V4l2Camera
from edge.vision.values import Pixels

FPS = 20


def picture(level: int, width: int = 160, height: int = 120) -> Pixels:
    """One flat level with a bright left half, so that mirroring and mixing up show."""
    out = np.full((height, width, 3), level, np.uint8)
    out[:, : width // 2] = 255 - level
    return out


def write_video(path: Path, count: int = 12, codec: str = "MJPG", fps: float = FPS) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (160, 120))
    assert writer.isOpened()
    for index in range(count):
        writer.write(picture(8 * index))
    writer.release()
    return path


def write_photo(path: Path, pixels: Pixels) -> Path:
    done, data = cv2.imencode(path.suffix, pixels)
    assert done
    path.write_bytes(data.tobytes())
    return path


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.mkv", "FFV1")])
def test_video_gives_every_frame_at_its_time(tmp_path: Path, name: str, codec: str) -> None:
    with open_source(str(write_video(tmp_path / name, codec=codec)), wall_start=1000.0) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert np.allclose([frame.monotonic for frame in frames], np.arange(12) / FPS, atol=0.002)
    assert np.allclose([frame.wall for frame in frames], 1000 + np.arange(12) / FPS, atol=0.002)
    assert np.allclose([frame.pixels[60, 140].mean() for frame in frames], 8 * np.arange(12), atol=6)
    assert frames[0].pixels.shape == (120, 160, 3)
    assert sum(source.skipped.values()) == 0


def test_frame_rate_is_the_files_own(tmp_path: Path) -> None:
    with VideoSource(str(write_video(tmp_path / "slow.avi", 5, fps=4))) as source:
        assert np.allclose([frame.monotonic for frame in source], np.arange(5) / 4, atol=0.002)


def test_frames_damaged_in_the_middle_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", 30, "FFV1")
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + len(data) // 10] = bytes(len(data) // 10)
    path.write_bytes(data)
    with VideoSource(str(path)) as source:
        frames = list(source)
    assert 15 < len(frames) < 30
    assert source.skipped == {Skip.CORRUPT: 30 - len(frames)}
    assert frames[-1].monotonic == pytest.approx(29 / FPS, abs=0.002), "the gap is kept in the times"


def test_truncated_video_gives_what_decodes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", 30)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with VideoSource(str(path)) as source:
        count = len(list(source))
    assert 10 < count < 30
    assert source.skipped == {Skip.CORRUPT: 30 - count}


@pytest.mark.parametrize("data", [b"", b"not a video " * 50])
def test_what_is_no_video_is_refused_with_cause_and_next_step(
    tmp_path: Path, data: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(data)
    with pytest.raises(VidikError, match=r"bad\.mp4.*not a video.*convert it again"):
        open_source(str(path))
    assert capfd.readouterr().err == ""


class FakeCapture:
    """A capture with given time stamps; None stands for a frame that does not become pixels."""

    opened = True
    announced = 0

    def __init__(self, times: list[float], fps: float = 10.0, broken: frozenset[int] = frozenset()) -> None:
        self.fps = fps
        self._times = times
        self._broken = broken
        self._at = -1
        self.released = 0

    def grab(self) -> bool:
        self._at += 1
        return self._at < len(self._times)

    def retrieve(self) -> Pixels | None:
        return None if self._at in self._broken else picture(self._at)

    def position(self) -> float:
        return self._times[self._at]

    def release(self) -> None:
        self.released += 1


def with_capture(monkeypatch: pytest.MonkeyPatch, capture: FakeCapture) -> VideoSource:
    monkeypatch.setattr("edge.vision.sources.video.Capture", lambda path: capture)
    return VideoSource("film.mp4")


@pytest.mark.parametrize(
    ("stamps", "fps", "expected"),
    [
        ([0.0, 0.0, 0.0], 10.0, [0.0, 0.1, 0.2]),  # none in the container
        ([7.0, 7.5, 9.0], 10.0, [0.0, 0.5, 2.0]),  # variable rate, not from 0
        ([0.0, 0.4, 0.2, 0.9], 10.0, [0.0, 0.4, 0.5, 0.9]),  # backwards
        ([0.0, 0.0], 0.0, [0.0, 0.04]),  # neither stamps nor rate
    ],
)
def test_times_rise_whatever_the_container_says(
    monkeypatch: pytest.MonkeyPatch, stamps: list[float], fps: float, expected: list[float]
) -> None:
    source = with_capture(monkeypatch, FakeCapture(stamps, fps))
    assert [frame.monotonic for frame in source] == pytest.approx(expected)


def test_a_frame_without_pixels_is_a_counted_skip(monkeypatch: pytest.MonkeyPatch) -> None:
    source = with_capture(monkeypatch, FakeCapture([0.0, 0.1, 0.2], broken=frozenset({1})))
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 1]
    assert [frame.monotonic for frame in frames] == pytest.approx([0.0, 0.2])
    assert source.skipped == {Skip.CORRUPT: 1}


def test_a_video_with_no_good_frame_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    source = with_capture(monkeypatch, FakeCapture([0.0, 0.1], broken=frozenset({0, 1})))
    with pytest.raises(VidikError, match=r"no frame of the video film\.mp4"):
        list(source)


def with_camera(monkeypatch: pytest.MonkeyPatch, capture: FakeCapture) -> V4l2Camera:
    asked: list[object] = []
    monkeypatch.setattr(
        "edge.vision.sources.v4l2.Capture", lambda path, device, size, fps: asked.append((size, fps)) or capture
    )
    camera = V4l2Camera("/dev/video0", config.Camera(width=1280, height=720, fps=30.0))
    camera.open()
    assert asked == [((1280, 720), 30.0)]
    return camera


def test_a_v4l2_camera_delivers_with_the_drivers_time_stamps(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = with_camera(monkeypatch, FakeCapture([5.0, 5.1, 5.2], fps=10.0, broken=frozenset({1})))
    assert camera.interval == pytest.approx(0.1)
    first, broken, third = camera.read(), camera.read(), camera.read()
    assert first is not None
    assert (first.stamp, first.pixels.shape) == (5.0, (120, 160, 3))
    assert broken is None
    assert third is not None
    with pytest.raises(CameraLost, match=r"/dev/video0 stopped .* cable"):
        camera.read()


class Settable(FakeCapture):
    """A capture with controls; some cameras have no gain."""

    def __init__(self, times: list[float], *, gain: bool = True) -> None:
        super().__init__(times)
        self.values = {"AUTO_EXPOSURE": 3.0, "EXPOSURE": 157.0, "SATURATION": 64.0}
        self.values |= {"GAIN": 10.0} if gain else {}
        self.changes = 0

    def control(self, name: str) -> float:
        return self.values.get(name, 0.0)

    def set_control(self, name: str, value: float) -> bool:
        assert hasattr(cv2, f"CAP_PROP_{name}")
        self.changes += 1
        if name in self.values:
            self.values[name] = value
        return name in self.values


def test_a_v4l2_cameras_exposure_gain_and_colour_can_be_set_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = Settable([5.0, 5.1, 5.2])
    camera = with_camera(monkeypatch, capture)
    assert capture.changes == 0  # it is left to itself
    camera.adjust(config.Camera(exposure_us=2000, gain=4.0, monochrome=True))
    assert capture.changes == 0  # that is for the thread that reads
    camera.read()
    assert list(capture.values.values()) == [1.0, 20.0, 0.0, 4.0]
    camera.adjust(config.Camera())
    camera.read()
    assert list(capture.values.values()) == [3.0, 20.0, 64.0, 4.0]
    changes = capture.changes
    camera.read()
    assert capture.changes == changes


def test_what_a_v4l2_camera_does_not_take_is_logged_and_left(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    capture = Settable([5.0, 5.1], gain=False)
    camera = with_camera(monkeypatch, capture)
    camera.close()
    camera.adjust(config.Camera(gain=4.0))
    camera.open()
    assert "does not take gain" in caplog.text
    assert camera.read() is not None


def test_a_v4l2_camera_that_is_closed_is_released_and_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FakeCapture([5.0, 5.1])
    camera = with_camera(monkeypatch, capture)
    camera.close()
    camera.close()
    assert capture.released == 1
    with pytest.raises(CameraLost):
        camera.read()


def test_closing_in_the_loop_releases_once_and_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    capture = FakeCapture([0.0, 0.1, 0.2])
    source = with_capture(monkeypatch, capture)
    for _ in source:
        source.close()
    source.close()
    assert source.delivered == 1
    assert capture.released == 1


def test_a_device_that_is_none_is_refused() -> None:
    with pytest.raises(VidikError, match=r"cannot open the camera /dev/null: it is no video device"):
        open_source("/dev/null")


def test_folder_is_read_by_name_whatever_size_and_format(tmp_path: Path) -> None:
    write_photo(tmp_path / "c.png", picture(30, 400, 300))
    write_photo(tmp_path / "a.JPG".lower(), picture(10))
    write_photo(tmp_path / "b.pgm", picture(20)[:, :, 0])
    write_photo(tmp_path / "d.webp", picture(40, 50, 90))
    write_photo(tmp_path / "e.bmp", picture(50))
    (tmp_path / "notes.txt").write_text("not a photo")
    (tmp_path / "._a.jpg").write_bytes(b"left by another system")
    (tmp_path / "deeper.jpg").mkdir()
    with open_source(str(tmp_path), wall_start=50.0, interval=2.0) as source:
        frames = list(source)
    assert [(frame.width, frame.height) for frame in frames] == [
        (160, 120),
        (160, 120),
        (400, 300),
        (50, 90),
        (160, 120),
    ]
    assert all(frame.pixels.shape[2] == 3 for frame in frames)
    assert [round(float(frame.pixels[50, -10].mean()), -1) for frame in frames] == [10, 20, 30, 40, 50]
    assert [frame.monotonic for frame in frames] == [0, 2, 4, 6, 8]
    assert [frame.wall for frame in frames] == [50, 52, 54, 56, 58]
    assert not source.skipped


def test_photos_that_do_not_decode_are_counted(tmp_path: Path) -> None:
    write_photo(tmp_path / "a.jpg", picture(10))
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    (tmp_path / "c.jpg").write_bytes(b"")
    write_photo(tmp_path / "d.png", np.zeros((MAX_PIXELS // 5000 + 1, 5000), np.uint8))
    (tmp_path / "e.jpg").write_bytes(b"x")
    write_photo(tmp_path / "f.jpg", picture(10))
    source = open_source(str(tmp_path))
    (tmp_path / "e.jpg").unlink()
    assert [frame.monotonic for frame in source] == [0.0, 5.0]
    assert source.skipped == {Skip.CORRUPT: 2, Skip.TOO_LARGE: 1, Skip.UNREADABLE: 1}


def test_exif_orientation_is_respected(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.jpg", picture(0))  # left half white
    jpeg = path.read_bytes()
    # APP1: big-endian TIFF with one entry, orientation (0x0112) = 6: turn by 90 degrees clockwise to view.
    tiff = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + jpeg[2:])
    with PhotoSource([path]) as source:
        frame = next(iter(source))
    assert (frame.width, frame.height) == (120, 160)
    assert frame.pixels[:60].mean() > 200 > 50 > frame.pixels[100:].mean()


def test_one_photo_is_a_source(tmp_path: Path) -> None:
    with open_source(str(write_photo(tmp_path / "a.png", picture(10)))) as source:
        assert len(list(source)) == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("missing", "No such file.*check the path"),
        (".", "no photo in .*give a folder"),
        ("rtsp://camera/1", "has no network.*table \\[link\\]"),
        ("picamera:front", "No such file"),
    ],
)
def test_refusals_name_cause_and_next_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VidikError, match=message):
        open_source(spec)


class Clock:
    """Time that passes only by sleeping and by ``work``."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_pacing_sleeps_when_ahead_and_never_drops() -> None:
    clock = Clock()
    source = Paced(MemorySource([picture(0)] * 5, interval=1.0), clock, clock.sleep)
    work: Iterator[float] = iter([0.25, 3.0, 0.0, 0.0, 0.0])
    starts = []
    for _ in source:
        starts.append(clock.now - 100)
        clock.now += next(work)
    assert starts == [0.0, 1.0, 4.0, 4.0, 4.0]
    assert clock.slept == [0.75]
    assert source.delivered == 5


def test_open_source_paces_on_demand(tmp_path: Path) -> None:
    path = str(write_video(tmp_path / "a.avi", 2))
    with open_source(path, pace=True) as paced, open_source(path) as plain:
        assert isinstance(paced, Paced)
        assert isinstance(plain, VideoSource)


def test_capture_states_rate_and_length(tmp_path: Path) -> None:
    capture = Capture(str(write_video(tmp_path / "a.avi")))
    assert (capture.opened, capture.fps, capture.announced) == (True, FPS, 12)
    capture.release()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("picamera:0", PiCamera),
        ("/dev/video9", V4l2Camera),
        ("gst:nvarguscamerasrc ! nvvidconv ! video/x-raw,format=I420", GstCamera),
        ("link:run/link", GstCamera),
    ],
)
def test_cameras_are_chosen_by_name_and_need_not_be_there_yet(spec: str, kind: type) -> None:
    with open_source(spec) as source:
        assert isinstance(source, LiveSource)
        assert isinstance(source._camera, kind)


@pytest.mark.parametrize(
    ("made", "form", "expected"),
    [
        (np.full((96, 128, 3), 7, np.uint8), "RGB888", 7),
        (np.full((96, 128, 4), 7, np.uint8), "XRGB8888", 7),
        (np.full((144, 128), 128, np.uint8), "YUV420", 130),
        (np.full((144, 128), 128, np.uint8), "NV12", 130),
        (np.full((144, 192), 128, np.uint8), "NV12", 130),  # rows are padded
        (np.full((144, 192), 128, np.uint8), "YUV420", None),
        (np.full((90, 128, 3), 7, np.uint8), "RGB888", None),
    ],
)
def test_what_picamera2_delivers_becomes_bgr(made: np.ndarray, form: str, expected: int | None) -> None:
    pixels = to_bgr(made, form, 128, 96)
    if expected is None:
        assert pixels is None
        return
    assert pixels is not None
    assert (pixels.shape, pixels.base is None or pixels is made) == ((96, 128, 3), True)
    assert pixels.mean() == pytest.approx(expected, abs=3)


def test_a_format_of_picamera2_that_is_not_known_is_named() -> None:
    with pytest.raises(CameraLost, match="delivers MJPEG"):
        to_bgr(np.zeros(5), "MJPEG", 128, 96)
