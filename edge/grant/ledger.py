"""What a camera must remember about grants for ever: which serials it has seen, and which are spent or revoked.

One JSON file, replaced as a whole. Without it an old grant could be played back over a newer or a revoked one.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge import durable
from edge.errors import VidikError
from edge.grant.document import Grant, Id, Revocation
from edge.grant.signed import GrantError

_log = logging.getLogger(__name__)
MOST = 4096  # grant ids, over the life of a camera


class Over(GrantError):
    """A grant that was in order once, and can never be in force again."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One grant id: the highest serial accepted and the digest of its content; whether that one is over
    (``spent``); and the highest serial revoked."""

    serial: int = 0
    digest: str = ""
    function: str = ""
    spent: bool = False
    revoked: int = 0


_Entries = dict[Id, Entry]
_Bounded = Annotated[_Entries, Meta(max_length=MOST)]


class NotKeptError(VidikError):
    """Something counts, but cannot be written down now: it is left where it lies and tried again."""


class Ledger:
    """The record in the file ``path``. Raises ``VidikError`` when it cannot be read.

    What takes a permission away counts at once, even when the file cannot be written: then ``kept`` is false until
    ``settle`` has written it. What gives one counts only when it is written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.kept = True
        try:
            self._entries = msgspec.json.decode(path.read_bytes(), type=_Bounded)
        except FileNotFoundError:
            self._entries = {}
        except (OSError, ValueError, RecursionError, msgspec.MsgspecError) as error:
            raise VidikError(
                f"The record of grants {path} cannot be read: {error}. Provision the camera again: without the record "
                "old grants could return."
            ) from error

    def holds(self, grant: Grant, digest: str) -> bool:
        """Whether exactly this grant was accepted before and is not over. False when it is new and may be
        accepted. Raises ``GrantError`` with the reason why it may not; ``Over`` when it never may again."""
        entry = self._entries.get(grant.id, Entry())
        known = f"Grant {grant.id} with serial {grant.serial}"
        if grant.serial <= entry.revoked:
            raise Over(f"{known} was revoked. A new one needs a higher serial.")
        if grant.serial < entry.serial:
            raise Over(f"{known} is older than the one with serial {entry.serial}, which took its place.")
        if entry.function and entry.function != grant.function:
            raise GrantError(f"{known} is about {grant.function}, but this id is of a grant for {entry.function}.")
        if grant.serial > entry.serial:
            return False
        if entry.digest != digest:
            raise GrantError(f"{known} says something else than the one accepted before. Raise the serial.")
        if entry.spent:
            raise Over(f"{known} is over. A new one needs a higher serial.")
        return True

    def accept(self, grant: Grant, digest: str) -> None:
        """Notes that ``grant`` is the newest of its id. On the medium when this returns. Raises ``NotKeptError``, and
        then nothing is noted."""
        known = self._entries.get(grant.id, Entry())
        before = self._entries
        self._put(grant.id, Entry(grant.serial, digest, grant.function, revoked=known.revoked))
        try:
            self._write()
        except NotKeptError:
            self._entries = before
            raise

    def spend(self, grant: Grant) -> None:
        """Notes that ``grant`` is over, so that it stays so whatever the clock says later."""
        known = self._entries.get(grant.id)
        if known is not None and known.serial == grant.serial:
            self._put(grant.id, msgspec.structs.replace(known, spent=True))
            self.settle()

    def revoke(self, revocation: Revocation) -> bool:
        """Notes ``revocation``; False when it says nothing new."""
        known = self._entries.get(revocation.grant, Entry())
        if revocation.serial <= known.revoked:
            return False
        self._put(revocation.grant, msgspec.structs.replace(known, revoked=revocation.serial))
        self.settle()
        return True

    def settle(self) -> None:
        """Writes down what was taken away; ``kept`` says whether that worked."""
        try:
            self._write()
        except NotKeptError as error:
            if self.kept:
                _log.error("%s", error)
            self.kept = False

    def _put(self, grant: str, entry: Entry) -> None:
        entries = {**self._entries, grant: entry}
        if len(entries) > MOST:
            raise GrantError(f"The record of grants is full with {MOST} ids. Use an id again, with a higher serial.")
        self._entries = entries

    def _write(self) -> None:
        try:
            durable.write(self._path, msgspec.json.encode(self._entries))
        except OSError as error:
            raise NotKeptError(f"The record of grants {self._path} cannot be kept: {error}. Check the disk.") from error
        self.kept = True
