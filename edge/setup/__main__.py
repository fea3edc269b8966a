"""``python -m edge.setup``: the setup page of a camera. Uses the local link, never the camera.

::

    python -m edge.setup --folder /data/camera label                        prints what goes on the label; once
    python -m edge.setup --folder /data/camera serve --interface eth0 --aim /run/vidik/aim --events /data/camera/events
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path

from edge import systemd
from edge.enrol import client, procedure
from edge.enrol.identity import CONFIG
from edge.errors import VidikError
from edge.secrecy import dump_no_core
from edge.setup import certificate, code, local, page, serve
from edge.setup.camera import Camera
from edge.setup.checks import Checks
from edge.setup.door import Door
from edge.setup.guard import Guard
from edge.setup.steps import SEALED, Steps


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when setup mode is over, 2 after an error that a person has to mend."""
    given = _parser().parse_args(arguments)
    dump_no_core()
    systemd.log_to_journal("vidik-setup")
    try:
        return _label(given.folder) if given.command == "label" else _serve(given)
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m edge.setup", description="The setup page of a camera.")
    parser.add_argument("--folder", type=Path, required=True, help="the camera's folder")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("label", help="make code and certificate anew, and print what goes on the label")
    serving = commands.add_parser("serve", help="serve the page until the camera is sealed, for fifteen minutes at most")
    serving.add_argument("--interface", required=True, help="the network interface of the local link")
    serving.add_argument("--port", type=int, default=443)
    serving.add_argument("--aim", type=Path, required=True, help="the socket of edge.vision.aim")
    serving.add_argument("--events", type=Path, required=True, help="the postbox of the audit log")
    serving.add_argument("--source", default="/dev/video0", help="the camera device, for a new configuration")
    return parser


def _label(folder: Path) -> int:
    print(f"code         {code.make(folder)}")
    print(f"certificate  {certificate.make(folder)}")
    return 0


def _serve(given: argparse.Namespace) -> int:
    folder: Path = given.folder
    if (folder / SEALED).exists():
        print("This camera is sealed: setup mode is over.", file=sys.stderr)
        return 0
    places = local.on(given.interface)
    door = Door(code.checker(folder), time.monotonic)
    say = partial(_say, given.events)
    camera = Camera(given.aim)
    checks = Checks(folder, lambda: camera.look().measures, trial_of(folder / CONFIG))
    steps = Steps(
        folder, camera, checks, lambda claim: procedure.enrol(folder, claim, client.by_claim, given.source), say
    )
    sockets = serve.listen(places, given.port)
    say("setup-began", given.interface)
    try:
        application = page.application(steps, door, lambda: running.finish())
        guarded = Guard(application, places, given.port)
        running = serve.Running(
            guarded, folder / certificate.CERTIFICATE, folder / certificate.KEY, lambda: door.left
        )
        systemd.notify("READY=1")
        running.run(sockets)
    finally:
        camera.close()
        say("setup-ended", "sealed" if (folder / SEALED).exists() else "not sealed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
