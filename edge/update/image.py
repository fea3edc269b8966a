"""What the running image is: the file ``/usr/lib/vidik/image.toml``, written when the image is built.

::

    version = "2026.11.1"              # edge/update/version.py says how versions are ordered
    board = "vidik-generic-amd64"      # RAUC's "compatible": bundles for other boards are refused
    channel = "release"                # or "development": which signatures count
    floor = "2026.9"                   # bundles older than this are refused from now on; at most the version

All four keys are there, and no others. A release image takes bundles that the release CA signed, and those alone; a
development image takes both kinds. The floor a camera goes by is the highest that an image which proved itself on it
has ever stated.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge import toml
from edge.errors import VidikError
from edge.update import version
from edge.update.version import Version

PLACE = Path("/usr/lib/vidik/image.toml")
Channel = Literal["release", "development"]
Board = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9-]{0,63}\Z", description="lower case, digits, hyphens")]
Text = Annotated[str, Meta(pattern=version.PATTERN, description="one to four numbers, as in 2026.11.1")]


class ImageError(VidikError):
    """The file that says what this image is cannot be used."""


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an image says of itself."""

    version: Text
    board: Board
    channel: Channel
    floor: Text

    def __post_init__(self) -> None:
        if self.at_least > self.is_version:
            raise ValueError(f"the floor {self.floor} is above the image's own version {self.version}")

    @property
    def is_version(self) -> Version:
        return version.parse(self.version)

    @property
    def at_least(self) -> Version:
        """The floor."""
        return version.parse(self.floor)

    def toml(self) -> str:
        """As it stands in the file."""
        return "".join(f'{name} = "{value}"\n' for name, value in msgspec.to_builtins(self).items())


def load(path: Path = PLACE) -> Image:
    """What the image whose file is ``path`` is. Raises ``ImageError``."""
    try:
        return msgspec.convert(toml.read(path), Image)
    except (toml.TomlError, msgspec.ValidationError) as error:
        raise ImageError(
            f"{path}, which says what this image is, cannot be used: {error}. Only images with it can be updated; "
            "flash one, or update by the package manager."
        ) from error
