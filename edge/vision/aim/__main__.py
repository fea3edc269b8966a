"""``python -m edge.vision.aim``: setup mode's camera. It opens no network connection and writes no file.

::

    python -m edge.vision.aim --folder /data/camera [--socket FILE] [--source /dev/video0]

``--source`` is the camera before there is a configuration; afterwards the configuration's counts.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from edge import config, systemd
from edge.errors import VidikError
from edge.geometry import Point
from edge.secrecy import dump_no_core
from edge.vision import build, sources
from edge.vision.accelerate import Accelerators
from edge.vision.aim.eye import Eye, Machine, Newest
from edge.vision.aim.mask import FAINT, Mask
from edge.vision.aim.server import Server
from edge.vision.face_detector import FaceDetector
from edge.vision.plate_detector import PlateDetector
from edge.vision.runtime import ModelError, manifest, models_dir
from edge.vision.values import Kind

CONFIG, SEALED, SOCKET = "camera.toml", "sealed", "run/aim/socket"  # in a camera's folder
_log = logging.getLogger("vidik.aim")


class Settings:
    """What the camera's configuration says now; ``source`` before there is one."""

    def __init__(self, folder: Path, source: str) -> None:
        self._path, self._source = folder / CONFIG, source
        self._stamp: tuple[int, int] | None = None
        self._read: config.Vision | None = None

    def __call__(self) -> config.Vision | None:
        """Raises ``ConfigError`` for a configuration that is not one."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        stamp = found.st_mtime_ns, found.st_ino
        if stamp != self._stamp:
            self._read, self._stamp = config.load(self._path, config.Vision), stamp
        return self._read

    def privacy(self) -> Sequence[Sequence[Point]]:
        """The zones that nobody may see. Raises ``ConfigError``: then nobody may see anything."""
        settings = self()
        return () if settings is None else settings.privacy

    def name(self) -> str:
        """Of the source. Raises ``ConfigError``."""
        settings = self()
        return self._source if settings is None else settings.source

    def source(self) -> sources.FrameSource:
        """The camera, opened; a file is held back to real time. Raises ``VidikError``."""
        settings = self()
        lens = config.Camera() if settings is None else settings.lens
        return sources.open_source(self.name(), pace=True, camera=lens)


def machine(settings: config.Accelerator, accelerators: Accelerators | None, tested: int, fault: str) -> Machine:
    """How the models fare at this moment."""
    faults = [fault] if fault else []
    if accelerators is not None:
        faults += accelerators.troubles()
    return Machine(settings.kind, tested, tuple(one[:500] for one in faults[:8]))


def main(arguments: list[str] | None = None) -> int:
    """Runs until the camera is sealed, setup mode is over, or SIGTERM. Returns 0, or 2 after an error to mend."""
    parser = argparse.ArgumentParser(prog="python -m edge.vision.aim", description="Setup mode's camera.")
    parser.add_argument("--folder", type=Path, required=True, help="the camera's folder")
    parser.add_argument("--socket", type=Path, help=f"where the setup page asks; default: {SOCKET} in the folder")
    parser.add_argument("--source", default="/dev/video0", help="the camera before there is a configuration")
    given = parser.parse_args(arguments)
    dump_no_core()
    systemd.log_to_journal("vidik-aim")
    if (given.folder / SEALED).exists():
        print("This camera is sealed: setup mode is over.", file=sys.stderr)
        return 0
    try:
        return _serve(given.folder, given.socket or given.folder / SOCKET, Settings(given.folder, given.source))
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2


def _serve(folder: Path, path: Path, settings: Settings) -> int:
    known = settings()
    accelerator = config.Accelerator() if known is None else known.accelerator
    accelerators, masking, fault = None, None, ""
    try:
        accelerators = build.accelerate(accelerator)
        build.describe()  # reader and embedder are not used here, but their self-test is
        plates = PlateDetector(FAINT[Kind.PLATE])
        masking = Mask({Kind.PLATE: plates, Kind.FACE: FaceDetector(FAINT[Kind.FACE])})
    except ModelError as error:
        fault = str(error)
        _log.error("no picture can be shown: %s", error)
    tested = 0 if fault else len(manifest(models_dir()))
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    frames = Newest(settings.source, settings.name)
    eye = Eye(frames, masking, settings.privacy, lambda: machine(accelerator, accelerators, tested, fault))
    server = Server(path, eye.look, lambda: stopping or (folder / SEALED).exists())
    _log.info("aiming")
    try:
        why = server.run()
        _log.info("ended: %s", "told to stop" if stopping else why)
    finally:
        server.close()
        frames.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
