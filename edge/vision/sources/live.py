"""Cameras and streams: what delivers by itself, stalls, falls silent, and is opened again.

A thread reads the camera, so that one which hangs in its driver cannot stop the process. Only the newest picture is
kept: a pipeline that is slower than the camera drops pictures, and they are counted. When no good picture has come for
a number of intervals the camera is closed and opened again, at first soon, then after longer and longer rests.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

import numpy as np

from edge import config
from edge.errors import VidikError
from edge.vision import image
from edge.vision.night import Readings
from edge.vision.sources.base import Skip, Source
from edge.vision.values import Frame, Pixels

_STALL_INTERVALS = 30  # frame intervals without a picture after which a camera counts as stalled ...
_STALL_LEAST = 2.0  # ... but at least so many seconds
_OPENING = 8.0  # seconds that a camera may take from the start of opening to its first picture
_FIRST_REST, _LONGEST_REST = 0.25, 8.0  # seconds between two attempts
_LOOK = 0.2  # seconds: the longest wait without a look at what else is to be done
_JOIN = 1.0  # seconds that a reading thread has to notice that its camera was closed
_LAST_JOIN = 0.3  # and when nothing will be opened after it
_DRIFT = 2.0  # seconds by which sensor's and computer's clock may part before the sensor's is set anew
_STEP = 1e-4  # seconds: two pictures are never closer

_log = logging.getLogger(__name__)


class CameraLost(VidikError):
    """The camera does not open, or delivers no more. It will be tried again."""


class Picture(NamedTuple):
    """What a camera delivers: BGR ``pixels``; ``stamp``, seconds on the sensor's clock (None: it states none);
    ``half``, the same at half size, where the camera's hardware made it; ``readings``, how it was exposed."""

    pixels: Pixels
    stamp: float | None = None
    half: Pixels | None = None
    readings: Readings = Readings()


class Camera(Protocol):
    """One kind of camera. ``open`` and ``read`` run in one thread, ``close`` comes from another at any moment,
    any number of times, and makes ``read`` raise. After ``close`` it may be opened again."""

    name: str
    interval: float  # seconds between two pictures

    def open(self) -> None:
        """Starts the camera. Raises ``CameraLost``."""

    def read(self) -> Picture | None:
        """Waits for the next picture; None for one that is damaged. Raises ``CameraLost``."""

    def adjust(self, settings: config.Camera, /) -> None:
        """Sets exposure, gain and colour anew, from another thread at any moment, also while it is closed; shows in one
        of the next pictures. What the camera cannot do is logged and left."""

    def close(self) -> None: ...


class State(StrEnum):
    """How a camera is."""

    OPENING = "opening"
    RUNNING = "running"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Condition:
    """How a camera is since when (monotonic seconds), why, and how often it had to be opened again."""

    state: State
    cause: str
    since: float
    reopened: int


class _Reading:
    """One opening of a camera: a thread, the newest picture, and why it ended."""

    def __init__(self, camera: Camera, skipped: Callable[[Skip], None], clock: Callable[[], float]) -> None:
        self._camera, self._skipped, self._clock = camera, skipped, clock
        self._fresh = threading.Condition()
        self._newest: tuple[Picture, float] | None = None
        self._abandoned = False
        self.cause = ""
        self.began = self.good = clock()  # when the last good picture came
        self.any = False
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> tuple[Picture, float] | None:
        """The newest picture and when it came, None when there is none within ``timeout`` seconds."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._newest is not None or self.cause, timeout)
            taken, self._newest = self._newest, None
            return taken

    def end(self, patience: float = _JOIN) -> None:
        """Closes the camera. A thread that hangs in it for longer than ``patience`` is left behind; what it still
        delivers is ignored."""
        self._abandoned = True
        try:
            self._camera.close()
        except Exception:  # a driver in trouble throws anything; the camera is given up in any case
            _log.warning("closing %s failed", self._camera.name)
        self._thread.join(patience)

    @property
    def hangs(self) -> bool:
        """Whether the thread did not come back."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._camera.open()
            while not self._abandoned:
                self._put(self._camera.read())
        except Exception as error:  # whatever a driver throws, the camera is lost, and opening it again is the cure
            with self._fresh:
                self.cause = str(error) or type(error).__name__
                self._fresh.notify_all()

    def _put(self, picture: Picture | None) -> None:
        if self._abandoned:
            return
        if picture is None or not _sound(picture.pixels):
            self._skipped(Skip.CORRUPT)
            return
        with self._fresh:
            if self._newest is not None:
                self._skipped(Skip.DROPPED)
            self._newest = picture, self._clock()
            self.good, self.any = self._newest[1], True
            self._fresh.notify_all()


def _sound(pixels: Pixels) -> bool:
    return pixels.dtype == np.uint8 and pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size > 0


class LiveSource(Source):
    """Frames of ``camera``, for as long as nobody closes the source.

    Frame times follow the sensor's clock; after a new start they go on with the time that has passed meanwhile.
    ``idle`` is called several times a second while no frame comes. ``stall`` is after how many seconds without a
    picture the camera counts as stalled; by default 30 intervals, and at least 2 seconds.
    """

    def __init__(
        self, camera: Camera, wall_start: float = 0.0, idle: Callable[[], None] = lambda: None, *,
        clock: Callable[[], float] = time.monotonic, first_rest: float = _FIRST_REST, stall: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(wall_start)
        self._camera, self._idle, self._clock = camera, idle, clock
        self._first_rest = first_rest
        self._stall = max(_STALL_LEAST, _STALL_INTERVALS * camera.interval) if stall is None else stall
        self._began: float | None = None  # when the first frame came
        self._sensor: float | None = None  # what to add to the sensor's stamps
        self._last = -1.0
        self._reading: _Reading | None = None
        self.came: float | None = None  # when the picture of the latest frame came, on ``clock``
        self.readings = Readings()  # and how it was exposed
        self.condition = Condition(State.OPENING, "", clock(), 0)

    def __iter__(self) -> Iterator[Frame]:
        for pixels, elapsed in self._pictures():
            if self._closed:
                return
            index = self.delivered
            self.delivered += 1
            yield Frame(pixels, index, elapsed, self._wall_start + elapsed)

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        rest = self._first_rest
        while not self._closed:
            reading = self._reading  # closing, in a signal handler or another thread, takes it away at any moment
            if reading is None:
                self._sensor = None
                reading = self._reading = _Reading(self._camera, self._skip, self._clock)
            taken = reading.take(_LOOK)
            if taken is None:
                self._idle()
                cause = self._trouble(reading)
                if cause and not self._closed:
                    self._lose(reading, cause)
                    self._pause(rest)
                    rest = min(2 * rest, _LONGEST_REST)
                continue
            rest = self._first_rest
            self._turn(State.RUNNING, "")
            picture, came = taken
            self.came, self.readings = came, picture.readings
            if picture.half is not None:
                image.halves.put(picture.pixels, picture.half)
            yield picture.pixels, self._elapsed(picture.stamp, came)
        self.close()  # of a reading that was begun while it closed

    def _trouble(self, reading: _Reading) -> str:
        """Why ``reading`` has no future; nothing as long as it may have."""
        if reading.cause:
            return reading.cause
        now = self._clock()
        if not reading.any and now - reading.began > max(_OPENING, self._stall):
            return f"{self._camera.name} opened but delivered no picture"
        if reading.any and now - reading.good > self._stall:
            return f"{self._camera.name} stalled: no picture for {now - reading.good:.1f} s"
        return ""

    def _lose(self, reading: _Reading, cause: str) -> None:
        self._turn(State.LOST, cause)
        self._reading = None
        reading.end()
        if reading.hangs:
            _log.error("the driver of %s does not come back", self._camera.name)

    def _pause(self, seconds: float) -> None:
        until = self._clock() + seconds
        while not self._closed and (left := until - self._clock()) > 0:
            time.sleep(min(left, _LOOK))
            self._idle()

    def _turn(self, state: State, cause: str) -> None:
        before = self.condition
        if (state, cause) == (before.state, before.cause):
            return
        reopened = before.reopened + (before.state is State.RUNNING and state is State.LOST)
        self.condition = Condition(state, cause, self._clock(), reopened)
        if state is State.LOST:
            _log.error("camera lost: %s", cause)
        elif before.state is State.LOST:
            _log.warning("camera back: %s", self._camera.name)

    def _elapsed(self, stamp: float | None, came: float) -> float:
        """Time of a picture that came at ``came`` with the sensor's ``stamp``, since the first frame."""
        if self._began is None:
            self._began = came
        arrived = came - self._began
        if stamp is None:
            elapsed = arrived
        else:
            if self._sensor is None or abs(stamp + self._sensor - arrived) > _DRIFT:
                self._sensor = arrived - stamp
            elapsed = stamp + self._sensor
        self._last = max(elapsed, self._last + _STEP) if self._last >= 0 else elapsed
        return self._last

    def adjust(self, settings: config.Camera) -> bool:
        """Has the camera set exposure, gain and colour anew; false when that has to be tried again."""
        try:
            self._camera.adjust(settings)
        except Exception as error:  # a driver in trouble throws anything; if it is lost, that shows elsewhere
            _log.error("%s cannot be set: %s", self._camera.name, error)
            return False
        return True

    def _skip(self, why: Skip) -> None:
        self.skipped[why] += 1

    def close(self) -> None:
        super().close()
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.end(_LAST_JOIN)
