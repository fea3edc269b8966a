"""Writes entries of the model manifest: used by the build scripts, never on a camera."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_HEADER = "# The models a camera may run. Written by models/manifest.py; a file that differs by a byte is refused.\n"
_FIELDS = ("name", "file", "sha256", "licence", "provenance", "card", "outputs")


def record(name: str, file: str, licence: str, provenance: str, card: str, outputs: Sequence[str]) -> None:
    """Adds or replaces the entry ``name``, with the SHA-256 of ``file`` (a path relative to ``models/``).

    Run ``python -m models.golden`` afterwards: cameras refuse models whose golden output is not on record.
    """
    digest = hashlib.sha256((FOLDER / file).read_bytes()).hexdigest()
    entry = dict(zip(_FIELDS, (name, file, digest, licence, provenance, card, list(outputs)), strict=True))
    _write([e for e in known() if e["name"] != name] + [entry])  # variants of the old file go with it


def add_variant(name: str, kind: str, file: str, sha256: str) -> None:
    """Notes that the model ``name``, compiled for the accelerator ``kind``, is ``file`` (relative to ``models/``)."""
    entries = known()
    for entry in entries:
        if entry["name"] == name:
            entry["variants"] = {**entry.get("variants", {}), kind: {"file": file, "sha256": sha256}}
    _write(entries)


def known() -> list[dict[str, Any]]:
    """The entries of the manifest as they are."""
    path = FOLDER / "manifest.toml"
    found: list[dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))["model"] if path.exists() else []
    return found


def _write(entries: list[dict[str, Any]]) -> None:
    ordered = sorted(entries, key=lambda e: str(e["name"]))
    (FOLDER / "manifest.toml").write_text(_HEADER + "".join(_block(e) for e in ordered), encoding="utf-8")


def _block(entry: dict[str, Any]) -> str:
    # JSON strings and arrays of strings are valid TOML
    lines = [f"{field} = {json.dumps(entry[field], ensure_ascii=False)}" for field in _FIELDS]
    for kind, variant in entry.get("variants", {}).items():
        lines.append(f"[model.variants.{kind}]")
        lines += [f"{field} = {json.dumps(variant[field])}" for field in ("file", "sha256")]
    return "\n[[model]]\n" + "\n".join(lines) + "\n"
