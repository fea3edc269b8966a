"""One look through the camera: the newest frame, masked, encoded, measured."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from statistics import median

from edge.aiming import LARGEST_PICTURE, Answer, Measures
from edge.errors import VidikError
from edge.geometry import Point
from edge.vision import image
from edge.vision.aim import barcode, meters
from edge.vision.aim.mask import Masking
from edge.vision.sources import FrameSource
from edge.vision.values import Frame, Masked

_QUALITIES = (72, 50, 30)  # of JPEG: the first that fits what the page takes
_TILTS = 9  # frames over which the tilt is steadied
_WAIT = 3.0  # seconds for a frame
_AGAIN = 1.0  # seconds until a source that failed is opened again
_LEAVE = 3.0  # seconds for the thread to end
_SOON = 0.1  # and one that came to its end

Encode = Callable[[Masked, int], bytes]
Open = Callable[[], FrameSource]


@dataclass(frozen=True, slots=True)
class Machine:
    """What runs the models, how many passed their self-test, and what is wrong."""

    accelerator: str = "cpu"
    tested: int = 0
    faults: tuple[str, ...] = ()


@dataclass(slots=True)
class Eye:
    """Answers the page's questions. ``masking`` None: the models do not work, so nothing can be shown at all."""

    frames: Newest
    masking: Masking | None
    privacy: Callable[[], Sequence[Sequence[Point]]]
    machine: Callable[[], Machine]
    encode: Encode = image.jpeg
    _plates: meters.PlateMeter = field(default_factory=meters.PlateMeter)
    _tilts: deque[float] = field(default_factory=lambda: deque(maxlen=_TILTS))

    def look(self, scan: bool) -> Answer:
        """What is to be seen now, and, with ``scan``, the text of a QR code that is held before the camera."""
        machine = self.machine()
        known = Measures(accelerator=machine.accelerator, tested=machine.tested, faults=machine.faults)
        if self.masking is None:
            return _without(known, "the models that find faces and plates do not work, so no picture is shown")
        frame = self.frames.take(_WAIT)
        if frame is None:
            return _without(known, self.frames.trouble or "the camera has sent no picture yet")
        try:
            privacy = self.privacy()
        except VidikError as error:  # a zone that is not known must not be shown
            return _without(known, str(error))
        shown = self.masking(frame, privacy)
        widths = self._plates.update(frame, shown.found)
        grey = image.grey(frame.pixels)
        tilt = meters.tilt(grey)
        if tilt is not None:
            self._tilts.append(tilt)
        measures = Measures(
            width=frame.width, height=frame.height, focus=round(meters.focus(grey), 1), plates=widths.sightings,
            widest=round(widths.widest, 1), median=round(widths.median, 1),
            tilt=round(median(self._tilts), 1) if self._tilts else None, masked=len(shown.found),
            claim=barcode.claim_text(grey) if scan else "", accelerator=machine.accelerator,
            tested=machine.tested, faults=machine.faults,
        )  # fmt: skip
        return Answer(measures, self._encoded(shown.picture))

    def _encoded(self, picture: Masked) -> bytes:
        for quality in _QUALITIES:
            encoded = self.encode(picture, quality)
            if len(encoded) <= LARGEST_PICTURE:
                return encoded
        return b""


class Newest:
    """Reads a source in a thread of its own and keeps only the newest frame; a file begins anew when it ends.

    ``name`` says which source should be open: when it says another, that one is opened. ``trouble``: why there is no
    frame, if that is known.
    """

    def __init__(self, open_source: Open, name: Callable[[], str] = str) -> None:
        self.trouble = ""
        self._open, self._name = open_source, name
        self._fresh = threading.Condition()
        self._frame: Frame | None = None
        self._source: FrameSource | None = None
        self._ending = threading.Event()
        self._offset = 0.0
        self._thread = threading.Thread(target=self._run, name="frames", daemon=True)
        self._thread.start()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, each only once; None when there is none within ``timeout`` seconds."""
        with self._fresh:
            self._fresh.wait_for(lambda: self._frame is not None, timeout)
            taken, self._frame = self._frame, None
            return taken

    def close(self) -> None:
        self._ending.set()
        self._thread.join(_LEAVE)
        if self._thread.is_alive() and self._source is not None:
            self._source.close()  # a camera that shows nothing; a file must not be closed while it is read
            self._thread.join(_LEAVE)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                name = self._name()
                with self._open() as source:
                    self._source = source
                    self._read(source, name)
            except VidikError as error:
                self.trouble = str(error)[:500]
            self._ending.wait(_AGAIN if self.trouble else _SOON)

    def _read(self, source: FrameSource, name: str) -> None:
        last = None
        for frame in source:
            if self._ending.is_set() or self._name() != name:
                break
            last = frame.monotonic + self._offset
            # a copy, since sources fill the next frame into the same memory: what is masked must be what is shown
            kept = replace(frame, pixels=frame.pixels.copy(), monotonic=last)
            with self._fresh:
                self._frame = kept
                self._fresh.notify()
            self.trouble = ""
        if last is None and not self._ending.is_set():
            self.trouble = "the source has no picture in it"
        elif last is not None:
            self._offset = last + _AGAIN  # time goes on when a file begins anew


def _without(known: Measures, trouble: str) -> Answer:
    return Answer(
        Measures(
            trouble=trouble[:500], accelerator=known.accelerator, tested=known.tested, faults=known.faults
        ), b"",
    )  # fmt: skip
