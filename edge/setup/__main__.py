"""``python -m edge.setup``: the setup page of a camera. Uses the local link, never the camera.

::

    python -m edge.setup --folder /data/camera --label              makes what goes on the label, and prints it
    python -m edge.setup --folder /data/camera --label --onto FILE  the same with a new code alone, onto an empty FILE
    python -m edge.setup --folder /data/camera                      serves the page until the seal, or 15 minutes
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from functools import partial
from pathlib import Path

from edge import systemd
from edge.audit.postbox import post
from edge.enrol import client, procedure
from edge.errors import VidikError
from edge.secrecy import dump_no_core
from edge.setup import certificate, code, label, local, page, serve
from edge.setup.addresses import Addresses
from edge.setup.camera import Camera
from edge.setup.checks import Checks
from edge.setup.door import Door
from edge.setup.guard import Guard
from edge.setup.steps import SEALED, Steps
from edge.trial import Trial

AIM, EVENTS = "run/aim/socket", "events"  # in a camera's folder
_log = logging.getLogger("vidik.setup")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when setup mode is over, 2 after an error that a person has to mend."""
    given = _parser().parse_args(arguments)
    dump_no_core()
    systemd.log_to_journal("vidik-setup")
    try:
        return _label(given) if given.label else _serve(given)
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge.setup", description="The setup page of a camera.")
    parser.add_argument("--folder", type=Path, required=True, help="the camera's folder")
    parser.add_argument("--label", action="store_true", help="make code and certificate anew, and print the label")
    parser.add_argument("--onto", type=Path, help="with --label: the empty file for it; the certificate stays")
    parser.add_argument("--interface", action="append", help="a network interface to serve on; default: all but lo")
    parser.add_argument("--port", type=int, default=local.PORT)
    parser.add_argument("--aim", type=Path, help=f"the socket of edge.vision.aim; default: {AIM} in the folder")
    parser.add_argument("--events", type=Path, help=f"the audit log's postbox; default: {EVENTS} in the folder")
    parser.add_argument("--source", default="/dev/video0", help="the camera device, for a new configuration")
    return parser


def _label(given: argparse.Namespace) -> int:
    folder: Path = given.folder
    if given.onto is None:
        print(label.make(folder), end="")
    else:
        say = partial(_say, given.events or folder / EVENTS, "label-made", "for a file on a medium")
        print("A label was made." if label.onto(folder, given.onto, say) else "There is something in the file already.")
    return 0


def _serve(given: argparse.Namespace) -> int:
    folder: Path = given.folder
    if (folder / SEALED).exists():
        print("This camera is sealed: setup mode is over.", file=sys.stderr)
        return 0
    addresses = Addresses(partial(local.on, given.interface), given.port)
    code.checker(folder)  # a camera without a code says so before it listens
    door = Door(partial(code.check, folder), time.monotonic)  # a new label may be made meanwhile
    say = partial(_say, given.events or folder / EVENTS)
    camera = Camera(given.aim or folder / AIM)
    checks = Checks(folder, lambda: camera.look().measures, Trial(folder))
    steps = Steps(
        folder, camera, checks, lambda claim: procedure.enrol(folder, claim, client.by_claim, given.source), say
    )
    running = serve.Running(folder / certificate.CERTIFICATE, folder / certificate.KEY, lambda: door.left)
    guarded = Guard(page.application(steps, door, running.finish), addresses.places, given.port)
    addresses.follow()
    say("setup-began", addresses.hosts)
    try:
        running.run(guarded, addresses, lambda: _tell(addresses))
    finally:
        camera.close()
        say("setup-ended", "sealed" if (folder / SEALED).exists() else "not sealed")
    return 0


def _tell(addresses: Addresses) -> None:
    """Of the addresses that are served. Not to the audit log: whoever holds the cable could fill it with them."""
    _log.info("serves addresses=%s", addresses.hosts)
    systemd.notify("READY=1", f"STATUS=serves {addresses.hosts}")  # even without one: a cable may come


def _say(events: Path, state: str, reason: str) -> None:
    post(events, "provisioning", state=state, reason=reason)


if __name__ == "__main__":
    sys.exit(main())
