"""Raspberry Pi cameras through picamera2: the one place that imports it.

The image signal processor delivers two streams of every exposure: the main one, and one at half its size, which spares
the processor the first and dearest step of scaling for the detectors. Frame times are the sensor's own.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Any

import numpy as np

from edge import config
from edge.vision import image
from edge.vision.night import Readings
from edge.vision.sources.live import CameraLost, Picture
from edge.vision.values import Pixels

_BUFFERS = 4  # one in the pipeline, one waiting, two with the sensor
_LONGEST_WAIT = 2.0  # seconds for a picture: a closed or hung camera is noticed after that
_MANUAL, _CONTINUOUS = 0, 2  # AfMode in libcamera's controls
_CHOSEN, _FIXED = 0, 1  # modes of exposure and gain: by the camera, by us

_log = logging.getLogger(__name__)


class PiCamera:
    """Camera ``number`` of a Raspberry Pi. What the sensor or lens cannot do is logged and left."""

    def __init__(self, settings: config.Camera, number: int = 0) -> None:
        self.name = f"the Raspberry Pi camera {number}"
        self.interval = 1 / settings.fps
        self._settings, self._number = settings, number
        self._device: Any = None
        self._with_half = False
        self._format = ""

    def open(self) -> None:
        try:
            import picamera2  # noqa: PLC0415 - there only on a Raspberry Pi

            made = picamera2.Picamera2(self._number)
        except ImportError as error:
            raise CameraLost(f"{self.name} needs picamera2 ({error}): apt install python3-picamera2.") from error
        except (IndexError, RuntimeError) as error:
            raise CameraLost(f"{self.name} is not there: {error}. Check its ribbon cable.") from error
        self._device = made
        width, height = self._settings.width, self._settings.height
        half = width // 2, height // 2
        try:
            made.configure(
                made.create_video_configuration(
                    main={"size": (width, height), "format": "RGB888"},  # in memory that is B, G, R
                    lores={"size": half, "format": "YUV420"},
                    buffer_count=_BUFFERS, controls=self._controls(made.camera_controls),
                )
            )  # fmt: skip
            got = made.camera_configuration()
            self._format = got["main"]["format"]
            lores = got["lores"]
            self._with_half = lores is not None and tuple(lores["size"]) == half and lores["stride"] == half[0]
            made.start()
        except (RuntimeError, ValueError, KeyError) as error:
            raise CameraLost(f"{self.name} does not start: {error}.") from error

    def _controls(self, offered: Any, *, again: bool = False) -> dict[str, Any]:
        """The settings as libcamera's controls: fixed frame rate, and what the configuration fixes besides. ``again``:
        what others have fixed is to be given back."""
        every = round(1e6 * self.interval)
        wanted: dict[str, Any] = {"FrameDurationLimits": (every, every)}
        wanted |= light_controls(self._settings, offered, again=again)
        if self._settings.focus is not None:
            wanted |= {"AfMode": _MANUAL, "LensPosition": self._settings.focus}
        elif "AfMode" in offered:
            wanted |= {"AfMode": _CONTINUOUS}
        missing = sorted(set(wanted) - set(offered))
        if missing:
            _log.warning("%s does not offer %s", self.name, ", ".join(missing))
        return {name: value for name, value in wanted.items() if name in offered}

    def read(self) -> Picture | None:
        device = self._device
        if device is None:
            raise CameraLost(f"{self.name} was closed.")
        try:
            request = device.capture_request(wait=_LONGEST_WAIT)
        except (TimeoutError, RuntimeError) as error:
            raise CameraLost(f"{self.name} delivers nothing: {str(error) or 'no picture in time'}.") from error
        try:
            pixels = to_bgr(request.make_array("main"), self._format, self._settings.width, self._settings.height)
            told = request.get_metadata()
            half = self._half(request) if self._with_half else None
        finally:
            request.release()
        stamp = told.get("SensorTimestamp")
        readings = Readings(told.get("ExposureTime"), told.get("AnalogueGain"), told.get("Lux"))
        return None if pixels is None else Picture(pixels, None if stamp is None else stamp / 1e9, half, readings)

    def _half(self, request: Any) -> Pixels | None:
        width, height = self._settings.width // 2, self._settings.height // 2
        made = request.picam2.camera_configuration()["lores"]["format"]
        return to_bgr(request.make_array("lores"), made, width, height)

    def adjust(self, settings: config.Camera) -> None:
        self._settings = settings
        device = self._device
        if device is not None:  # otherwise it is opened with them
            device.set_controls(self._controls(device.camera_controls, again=True))

    def close(self) -> None:
        device, self._device = self._device, None
        if device is not None:
            with suppress(RuntimeError):  # one that is in trouble is given up in any case
                device.stop()
            device.close()


def light_controls(settings: config.Camera, offered: Any, *, again: bool) -> dict[str, Any]:
    """Exposure, gain and colour as libcamera's controls, of which the camera has those that are ``offered``.

    What is fixed leaves the other of exposure and gain to the camera. From libcamera 0.5 on each has a mode of its own;
    before, 0 gives it back.
    """
    wanted: dict[str, Any] = {}
    for value, control, mode, none in (
        (settings.exposure_us, "ExposureTime", "ExposureTimeMode", 0),
        (settings.gain, "AnalogueGain", "AnalogueGainMode", 0.0),
    ):
        if value is not None:
            wanted |= ({mode: _FIXED} if mode in offered else {}) | {control: value}
        elif again and control in offered:
            wanted |= {mode: _CHOSEN} if mode in offered else {control: none}
    if settings.monochrome:
        wanted |= {"Saturation": 0.0}
    elif again and "Saturation" in offered:
        wanted |= {"Saturation": 1.0}
    return wanted


def to_bgr(made: Any, form: str, width: int, height: int) -> Pixels | None:
    """What picamera2 made of a stream in the format ``form``, as BGR ``(height, width, 3)``.

    None when it is of another shape: the camera was set up anew under us. Raises ``CameraLost`` for a format that
    is not known.
    """
    if form in ("RGB888", "XRGB8888"):
        if made.shape[:2] != (height, width):
            return None
        return made if made.shape[2] == 3 else np.ascontiguousarray(made[..., :3])
    if form in ("NV12", "YUV420"):
        if made.ndim != 2 or made.shape[0] != height * 3 // 2 or made.shape[1] < width:
            return None
        if form == "NV12":
            return image.from_nv12(made[:, :width])
        return image.from_i420(made) if made.shape[1] == width else None
    raise CameraLost(f"The Raspberry Pi camera delivers {form}, which is not understood.")
