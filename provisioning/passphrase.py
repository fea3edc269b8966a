"""Where passphrases come from: a file, the environment, or the person at the terminal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

from edge.errors import VidikError

VARIABLE = "VIDIK_PASSPHRASE"


class PassphraseError(VidikError):
    """No passphrase could be had."""


def ask(what: str, file: Path | None, confirm: bool = False) -> str:
    """The passphrase for ``what``: from ``file``, else from the environment, else asked for. Raises
    ``PassphraseError``."""
    if file is not None:
        try:
            return file.read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise PassphraseError(f"The passphrase file {file} cannot be read: {error}. Check the path.") from error
    if (given := os.environ.get(VARIABLE)) is not None:
        return given
    if not sys.stdin.isatty():
        raise PassphraseError(
            f"The passphrase for {what} is needed, and nobody is at the terminal. Use --passphrase-file or the "
            f"variable {VARIABLE}."
        )
    asked: str = typer.prompt(f"Passphrase for {what}", hide_input=True, confirmation_prompt=confirm, err=True)
    return asked


def agree(question: str, yes: bool) -> None:
    """Asks for consent, which ``yes`` has given already. Raises ``PassphraseError`` without it."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise PassphraseError("Nobody is at the terminal to agree to this. Read it, then use --yes.")
    if not typer.confirm(question, default=False, err=True):
        raise PassphraseError("Nothing was signed, since you did not agree.")
