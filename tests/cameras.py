"""Real cameras and servers for tests of sources: GStreamer pipelines, an RTSP server with the camera link, libcamera's
virtual camera under picamera2, and whatever is plugged in (``--device``). What is missing skips the test, loudly."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock
from urllib.parse import quote

import pytest

from edge import config
from edge.vision.sources import Camera, camera_of
from edge.vision.sources.gstreamer import GstCamera
from edge.vision.sources.picamera import PiCamera

ROOT = Path(__file__).parent.parent
USER, PASSWORD = "warden", "hžunt/er2"  # of the RTSP server
TEST_PICTURE = "videotestsrc is-live=true ! video/x-raw,width=128,height=96,framerate=15/1"
SYSTEM_PYTHON = "/usr/bin/python3"  # has GStreamer's bindings where Debian's packages are installed
SERVER_PACKAGES = (
    "gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad "
    "gstreamer1.0-plugins-ugly gstreamer1.0-libav gir1.2-gst-rtsp-server-1.0 python3-gi"
)


def skip(what: str) -> None:
    warnings.warn(what, stacklevel=2)
    pytest.skip(what)


def needs_gstreamer() -> None:
    if shutil.which("gst-launch-1.0") is None or shutil.which("gst-inspect-1.0") is None:
        skip("GStreamer is not installed: make test-sources installs it")
    for element in ("videotestsrc", "videoconvert", "gdppay"):
        if subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False).returncode:
            skip(f"GStreamer lacks {element}: make test-sources installs it")


@contextmanager
def gstreamer(folder: Path) -> Iterator[Camera]:
    needs_gstreamer()
    yield GstCamera(TEST_PICTURE)


class Rtsp:
    """A real RTSP server. ``port`` 0 lets the system choose one; ``stop`` kills it, ``start`` brings it back."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [SYSTEM_PYTHON, str(ROOT / "tests" / "rtsp_server.py"), str(self.port), USER, PASSWORD],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def needs_rtsp() -> None:
    needs_gstreamer()
    code = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
    command = [SYSTEM_PYTHON, "-c", code]
    if not Path(SYSTEM_PYTHON).exists() or subprocess.run(command, capture_output=True, check=False).returncode:
        skip("GStreamer's RTSP server is not installed: make test-sources installs it")
    for element in ("x264enc", "avdec_h264", "rtspsrc", "matroskamux"):
        if subprocess.run(["gst-inspect-1.0", element], capture_output=True, check=False).returncode:
            skip(f"GStreamer lacks {element}: make test-sources installs it")


@contextmanager
def linked(folder: Path, server: Rtsp, password: str = PASSWORD) -> Iterator[Camera]:
    """The real camera link process between ``server`` and a camera; nobody gets to see the password."""
    from tests.rig import environment, wait_for

    path, quoted = folder / "camera.toml", quote(password, safe="")
    url = f"rtsp://{USER}:{quoted}@127.0.0.1:{server.port}/camera"
    path.write_text(f'[link]\nurl = "{url}"\nsocket = "link"\n', encoding="utf-8")
    with (folder / "link.log").open("wb") as log:
        link = subprocess.Popen(
            [sys.executable, "-m", "edge.link", "--config", str(path)], env=environment(), stderr=log
        )
    try:
        wait_for((folder / "link").exists)
        with looking(link.pid) as shown:
            yield GstCamera(link=folder / "link")
        shown.add((folder / "link.log").read_bytes())
        assert not [text for text in shown for word in (password, quoted) if word.encode() in text]
    finally:
        link.terminate()
        link.wait(20)


@contextmanager
def looking(number: int) -> Iterator[set[bytes]]:
    """What any user can see of the process ``number`` and of those that it starts meanwhile, and a bit more."""
    shown: set[bytes] = set()
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(0.05):
            for each in family(number):
                for file in ("cmdline", "environ"):
                    with suppress(FileNotFoundError, ProcessLookupError):
                        shown.add(Path(f"/proc/{each}/{file}").read_bytes())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield shown
    finally:
        ended.set()
        thread.join()


def family(number: int) -> set[int]:
    """The process ``number`` and those that it started."""
    found = {number}
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{number}/task").iterdir():
            for child in (task / "children").read_text().split():
                found |= family(int(child))
    return found


@contextmanager
def rtsp(folder: Path) -> Iterator[Camera]:
    needs_rtsp()
    server = Rtsp()
    server.start()
    try:
        with linked(folder, server) as camera:
            yield camera
    finally:
        server.stop()


@contextmanager
def picamera(folder: Path) -> Iterator[Camera]:
    """The real picamera2 on libcamera's virtual camera.

    Two things of picamera2 are changed, because the virtual sensor has no raw stream and the machine no DMA heap of a
    Raspberry Pi: the sensor's mode is stated instead of asked for, and libcamera allocates the buffers. ``pykms``,
    which only previews on a screen use, is replaced where it is missing.
    """
    if importlib.util.find_spec("picamera2") is None or importlib.util.find_spec("libcamera") is None:
        skip("picamera2 and libcamera's Python bindings are not installed: make test-picamera brings them")
    if "pykms" not in sys.modules and importlib.util.find_spec("pykms") is None:
        sys.modules.setdefault("pykms", types.SimpleNamespace(PixelFormat=mock.MagicMock()))  # type: ignore[arg-type]
    import picamera2
    from picamera2.allocators import LibcameraAllocator

    if not any(found["Id"].startswith("Virtual") for found in picamera2.Picamera2.global_camera_info()):
        skip("libcamera shows no virtual camera: make test-picamera sets one up")
    begin = picamera2.Picamera2.configure

    def configure(self: object, *given: object, **named: object) -> object:
        self.allocator = LibcameraAllocator(self.camera)  # type: ignore[attr-defined]
        return begin(self, *given, **named)

    modes = [{"format": "NV12", "size": (1920, 1080)}]
    with (
        mock.patch.object(picamera2.Picamera2, "_get_raw_modes", return_value=modes),
        mock.patch.object(picamera2.Picamera2, "configure", configure),
    ):
        yield PiCamera(config.Camera(width=1280, height=720, fps=15.0))


@contextmanager
def device(folder: Path) -> Iterator[Camera]:
    """The camera that ``--device`` names."""
    spec = device.spec  # type: ignore[attr-defined]
    if not spec:
        pytest.skip("no --device was given")
    camera = camera_of(spec, config.Camera())
    assert camera is not None, f"{spec} is no camera"
    yield camera


device.spec = ""  # type: ignore[attr-defined]
