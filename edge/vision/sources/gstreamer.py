"""Cameras behind a GStreamer pipeline: Jetson's ``nvarguscamerasrc``, a Coral board's camera, network cameras.

The pipeline runs in a child process: a driver that hangs or crashes takes that down and not the camera, and can always
be ended. The child shares this process's sandbox and has as little network. Pictures come through a pipe, as planar
YUV, with the time stamps of the pipeline's clock, which live elements take from the sensor.
"""

from __future__ import annotations

import fcntl
import io
import logging
import os
import shlex
import shutil
import socket
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import IO

import numpy as np

from edge import config
from edge.vision import image
from edge.vision.sources import gdp
from edge.vision.sources.gdp import Form
from edge.vision.sources.live import CameraLost, Picture
from edge.vision.values import Pixels

LAUNCH = "gst-launch-1.0"
_TAIL = "! videoconvert ! video/x-raw,format=I420 ! gdppay ! fdsink sync=false fd="
_FROM_LINK = "fdsrc fd=0 ! matroskademux ! decodebin"
_PIPE = 1 << 20  # bytes that the pipe holds: fewer switches between the processes a picture
_CONNECT = 2.0  # seconds
_log = logging.getLogger(__name__)


class GstCamera:
    """The camera that ``pipeline`` (in gst-launch's language, without a sink) delivers.

    With ``link``, a socket of the camera link, its encoded video is decoded here instead. ``interval`` is the time
    expected between two pictures, in seconds, until the pipeline states its own.
    """

    def __init__(self, pipeline: str = "", interval: float = 1 / 15, link: Path | None = None) -> None:
        self.name = f"the camera link {link}" if link else f"the pipeline {pipeline!r}"
        self.interval = interval
        self._pipeline = _FROM_LINK if link else pipeline
        self._link = link
        self._process: subprocess.Popen[bytes] | None = None
        self._complaints: IO[bytes] | None = None
        self._pictures: io.FileIO | None = None
        self._form: Form | None = None

    def open(self) -> None:
        program = shutil.which(LAUNCH)
        if program is None:
            raise CameraLost(f"{LAUNCH} is not installed, which {self.name} needs: apt install gstreamer1.0-tools.")
        self._form = None
        # GStreamer's words about its elements, in memory: a pipeline may be written so that pictures end up there
        self._complaints = os.fdopen(os.memfd_create("complaints"), "w+b")
        with self._input() as given:
            reading, writing = os.pipe()  # not its standard output: gst-launch talks there
            self._pictures = io.FileIO(reading)
            arguments = [program, "-q", *shlex.split(f"{self._pipeline} {_TAIL}{writing}")]
            try:
                self._process = subprocess.Popen(
                    arguments, stdin=given.fileno(), stdout=self._complaints, stderr=self._complaints,
                    pass_fds=[writing],
                )  # fmt: skip
            finally:
                os.close(writing)
        with suppress(OSError):  # more than the system allows an ordinary user: the default does too
            fcntl.fcntl(reading, fcntl.F_SETPIPE_SZ, _PIPE)

    def _input(self) -> socket.socket | IO[bytes]:
        if self._link is None:
            return Path(os.devnull).open("rb")
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(_CONNECT)
            link.connect(str(self._link))
            link.setblocking(True)
        except OSError as error:
            link.close()
            raise CameraLost(f"{self.name} does not answer: {error}. Is the process edge.link running?") from error
        return link

    def read(self) -> Picture | None:
        while True:
            try:
                message = gdp.read(self._take)
            except gdp.ProtocolError as error:
                raise CameraLost(f"{self.name} is of no use: {error}.") from error
            if isinstance(message, Form):
                self._form = message
                self.interval = 1 / message.fps if 0 < message.fps <= 1000 else self.interval
            elif message is not None:
                pixels = None if self._form is None else to_bgr(message.data, self._form)
                return None if pixels is None else Picture(pixels, message.stamp)

    def _take(self, count: int) -> bytearray:
        process, pictures = self._process, self._pictures
        if process is None or pictures is None:
            raise CameraLost(f"{self.name} was closed.")
        data = bytearray(count)
        view, got = memoryview(data), 0
        try:
            while got < count:
                more = pictures.readinto(view[got:])
                if not more:
                    raise CameraLost(f"{self.name} ended: {self._cause(process)}")
                got += more
        except (OSError, ValueError) as error:  # closed by another thread
            raise CameraLost(f"{self.name} was closed.") from error
        return data

    def _cause(self, process: subprocess.Popen[bytes]) -> str:
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.0)
        if self._complaints is None:
            return "no reason given"
        self._complaints.seek(0)
        lines = self._complaints.read(1 << 16).decode("utf-8", "replace").splitlines()
        told = [line.partition("ERROR: ")[2] or line for line in lines if "ERROR" in line or "erroneous" in line]
        return told[0][:300] if told else "the stream is over"

    def adjust(self, _: config.Camera) -> None:
        """Nothing: a pipeline sets its camera itself, a network camera has a switch of its own."""
        _log.info("%s sets exposure and gain by itself", self.name)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()  # the pipe breaks with it, so a reading thread ends by itself


def to_bgr(data: bytearray, form: Form) -> Pixels | None:
    """A picture's planes as BGR; None when there are not as many bytes as ``form`` says.

    A last odd row or column is left out.
    """
    if len(data) != form.size:
        return None
    (luma, chroma), rows = form.strides, (form.height + 1) // 2
    planes = np.frombuffer(data, np.uint8)
    width, height = form.width & ~1, form.height & ~1
    if luma == form.width and 2 * chroma == luma and height == form.height:
        return image.from_i420(planes.reshape(height * 3 // 2, width))
    edge = luma * 2 * rows
    y = planes[:edge].reshape(2 * rows, luma)[:height, :width]
    u = planes[edge : edge + chroma * rows].reshape(rows, chroma)[: height // 2, : width // 2]
    v = planes[edge + chroma * rows :].reshape(rows, chroma)[: height // 2, : width // 2]
    return image.from_i420(np.concatenate([part.reshape(-1) for part in (y, u, v)]).reshape(height * 3 // 2, width))
