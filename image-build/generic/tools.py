"""Running other programs, and saying which one is missing and where it comes from."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

_FROM = {
    "mmdebstrap": "mmdebstrap", "mksquashfs": "squashfs-tools", "veritysetup": "cryptsetup-bin", "mcopy": "mtools",
    "mkfs.vfat": "dosfstools", "sfdisk": "fdisk", "rauc": "rauc", "zstd": "zstd", "cpio": "cpio",
    "qemu-aarch64-static": "qemu-user-static",
}  # fmt: skip

_started = time.monotonic()


class BuildError(Exception):
    """The image cannot be built; the text says why and what to do."""


def say(text: str) -> None:
    """One line of progress with the seconds since the start."""
    print(f"[{time.monotonic() - _started:6.1f} s] {text}", file=sys.stderr, flush=True)


def need(*programs: str) -> None:
    """Raises BuildError if one of ``programs`` is not installed."""
    missing = [program for program in programs if shutil.which(program, path=_path()) is None]
    if missing:
        packages = " ".join(sorted({_FROM.get(program, program) for program in missing}))
        raise BuildError(f"Not installed: {', '.join(missing)}. Install with: apt-get install {packages}")


def run(*command: str | Path, epoch: int | None = None, cwd: Path | None = None, feed: str | None = None) -> str:
    """Standard output of ``command``; BuildError with what it said if it fails."""
    environment = dict(os.environ, PATH=_path(), LC_ALL="C.UTF-8", TZ="UTC", DEBIAN_FRONTEND="noninteractive")
    if epoch is not None:
        environment["SOURCE_DATE_EPOCH"] = str(epoch)
    done = subprocess.run(
        [str(part) for part in command], env=environment, cwd=cwd, text=True, input=feed, capture_output=True,
        check=False,
    )  # fmt: skip
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise BuildError(f"{command[0]} failed with {done.returncode}:\n{end}")
    return done.stdout


def digest(*parts: str | bytes | Path) -> str:
    """SHA-256 over texts, bytes, files and folders (names and contents, sorted): the key of something cached."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path) and part.is_dir():
            files = (entry for entry in part.rglob("*") if entry.is_file() and "__pycache__" not in entry.parts)
            for file in sorted(files):
                mode = "x" if os.access(file, os.X_OK) else "-"
                total.update(f"{file.relative_to(part)} {mode}\n".encode() + hashlib.sha256(file.read_bytes()).digest())
        else:
            data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
            total.update(hashlib.sha256(data).digest())
    return total.hexdigest()


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
