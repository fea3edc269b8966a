"""TOML files of people, read in bounds: whatever is wrong with one, it is one kind of error."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from edge.errors import VidikError

LARGEST = 1 << 20  # bytes


class TomlError(VidikError):
    """A file that is no TOML of sensible size, and why."""


def read(path: Path) -> dict[str, Any]:
    """What the TOML file ``path`` says. Raises ``TomlError``."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise TomlError(f"it is over the limit of {LARGEST} bytes")
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise TomlError("it nests too deep") from None
    except (OSError, ValueError) as error:  # not only TOMLDecodeError: numbers and dates have errors of their own
        raise TomlError(str(error)) from error
