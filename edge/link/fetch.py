"""Fetches one network camera's video with GStreamer. The camera link starts this under the system's Python, which has
GStreamer's bindings: ``python3 -I fetch.py HANDLE LATENCY_MS``, or ``--check`` to see whether all is installed.

The camera's address, which may hold a password, is the first line of the standard input: arguments and environment are
for every user of the machine to see. User and password go to GStreamer apart from the address, so that its messages
cannot repeat them. Matroska goes to HANDLE. When the standard input ends, so does this.
"""

from __future__ import annotations

import os
import sys
import threading
from urllib.parse import unquote, urlsplit

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst  # noqa: E402 - the version comes first

ELEMENTS = ("rtspsrc", "parsebin", "matroskamux", "fdsink")
_TIMEOUT_US = 5_000_000  # without an answer from the camera


def split(address: str) -> tuple[str, str, str]:
    """The address without user and password, the user and the password."""
    parts = urlsplit(address)
    who, _, host = parts.netloc.rpartition("@")
    user, _, password = who.partition(":")
    return parts._replace(netloc=host).geturl(), unquote(user), unquote(password)


def fetch(address: str, handle: int, latency: int) -> None:
    """Writes the video to ``handle``, and says why when it ends."""
    pipeline = Gst.parse_launch(
        f"rtspsrc name=camera latency={latency} protocols=tcp timeout={_TIMEOUT_US} tcp-timeout={_TIMEOUT_US} "
        "! application/x-rtp,media=video ! parsebin ! matroskamux streamable=true "
        f"! fdsink sync=false fd={handle}"
    )
    location, user, password = split(address)
    camera = pipeline.get_by_name("camera")
    camera.set_property("location", location)
    if user:
        camera.set_property("user-id", user)
        camera.set_property("user-pw", password)
    pipeline.set_state(Gst.State.PLAYING)
    awaited = Gst.MessageType.ERROR | Gst.MessageType.EOS
    message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, awaited)
    if message.type == Gst.MessageType.EOS:
        print("the stream is over", flush=True)
    else:
        error, detail = message.parse_error()
        print(error.message, *(detail or "").splitlines()[-1:], flush=True)
    os._exit(3)  # taking the pipeline down may hang in a camera that does not answer


def main() -> int:
    """1 when something is not installed, 3 when the video has ended."""
    Gst.init(None)
    missing = [name for name in ELEMENTS if Gst.ElementFactory.find(name) is None]
    if missing:
        print("GStreamer lacks", ", ".join(missing))
        return 1
    if sys.argv[1:] == ["--check"]:
        return 0
    address = sys.stdin.readline().rstrip("\n")

    def leave() -> None:
        sys.stdin.read()
        os._exit(0)  # the link is gone

    threading.Thread(target=leave, daemon=True).start()
    fetch(address, int(sys.argv[1]), int(sys.argv[2]))
    return 3


if __name__ == "__main__":
    sys.exit(main())
