"""Writes entries of the model manifest: used by the build scripts, never on a camera."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
_HEADER = "# The models a camera may run. Written by models/manifest.py; a file that differs by a byte is refused.\n"
_FIELDS = ("name", "file", "sha256", "licence", "provenance", "card", "outputs")


def record(name: str, file: str, licence: str, provenance: str, card: str, outputs: Sequence[str]) -> None:
    """Adds or replaces the entry ``name``, with the SHA-256 of ``file`` (a path relative to ``models/``)."""
    path = FOLDER / "manifest.toml"
    known = tomllib.loads(path.read_text(encoding="utf-8"))["model"] if path.exists() else []
    digest = hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()
    entry = dict(zip(_FIELDS, (name, file, digest, licence, provenance, card, list(outputs)), strict=True))
    entries = sorted([e for e in known if e["name"] != name] + [entry], key=lambda e: str(e["name"]))
    path.write_text(_HEADER + "".join(_block(e) for e in entries), encoding="utf-8")


def _block(entry: dict[str, object]) -> str:
    # JSON strings and arrays of strings are valid TOML
    lines = [f"{field} = {json.dumps(entry[field], ensure_ascii=False)}" for field in _FIELDS]
    return "\n[[model]]\n" + "\n".join(lines) + "\n"
