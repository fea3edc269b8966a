"""What fills one slot: the root as a squashfs with its dm-verity tree, and the boot files that name its hash.

Both are plain images: the bundle of an update carries the same two files that a flashed medium starts with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import settings
from root import Built, Recipe, remove
from tools import BuildError, digest, run, say

# of every image: who reads a serial console or adds a boot entry gets no shell, and no module that Debian did not sign
_COMMAND_LINE = (
    "root=/dev/mapper/vidik-root rootfstype=squashfs ro vidik.root=vidik-root-$letter vidik.hash={hash} "
    "vidik.tree={tree} rauc.slot=$slot console=tty0 console={console} quiet panic=10 lockdown=integrity "
    "systemd.gpt_auto=no systemd.getty_auto=no"
)
# a firmware or a hypervisor can hand credentials to systemd, and units with them: tests of development images do
_OF_RELEASES = " systemd.import_credentials=no"


@dataclass(frozen=True, slots=True)
class Slot:
    """The two images of a slot, and the hash that stands for every byte of the root."""

    root: Path
    boot: Path
    hash: str


def make(built: Built, recipe: Recipe, folder: Path, level: int = 15) -> Slot:
    """The images of ``built``, in ``folder``, compressed at ``level`` of zstd."""
    root = folder / "rootfs.img"
    root.unlink(missing_ok=True)
    say("slot: squashfs of the root")
    _squash(built.folder, root, recipe.epoch, "-comp", "zstd", "-Xcompression-level", str(level), "-b", "128K")
    tree = root.stat().st_size
    # the salt need not be secret or random, only fixed: the same root makes the same tree
    salt = digest(recipe.arch.board, recipe.version)
    said = run(
        "veritysetup", "format", f"--salt={salt}", f"--uuid={_uuid(salt)}", f"--hash-offset={tree}", root, root,
        epoch=recipe.epoch,
    )  # fmt: skip
    found = re.search(r"Root hash:\s+([0-9a-f]{64})", said)
    if found is None:
        raise BuildError(f"veritysetup named no root hash:\n{said}")
    _fits(root, settings.ROOT_SIZE)
    line = _COMMAND_LINE.format(hash=found[1], tree=tree, console=recipe.arch.console)
    if recipe.channel == "release":
        line += _OF_RELEASES
    return Slot(root, _boot(built, recipe, folder, line), found[1])


def _boot(built: Built, recipe: Recipe, folder: Path, line: str) -> Path:
    inside = folder / "boot"
    remove(inside)
    inside.mkdir()
    (inside / "vmlinuz").write_bytes(built.kernel.read_bytes())
    (inside / "initrd").write_bytes(built.initrd.read_bytes())
    (inside / "slot.cfg").write_text(f"linux $part/vmlinuz {line}\ninitrd $part/initrd\n")
    boot = folder / "boot.img"
    boot.unlink(missing_ok=True)
    # GRUB reads no zstd; kernel and initial file system are compressed as they are
    _squash(inside, boot, recipe.epoch, "-noI", "-noD", "-noF", "-noX", "-all-root")
    _fits(boot, settings.BOOT_SIZE)
    return boot


def _squash(source: Path, image: Path, epoch: int, *options: str) -> None:
    run(
        "mksquashfs", source, image, "-noappend", "-no-progress", "-no-xattrs", "-quiet", "-mkfs-time", str(epoch),
        "-all-time", str(epoch), *options,
    )  # fmt: skip


def _fits(image: Path, limit: int) -> None:
    size = image.stat().st_size
    if size > limit:
        raise BuildError(f"{image.name} is {size >> 20} MiB, its partition {limit >> 20} MiB: settings.py says so")
    say(f"slot: {image.name} {size / 1e6:.0f} MB")


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-8{text[17:20]}-{text[20:32]}"
