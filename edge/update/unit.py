"""The unit that is being updated: its image, slots, memory and voice, as the procedures see them."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec

from edge import durable
from edge.errors import VidikError
from edge.update.image import Image
from edge.update.slots import Installer, RaucError
from edge.update.state import Said, State, Store

FILE = "update.json"  # in the folder of notices
_LOCK = "lock"
_log = logging.getLogger("vidik.update")


class End(Enum):
    """How a procedure ended."""

    DONE = "nothing more to do"
    REFUSED = "a bundle was refused"
    FAILED = "a bundle could not be installed"
    REBOOT = "the unit has to be started anew"


class BusyError(VidikError):
    """Another update program is at work."""


@dataclass(frozen=True, slots=True)
class Unit:
    """``note``: puts state, version and reason on record in the audit log, and raises ``VidikError`` when it cannot.
    ``boot``: the boot id, a new one after every start. ``now``: seconds since the epoch, UTC."""

    store: Store
    image: Image
    installer: Installer
    notices: Path
    note: Callable[[str, str, str], object]
    boot: str
    now: Callable[[], float]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other update program is at work meanwhile. Raises ``BusyError``, or ``VidikError``."""
        try:
            durable.make_folder(self.store.folder)
            handle = os.open(self.store.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise VidikError(f"{self.store.folder} cannot be used: {error}. Check the data partition.") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise BusyError("Another update program is at work. Wait until it has ended.") from error
        try:
            yield
        finally:
            os.close(handle)

    def record(self, state: str, version: str, reason: str) -> None:
        """As ``note``, but a record that cannot be kept is for the log only: what happened has happened."""
        _log.info("update %s version=%s %s", state, version, reason)
        try:
            self.note(state, version, reason)
        except VidikError as error:
            _log.error("update-not-on-record state=%s error=%s", state, error)

    def said(self, state: str, cause: str = "") -> Said:
        """The public statement: what runs, where, and how the last update stands."""
        try:
            slot = self.installer.slots().booted
        except RaucError:
            slot = ""
        return Said(state=state, version=self.image.version, slot=slot, cause=cause)

    def keep(self, state: State, say: Said) -> State:
        """Puts ``state`` on the medium, and states ``say`` in public."""
        kept = state.but(said=say)
        self.store.save(kept)
        self.say(say)
        return kept

    def say(self, said: Said) -> None:
        """Writes the public statement; a folder that cannot be written to is for the log only."""
        content = json.dumps(msgspec.to_builtins(said), ensure_ascii=False).encode()
        try:
            durable.write(self.notices / FILE, content, mode=0o644)
        except OSError as error:
            _log.error("update-not-stated error=%s", error)
