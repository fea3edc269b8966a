"""``python -m edge.link --config camera.toml``: the camera link process."""

from __future__ import annotations

import argparse
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType

from edge import config, sockets, systemd
from edge.errors import VidikError
from edge.link.discreet import Discreet
from edge.secrecy import dump_no_core

_FETCH = ["/usr/bin/python3", "-I", str(Path(__file__).with_name("fetch.py"))]  # the Python that has the bindings
_PACKAGES = "python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
_WAIT_MS = 500
_CHECK = 30.0  # seconds
_MOST_LINES = 20  # that one fetching may say
_AT_ONCE = 4096  # bytes
_PULSE_SECONDS = 1.0  # the service manager hears this often that the link works

_log = logging.getLogger("vidik.link")


class LinkError(VidikError):
    """The link cannot run."""


class Link:
    """Serves one reader at a time: a new one takes the place of the one before, whose end may be unknown yet."""

    def __init__(self, settings: config.Link) -> None:
        _check()
        self._settings = settings
        self._discreet = Discreet(settings.url)
        self._listening = sockets.listen(settings.socket, "the camera link")
        self._path = settings.socket
        self._reader: socket.socket | None = None
        self._fetching: subprocess.Popen[bytes] | None = None
        self._said = b""
        self._lines = 0

    @property
    def words(self) -> str:
        """What it does, for people."""
        return "waiting for the vision process" if self._fetching is None else "fetching"

    def step(self) -> None:
        """Waits for something to happen, at most half a second, and deals with it."""
        poll = select.poll()
        poll.register(self._listening, select.POLLIN)
        said = None if self._fetching is None else self._fetching.stdout
        if said is not None and not said.closed:
            poll.register(said, select.POLLIN)
        if self._reader is not None:
            poll.register(self._reader, 0)  # its end is always told
        for handle, _ in poll.poll(_WAIT_MS):
            if handle == self._listening.fileno():
                self._accept()
            elif self._reader is not None and handle == self._reader.fileno():
                self._stop("the reader left")
            elif self._fetching is not None:
                self._hear(self._fetching)
        if self._fetching is not None and self._fetching.poll() is not None:
            self._hear(self._fetching)
            self._stop(f"the camera ended or does not answer (exit code {self._fetching.returncode})")

    def _accept(self) -> None:
        reader, _ = self._listening.accept()
        self._stop("another reader came")
        reader.shutdown(socket.SHUT_RD)  # whatever it writes goes nowhere: pictures only flow one way
        self._reader, self._said, self._lines = reader, b"", 0
        fetching = self._fetching = subprocess.Popen(
            [*_FETCH, str(reader.fileno()), str(self._settings.latency_ms)], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=[reader.fileno()], env=_environment(),
        )  # fmt: skip
        assert fetching.stdin is not None
        assert fetching.stdout is not None
        os.set_blocking(fetching.stdout.fileno(), False)
        with suppress(BrokenPipeError):  # it has ended already: that is found out in the next step
            fetching.stdin.write(self._settings.url.encode() + b"\n")
            fetching.stdin.flush()
        _log.info("fetching")

    def _hear(self, fetching: subprocess.Popen[bytes]) -> None:
        """Logs what GStreamer says, without the camera's password."""
        assert fetching.stdout is not None
        if fetching.stdout.closed:
            return
        said = fetching.stdout.read(_AT_ONCE)  # None: nothing just now
        if said == b"":
            fetching.stdout.close()  # its end would wake us for ever
        *lines, self._said = (self._said[-_AT_ONCE:] + (said or b"")).split(b"\n")
        for line in lines:
            self._lines += 1
            if self._lines <= _MOST_LINES and line.strip():
                _log.warning("camera: %s", self._discreet(line.decode("utf-8", "replace")))

    def _stop(self, why: str) -> None:
        fetching, self._fetching = self._fetching, None
        if fetching is not None:
            _log.info("stopped: %s", why)
            fetching.kill()
            fetching.wait()
            for pipe in (fetching.stdin, fetching.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
        if self._reader is not None:
            self._reader.close()
        self._reader = None

    def close(self) -> None:
        self._stop("the link ends")
        self._listening.close()
        self._path.unlink(missing_ok=True)


def _check() -> None:
    try:
        done = subprocess.run(
            [*_FETCH, "--check"], capture_output=True, check=False, timeout=_CHECK, env=_environment(), text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LinkError(f"The camera link's helper cannot run: {error}. Install {_PACKAGES}.") from error
    if done.returncode:
        cause = (done.stdout + done.stderr).strip().splitlines()[-1:]
        raise LinkError(f"The camera link needs GStreamer: apt install {_PACKAGES}. {' '.join(cause)}")


def _environment() -> dict[str, str]:
    """This process's, without what has GStreamer write more than it should, or speak to the service manager."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("GST_DEBUG", "NOTIFY_"))}


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="edge.link", description="Brings a network camera's video to vision.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's configuration, with a table [link]")
    path: Path = parser.parse_args(arguments).config
    dump_no_core()
    systemd.log_to_journal("vidik-link")
    stopping = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    try:
        link = Link(config.load(path, config.Link))
    except VidikError as error:
        print(f"The camera link cannot run. {error}", file=sys.stderr)
        systemd.notify(f"STATUS={error}")
        return 2
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    systemd.notify("READY=1")
    told = float("-inf")
    try:
        while not stopping:
            link.step()
            if time.monotonic() - told >= _PULSE_SECONDS:
                told = time.monotonic()
                systemd.notify("WATCHDOG=1", f"STATUS={link.words}")
        systemd.notify("STOPPING=1")
    finally:
        link.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
