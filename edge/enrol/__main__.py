"""``python -m edge.enrol``: gets and renews the camera's identity. Uses the network, never the camera.

::

    python -m edge.enrol --folder DIR enrol CLAIM      the claim's text, or a file with it
    python -m edge.enrol --folder DIR renew            from a timer, once a day: does nothing until it is due
    python -m edge.enrol --folder DIR import MEDIA     what lies on media mounted in MEDIA: claim, configuration, grants
"""

from __future__ import annotations

import argparse
import logging
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from edge import systemd
from edge.audit.postbox import post
from edge.enrol import claim as claims
from edge.enrol import client, media, procedure
from edge.enrol.claim import Claim
from edge.enrol.errors import TryLater
from edge.enrol.patience import patiently
from edge.errors import VidikError
from edge.secrecy import dump_no_core

EVENTS = "events"  # the audit log's postbox, in a camera's folder
Result = TypeVar("Result")
_log = logging.getLogger("vidik.enrol")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, 2 after an error that a person has to mend, 3 when trying again later may help."""
    parser = argparse.ArgumentParser(prog="python -m edge.enrol", description="Gets and renews a camera's identity.")
    parser.add_argument("--folder", type=Path, required=True, help="the camera's folder, with its camera.toml")
    parser.add_argument("--patience", type=float, default=600.0, help="seconds to go on trying; default 600")
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("enrol", help="turn a claim into an identity")
    first.add_argument("claim", help="the claim's text, or a file with it")
    first.add_argument("--source", default="/dev/video0", help="the camera device, for a new configuration")
    first.add_argument(
        "--keys", choices=("auto", "file", "tpm"), default="auto", help="where the connection's key is; default auto"
    )
    commands.add_parser("renew", help="renew certificates that are due")
    commands.add_parser("refresh", help="ask the office anew who may open test reports")
    brought = commands.add_parser("import", help="take in what a technician brought, and seal the camera")
    brought.add_argument("media", type=Path, help="the folder in which boot partition and sticks are mounted")
    given = parser.parse_args(arguments)
    dump_no_core()
    systemd.log_to_journal("vidik-enrol")
    try:
        if given.command == "enrol":
            claim = _claim(given.claim)
            patiently(
                lambda: procedure.enrol(given.folder, claim, client.by_claim, given.source, where=given.keys),
                given.patience, _log,
            )  # fmt: skip
            print(f"This is {claim.camera} now.")
        elif given.command == "import":
            say = partial(_say, given.folder / EVENTS)
            news = patiently(
                lambda: media.take_in(given.folder, given.media, client.by_claim, say), given.patience, _log
            )
            print(f"News: {'; '.join(news) or 'none'}.")
        elif given.command == "refresh":
            names = patiently(lambda: procedure.refresh(given.folder, client.by_certificate), given.patience, _log)
            print(f"Test reports go to: {', '.join(names) or 'nobody'}.")
        else:
            now = datetime.now(UTC)
            patiently(lambda: procedure.renew(given.folder, now, client.by_certificate), given.patience, _log)
            print(f"Next renewal: {procedure.due(given.folder):%Y-%m-%d}.")
    except TryLater as error:
        print(error, file=sys.stderr)
        return 3
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _say(events: Path, state: str, reason: str) -> None:
    try:
        post(events, "provisioning", state=state, reason=reason)
    except VidikError as error:  # the camera shall come to life all the same
        _log.error("event-not-posted error=%s", error)


def _claim(given: str) -> Claim:
    return claims.parse(given) if given.startswith("vidik://") else claims.read(Path(given))


if __name__ == "__main__":
    sys.exit(main())
