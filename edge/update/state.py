"""What the camera remembers about its updates: one small file on the data partition, replaced in one step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge import durable
from edge.errors import VidikError
from edge.update.image import Text

FILE = "state.json"
Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="SHA-256 of the bundle, hex")]
Stage = Literal["installing", "installed", "rejected"]
Verdict = Literal["installed", "good", "failed", "refused"]
_MOST = 16  # failures and outcomes that are remembered
_MOST_CAUSE = 300  # characters


class StateError(VidikError):
    """What the camera remembers about its updates cannot be read or written."""


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An update under way. ``offer``: the office's number for it, None from a stick; ``home``: the slot that ran when
    it began; ``boot``: the boot id of that time; ``cause``: why it was rejected; ``rejections``: how often."""

    digest: Digest
    version: Text
    offer: int | None
    stage: Stage
    home: str
    boot: str
    cause: str = ""
    rejections: int = 0

    def but(self, **changes: object) -> Pending:
        """The same with ``changes``."""
        return msgspec.structs.replace(self, **changes)


class Failure(msgspec.Struct, frozen=True):
    """A bundle that is not tried again before the office offers it anew."""

    digest: Digest
    offer: int | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an offer, to be told to the office."""

    offer: int
    state: Verdict
    version: Text
    cause: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """The update state in public, as in ``notices/update.json``."""

    state: str = "current"
    version: str = ""
    slot: str = ""
    cause: str = ""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """``tries``: by digest, how often an installation was begun and not finished. ``home``: the slot that was confirmed
    last, empty before the first time; ``returns``: how often the unit was sent back there since it ran."""

    floor: Text = "0"
    pending: Pending | None = None
    failed: tuple[Failure, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    tries: dict[str, int] = {}
    home: str = ""
    returns: int = 0
    said: Said = Said()

    def but(self, **changes: object) -> State:
        """The same with ``changes``."""
        return msgspec.structs.replace(self, **changes)

    def failing(self, digest: str, offer: int | None) -> State:
        """The same, with a bundle among those that failed."""
        others = [one for one in self.failed if one.digest != digest]
        tries = {name: count for name, count in self.tries.items() if name != digest}
        return self.but(failed=(*others, Failure(digest, offer))[-_MOST:], tries=tries)

    def telling(self, offer: int | None, state: Verdict, version: str, cause: str = "") -> State:
        """The same, with an outcome that the office is to be told; nothing for what came from a stick."""
        if offer is None:
            return self
        told = Outcome(offer=offer, state=state, version=version, cause=cause[:_MOST_CAUSE])
        return self.but(outcomes=(*self.outcomes, told)[-_MOST:])


class Store:
    """The state in ``folder``, which belongs to the update process alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self) -> State:
        """What was kept last. A file that cannot be read is an error: it holds the floor. Raises ``StateError``."""
        try:
            return msgspec.json.decode((self.folder / FILE).read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise StateError(
                f"{self.folder / FILE} cannot be read: {error}. It keeps the lowest version that may be installed: "
                "check the data partition, and reset the camera if it stays so."
            ) from error

    def save(self, state: State) -> None:
        """Keeps ``state``; it is on the medium when this returns. Raises ``StateError``."""
        try:
            durable.write(self.folder / FILE, msgspec.json.encode(state))
        except OSError as error:
            raise StateError(f"{self.folder / FILE} cannot be written: {error}. Check the data partition.") from error
