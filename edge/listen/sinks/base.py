"""What every sink promises, and how it is named on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from edge.errors import VidikError
from edge.listen.client import Connection
from edge.listen.opener import Finding

_MODULES = {
    "jsonl": ("lines", "JsonLines", ""),
    "onvif": ("onvif", "Onvif", ""),
    "parquet": ("parquet", "Parquet", "parquet"),
    "postgresql": ("postgresql", "PostgreSql", "postgresql"),
}


class SinkError(VidikError):
    """A sink cannot be opened or written to."""


class Sink(Protocol):
    """Takes findings; keeps opened reports and gaps, and leaves out the rest.

    When ``write`` returns, they are on the medium, or in the other system's hands. A report that comes again, by its
    id, changes nothing: also after a crash, and also when it comes in another batch.
    """

    def write(self, findings: Sequence[Finding | Connection]) -> None:
        """Raises ``SinkError``; then nothing of it counts as written, and all of it has to come again."""

    def close(self) -> None:
        """Lets go of what it holds."""


def open_sink(text: str) -> Sink:
    """The sink that ``text`` names. Raises ``SinkError``.

    ``jsonl:FILE``, ``parquet:FOLDER``, ``postgresql://…`` or ``onvif:SETTINGS``.
    """
    kind, _, rest = text.partition(":")
    if kind not in _MODULES or not rest:
        raise SinkError(f"{text!r} names no sink. Give jsonl:FILE, parquet:FOLDER, postgresql://… or onvif:SETTINGS.")
    module, name, extra = _MODULES[kind]
    try:
        make = getattr(importlib.import_module(f"edge.listen.sinks.{module}"), name)
    except ModuleNotFoundError as error:
        raise SinkError(
            f"The sink {kind} needs the module {error.name}, which is not installed here. "
            f"Install the extra it belongs to: pip install 'vidik[{extra}]'."
        ) from error
    sink: Sink = make(text if kind == "postgresql" else Path(rest))
    return sink
