"""``python -m edge.update``: brings new images onto the unit. Uses network and data partition, never the camera.

::

    python -m edge.update pull --config CAMERA.toml            from a timer: asks the office, installs what it offers
    python -m edge.update stick --config CAMERA.toml PLACE     a bundle on a technician's stick, or the stick's folder
    python -m edge.update health --config CAMERA.toml          after every start: confirms the image, or gives it up
    python -m edge.update status --config CAMERA.toml          what runs, and how the last update stands
"""

from __future__ import annotations

import argparse
import logging
import secrets
import sys
import time
from pathlib import Path

from edge import config, durable, systemd
from edge.audit import postbox
from edge.enrol.errors import TryLater
from edge.enrol.patience import patiently
from edge.errors import VidikError
from edge.secrecy import dump_no_core
from edge.update import health, image, office, procedure, rauc, signs
from edge.update.state import Store
from edge.update.unit import BusyError, End, Unit

FOLDER, EVENTS = "update", "events"  # beside the configuration
_BOOT = "update.boot"  # in the folder of notices, which is in memory
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 120.0  # seconds between attempts
_CODES = {End.DONE: 0, End.REFUSED: 4, End.FAILED: 5, End.REBOOT: 10}
_log = logging.getLogger("vidik.update")


def main(arguments: list[str] | None = None) -> int:
    """Returns 0 when nothing more is to do, 2 after an error that a person has to mend, 3 when trying again later may
    help, 4 when a bundle was refused, 5 when RAUC could not install it, and 10 when the unit has to be started anew."""
    given = _parser().parse_args(arguments)
    dump_no_core()
    systemd.log_to_journal("vidik-update")
    try:
        unit = _unit(given)
        if given.command == "status":
            print(_status(unit))
            return 0
        end = _work(unit, given)
    except (TryLater, BusyError) as error:
        print(error, file=sys.stderr)
        return 3
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{end.value.capitalize()}.")
    return _CODES[end]


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", type=Path, required=True, help="the camera's configuration")
    common.add_argument("--image", type=Path, default=image.PLACE, help="what this image is; default %(default)s")
    common.add_argument("--system", type=Path, default=rauc.SYSTEM, help="RAUC's configuration; default %(default)s")
    parser = argparse.ArgumentParser(prog="python -m edge.update", description="Brings new images onto the unit.")
    commands = parser.add_subparsers(dest="command", required=True)
    pull = commands.add_parser("pull", parents=[common], help="ask the office, and install what it offers")
    pull.add_argument("--patience", type=float, default=600.0, help="seconds to go on trying; default 600")
    stick = commands.add_parser("stick", parents=[common], help="install a bundle from a technician's stick")
    stick.add_argument("place", type=Path, help="the bundle, or the folder where the stick is mounted")
    stick.add_argument("--again", action="store_true", help="also a bundle that failed here before")
    check = commands.add_parser("health", parents=[common], help="confirm the image that was started, or give it up")
    check.add_argument("--deadline", type=float, default=health.DEADLINE, help="seconds a new image has; default 900")
    commands.add_parser("status", parents=[common], help="say what runs, and how the last update stands")
    return parser


def _unit(given: argparse.Namespace) -> Unit:
    folder: Path = given.config.parent
    events = folder / EVENTS

    def note(state: str, version: str, reason: str) -> object:
        return postbox.post(events, "update", state=state, software=version, reason=reason)

    # a unit that is not enrolled has no configuration yet, and may be updated all the same
    notices = config.notices_of(given.config) if given.config.exists() else folder / "run" / "notices"
    return Unit(
        store=Store(folder / FOLDER), image=image.load(given.image), installer=rauc.Rauc(given.system),
        notices=notices, note=note, boot=_boot(notices), now=time.time,
    )  # fmt: skip


def _boot(notices: Path) -> str:
    """An id that is a new one after every start. The kernel has one too, which a locked down service does not see."""
    path = notices / _BOOT
    try:
        if not path.exists():
            durable.write(path, secrets.token_hex(16).encode(), mode=0o644)
        return path.read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise VidikError(f"{path} cannot be used: {error}. May this user write to the folder of notices?") from error


def _work(unit: Unit, given: argparse.Namespace) -> End:
    if given.command == "pull":
        return patiently(
            lambda: procedure.pull(unit, lambda: office.connect(given.config)), given.patience, _log,
            first=_FIRST_PAUSE, longest=_LONGEST_PAUSE,
        )  # fmt: skip
    if given.command == "stick":
        return procedure.stick(unit, given.place, given.again)
    return health.check(unit, lambda: signs.of(given.config, unit.notices, time.time()), given.deadline)


def _status(unit: Unit) -> str:
    state = unit.store.load()
    runs = f"{unit.image.version} for {unit.image.board}, {unit.image.channel}; lowest version {state.floor}"
    said = state.said
    lines = [f"Runs: {runs}", f"Update: {said.state}{f' ({said.cause})' if said.cause else ''}"]
    if state.pending is not None:
        lines.append(f"Under way: {state.pending.version}, {state.pending.stage}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
