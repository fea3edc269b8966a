"""The update bundle: the two images of a slot, signed, in RAUC's format verity."""

from __future__ import annotations

from pathlib import Path

import settings
from keys import Signer
from root import Recipe, remove
from slot import Slot
from tools import run, say

_MANIFEST = """[update]
compatible={board}
version={version}

[bundle]
format=verity

[image.rootfs]
filename=rootfs.img

[image.boot]
filename=boot.img
"""
# what is inside is compressed already
_SQUASHFS = "-comp zstd -Xcompression-level 1 -all-root -no-xattrs"  # times are by SOURCE_DATE_EPOCH


def content(recipe: Recipe, slot: Slot, folder: Path) -> Path:
    """The folder of which ``rauc bundle`` or ``vidik provision bundle`` makes a bundle."""
    remove(folder)
    folder.mkdir(parents=True)
    for name, image in (("rootfs.img", slot.root), ("boot.img", slot.boot)):
        (folder / name).hardlink_to(image)
    (folder / "manifest.raucm").write_text(_MANIFEST.format(board=recipe.arch.board, version=recipe.version))
    return folder


def sign(recipe: Recipe, folder: Path, signer: Signer, bundle: Path) -> None:
    """Makes ``bundle`` of ``folder``."""
    say("bundle: signing")
    bundle.unlink(missing_ok=True)
    run(
        "rauc", f"--cert={signer.certificate}", f"--key={signer.key}", f"--keyring={signer.ca}", "bundle",
        f"--mksquashfs-args={_SQUASHFS}", folder, bundle, epoch=recipe.epoch, cwd=settings.BUILD,
    )  # fmt: skip
