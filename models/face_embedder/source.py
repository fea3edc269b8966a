"""The package the embedder's weights come from, and its weight format."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PACKAGE = "@vladmandic/face-api@1.7.15"
PACKAGE_SHA256 = "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031"
WEIGHTS = "package/model/face_recognition_model.bin"
WEIGHTS_SHA256 = "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589"
INDEX = "package/model/face_recognition_model-weights_manifest.json"

Weights = dict[str, NDArray[np.float32]]


def unpack() -> Path:
    """Downloads the pinned package with npm, checks it, and returns the folder it is unpacked in."""
    folder = Path(tempfile.mkdtemp(prefix="vidik-face-api-"))
    subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("*.tgz")
    expect(archive.read_bytes(), PACKAGE_SHA256, PACKAGE)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder


def expect(content: bytes, sha256: str, name: str) -> None:
    """Exits with a message when ``content`` does not have the pinned checksum."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"{name} has SHA-256 {found}, expected {sha256}: the package changed, nothing was written.")


def weights(folder: Path) -> Weights:
    """The embedder's tensors by name, from an unpacked package."""
    content = (folder / WEIGHTS).read_bytes()
    expect(content, WEIGHTS_SHA256, WEIGHTS)
    (group,) = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    tensors, offset = {}, 0
    for spec in group["weights"]:
        size = int(np.prod(spec["shape"])) * (1 if "quantization" in spec else 4)
        tensors[spec["name"]] = _real(content[offset : offset + size], spec)
        offset += size
    if offset != len(content):
        sys.exit(f"{WEIGHTS} has {len(content)} bytes, its index describes {offset}: they do not belong together.")
    return tensors


def _real(stored: bytes, spec: dict[str, Any]) -> NDArray[np.float32]:
    """One tensor of the TensorFlow.js weight format: plain float32, or a byte a value, ``byte * scale + min``."""
    coding = spec.get("quantization")
    if coding is None:
        return np.frombuffer(stored, "<f4").astype(np.float32).reshape(spec["shape"])
    if coding["dtype"] != "uint8":
        sys.exit(f"{spec['name']} is stored as {coding['dtype']}; this script reads uint8 and float32 only.")
    values = np.frombuffer(stored, np.uint8).astype(np.float32) * np.float32(coding["scale"]) + np.float32(
        coding["min"]
    )
    return values.reshape(spec["shape"])
