"""What the commands of the office share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from provisioning.office.folder import Office
from provisioning.office.inventory import Inventory

Folder = Annotated[Path, typer.Option("--office", envvar="VIDIK_OFFICE", help="The office's folder.")]
PassphraseFile = Annotated[Path | None, typer.Option(help="A file with the passphrase of the issuing CA's key.")]
HERE = Path("office")


def existing(folder: Path) -> Office:
    """The office in ``folder``. Raises ``OfficeError`` when there is none."""
    office = Office(folder)
    office.settings()
    return office


@contextmanager
def inventory_of(office: Office) -> Iterator[Inventory]:
    """The inventory of ``office``, closed afterwards."""
    inventory = office.inventory()
    try:
        yield inventory
    finally:
        inventory.close()
