"""The command ``vidik``. Each subcommand is imported only when it is asked for, so that a machine that lacks
its parts (a camera has no lab, a subscriber has no models) still has the others."""

from __future__ import annotations

import importlib
import sys
from typing import NamedTuple

from edge.errors import VidikError


class Command(NamedTuple):
    """Where a subcommand lives: a module with a Typer ``app``, and the extra that brings what it needs."""

    module: str
    extra: str
    help: str


COMMANDS = {
    "listen": Command("edge.listen.cli", "listen", "Receive reports: verify, open, show."),
    "provision": Command("provisioning.office.cli", "office", "A deployment: cameras, claims, certificates, brokers."),
    "grant": Command("provisioning.grant_cli", "office", "Make, sign, inspect, verify and revoke grants. Offline."),
    "send": Command("provisioning.send_cli", "listen", "Hand signed grants and revocations to cameras, by the broker."),
    "card": Command("provisioning.card_cli", "office", "Check a camera's public card; make its page and its sticker."),
    "audit": Command("provisioning.audit_cli", "office", "Check and show a camera's audit log."),
    "read": Command("models.lab.read", "lab", "Read the plates in pictures."),
    "faces": Command("models.lab.faces", "lab", "Find the faces in pictures and embed them."),
    "view": Command("models.lab.view", "lab", "Draw what the camera sees into a video or picture sheet."),
    "lab": Command("models.lab.cli", "lab", "Measure the models on labelled pictures."),
    "demo": Command("provisioning.demo.cli", "demo", "Run a whole throwaway deployment: broker, camera, subscriber."),
}


def main() -> None:
    """Runs the subcommand named on the command line. Exit code 2 with one clear paragraph for what went wrong."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview())
        return
    name, *rest = arguments
    command = COMMANDS.get(name)
    if command is None:
        sys.exit(f"There is no command {name!r}.\n\n{_overview()}")
    try:
        _run(name, command, rest)
    except VidikError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _run(name: str, command: Command, arguments: list[str]) -> None:
    try:
        module = importlib.import_module(command.module)
    except ModuleNotFoundError as error:
        raise VidikError(
            f"vidik {name} needs the module {error.name}, which is not installed here. "
            f"Install the extra it belongs to: pip install 'vidik[{command.extra}]'."
        ) from error
    module.app(arguments, prog_name=f"vidik {name}")


def _overview() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [f"  {name:<{width}}{command.help}" for name, command in COMMANDS.items()]
    return "\n".join(["Usage: vidik COMMAND [OPTIONS]", "", *lines, "", "vidik COMMAND --help says more."])
