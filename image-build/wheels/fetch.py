"""The wheels of a camera: downloaded once, kept in build/wheels, and checked against the lock at every use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = "3.13"  # of Debian trixie
ARCHS = {"amd64": "x86_64", "arm64": "aarch64"}  # Debian's name to the wheels'
_GLIBC = range(17, 42)  # manylinux_2_17 … manylinux_2_41, which trixie has


def folder(arch: str) -> Path:
    """Where the wheels of ``arch`` are kept."""
    return HERE.parent.parent / "build" / "wheels" / arch


def lock(arch: str) -> Path:
    """Their names, versions and hashes."""
    return HERE / f"requirements-{arch}.lock"


def target(arch: str) -> list[str]:
    """pip's options for a camera's Python and machine, whatever runs here."""
    platforms = [f"manylinux_2_{minor}_{ARCHS[arch]}" for minor in reversed(_GLIBC)]
    return [
        "--require-hashes", "--only-binary=:all:", "--no-deps", f"--python-version={PYTHON}", "--implementation=cp",
        *(f"--platform={each}" for each in (*platforms, f"manylinux2014_{ARCHS[arch]}")),
    ]  # fmt: skip


def download(arch: str, requirements: Path) -> None:
    """Fetches what ``requirements`` names into the folder of ``arch``."""
    pip("download", *target(arch), "--requirement", str(requirements), "--dest", str(folder(arch)))


def ensure(arch: str) -> None:
    """Makes sure that every wheel of the lock is there; needs the network only the first time."""
    kept = ["--no-index", "--find-links", str(folder(arch))]
    names = [*target(arch), "--requirement", str(lock(arch)), "--dest", str(folder(arch))]
    if not folder(arch).is_dir() or not pip("download", *kept, *names, check=False):
        download(arch, lock(arch))


def pip(*arguments: str, check: bool = True) -> bool:
    """Runs pip of the Python that runs this; returns whether it succeeded. Raises ``CalledProcessError``."""
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=check, capture_output=not check).returncode == 0
