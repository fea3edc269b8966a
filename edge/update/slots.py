"""What the camera asks of RAUC, whatever is in between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography import x509

from edge.errors import VidikError


class RaucError(VidikError):
    """RAUC did not do what it was asked to."""


@dataclass(frozen=True, slots=True)
class Slots:
    """The two places for a root file system. ``booted``: the one that runs now; ``primary``: the one to be started
    next; ``good``: by slot, whether the boot loader would start it."""

    booted: str
    primary: str | None
    good: Mapping[str, bool]

    def other_is_good(self) -> bool:
        """Whether there is a slot to fall back to."""
        return any(good for name, good in self.good.items() if name != self.booted)


class Installer(Protocol):
    """RAUC. Methods raise ``RaucError``."""

    def keyring(self) -> Sequence[x509.Certificate]:
        """The CAs whose signatures count."""

    def verify(self, bundle: Path) -> None:
        """Raises ``BundleError`` unless the signature of ``bundle`` holds and leads to the keyring."""

    def install(self, bundle: Path) -> None:
        """Writes ``bundle`` into the slot that does not run, and makes it the one to be started next."""

    def slots(self) -> Slots: ...

    def mark_good(self) -> None:
        """The running slot is to be started from now on."""

    def mark_bad(self) -> None:
        """The running slot is not to be started again."""

    def prefer_other(self) -> None:
        """The slot that does not run is the one to be started next."""
