"""``python -m edge.link --config camera.toml``: the camera link process."""

from __future__ import annotations

import argparse
import logging
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from edge import config
from edge.errors import VidikError
from edge.secrecy import dump_no_core

_LAUNCH = "gst-launch-1.0"
_PACKAGES = "gstreamer1.0-tools gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
_WAIT_MS = 500
_TIMEOUT_US = 5_000_000  # without an answer from the camera

_log = logging.getLogger("vidik.link")


class LinkError(VidikError):
    """The link cannot run."""


class Link:
    """Serves one reader at a time: a new one takes the place of the one before, whose end may be unknown yet."""

    def __init__(self, settings: config.Link) -> None:
        program = shutil.which(_LAUNCH)
        if program is None:
            raise LinkError(f"The camera link needs {_LAUNCH}: apt install {_PACKAGES}.")
        self._command = [
            program, "-q", "rtspsrc", f"location={settings.url}", f"latency={settings.latency_ms}", "protocols=tcp",
            f"timeout={_TIMEOUT_US}", f"tcp-timeout={_TIMEOUT_US}", "!", "application/x-rtp,media=video",
            "!", "parsebin", "!", "matroskamux", "streamable=true", "!", "fdsink", "sync=false",
        ]  # fmt: skip
        self._listening = _listen(settings.socket)
        self._path = settings.socket
        self._reader: socket.socket | None = None
        self._fetching: subprocess.Popen[bytes] | None = None

    def step(self) -> None:
        """Waits for something to happen, at most half a second, and deals with it."""
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        if self._reader is not None:
            poll.register(self._reader, 0)  # its end is always told
        for handle, _ in poll.poll(_WAIT_MS):
            if handle == self._listening.fileno():
                self._accept()
            else:
                self._stop("the reader left")
        if self._fetching is not None and self._fetching.poll() is not None:
            self._stop(f"the camera ended or does not answer (exit code {self._fetching.returncode})")

    def _accept(self) -> None:
        reader, _ = self._listening.accept()
        self._stop("another reader came")
        reader.shutdown(socket.SHUT_RD)  # whatever it writes goes nowhere: pictures only flow one way
        self._reader = reader
        # not its standard output: gst-launch talks there
        self._fetching = subprocess.Popen(
            [*self._command, f"fd={reader.fileno()}"], stdin=subprocess.DEVNULL, stdout=sys.stderr,
            pass_fds=[reader.fileno()],
        )  # fmt: skip
        _log.info("fetching")

    def _stop(self, why: str) -> None:
        if self._fetching is not None:
            _log.info("stopped: %s", why)
            self._fetching.kill()
            self._fetching.wait()
        if self._reader is not None:
            self._reader.close()
        self._fetching = self._reader = None

    def close(self) -> None:
        self._stop("the link ends")
        self._listening.close()
        self._path.unlink(missing_ok=True)


def _listen(path: Path) -> socket.socket:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise LinkError(f"{path} is in the way of the camera link's socket. Remove it.")
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o117)  # for the user and the group that vision is in
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        listening.bind(str(path))
    except OSError as error:
        listening.close()
        raise LinkError(f"The camera link's socket {path} cannot be made: {error}. Check the folder.") from error
    finally:
        os.umask(mask)
    listening.listen(1)
    return listening


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="edge.link", description="Brings a network camera's video to vision.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's configuration, with a table [link]")
    path: Path = parser.parse_args(arguments).config
    dump_no_core()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s link %(message)s")
    stopping = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    try:
        link = Link(config.load(path, config.Link))
    except VidikError as error:
        print(f"The camera link cannot run. {error}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        while not stopping:
            link.step()
    finally:
        link.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
