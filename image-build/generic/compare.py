"""``make test-reproducible``: builds an image twice, from the packages on, and says which bytes differ."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import settings
from base_root import base_root
from tools import run, say

# the signature's random number and time; everything that is signed is the same
_SIGNED = ".raucb"


def main() -> int:
    """0 if both builds are the same but for signatures."""
    parser = argparse.ArgumentParser(prog="make test-reproducible", description="Builds an image twice and compares.")
    parser.add_argument("--arch", choices=settings.ARCHES, default="amd64")
    asked = parser.parse_args()
    folders = [settings.BUILD / "twice" / name for name in ("first", "second")]
    for folder in folders:
        kept = base_root(settings.ARCHES[asked.arch])
        if folder is folders[1]:
            say("the base root is made anew")
            kept.rename(kept.with_suffix(".first"))
            for initrd in kept.parent.glob(f"initrd-{asked.arch}-*"):
                initrd.unlink()
        run(sys.executable, "-B", settings.HERE / "build.py", "--arch", asked.arch, "--out", folder)
    first = kept.with_suffix(".first")
    same = _same(first, kept)
    print(f"{'same' if same else 'DIFFERENT'}  base root")
    first.unlink()
    good = same
    for one in sorted(folders[0].iterdir()):
        other = folders[1] / one.name
        same = _same(one, other)
        if one.suffix == _SIGNED:
            print(f"{'same' if same else 'signed apart'}  {one.name}: content {_content(one, other)}")
            good = good and _content(one, other) == "same"
        elif one.name.endswith("SHA256SUMS"):
            continue  # names the bundle's
        else:
            print(f"{'same' if same else 'DIFFERENT'}  {one.name}")
            good = good and same
    return 0 if good else 1


def _content(one: Path, other: Path) -> str:
    """Whether two bundles carry the same file system: what comes before their hash trees and signatures."""
    size = int.from_bytes(one.open("rb").read(48)[40:48], "little")
    digests = {hashlib.sha256(path.open("rb").read(size)).hexdigest() for path in (one, other)}
    return "same" if len(digests) == 1 else "DIFFERENT"


def _same(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        return hashlib.file_digest(first, "sha256").digest() == hashlib.file_digest(second, "sha256").digest()


if __name__ == "__main__":
    sys.exit(main())
