"""The flashable file: partition table, GRUB, a filled slot A, an empty slot B. Made without root and loop devices."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import grub
import settings
from root import Recipe, remove
from slot import Slot
from tools import BuildError, run, say

_ALIGN = 1 << 20
_END = 1 << 20  # for the second partition table
_README = """This partition is read when the camera starts.
A file vidik-claim.txt here, made by "vidik provision claim", enrols the camera by itself at its next start.
"""


def assemble(recipe: Recipe, slot: Slot, tools: Path, image: Path, work: Path) -> None:
    """Writes ``image``. ``tools``: an unpacked base root, whose GRUB is taken."""
    say("disk: assembling")
    starts = _starts()
    size = starts["vidik-root-b"] + settings.ROOT_SIZE + _END
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(size)
    run("sfdisk", "--quiet", image, feed=_table(starts))
    _write(image, starts["vidik-boot"], _boot_partition(recipe, tools, work))
    _write(image, starts["vidik-env"], env_partition(recipe.epoch, work))
    _write(image, starts["vidik-boot-a"], slot.boot)
    _write(image, starts["vidik-root-a"], slot.root)
    if "grub-pc-bin" in recipe.arch.grub_packages:
        start = starts["vidik-bios"]
        code, core = grub.bios(tools, settings.BOOT_ID, start // settings.SECTOR)
        with image.open("r+b") as file:
            file.write(code)
            file.seek(start)
            file.write(core)


def env_partition(epoch: int, work: Path) -> Path:
    """A FAT file system with nothing in it but GRUB's environment block."""
    return _fat(work / "env.fat", (settings.ENV_ID, "VIDIKENV"), 1 << 20, {"grubenv": grub.environment()}, epoch)


def env_sector(work: Path) -> int:
    """The sector of the environment block in its partition: the same in every image, since nothing else is there."""
    at = env_partition(settings.BASE_EPOCH, work).read_bytes().find(b"# GRUB Environment Block")
    if at < 0 or at % settings.SECTOR:
        raise BuildError("the environment block begins in the middle of a sector: mkfs.vfat or mcopy is another here")
    return at // settings.SECTOR


def _boot_partition(recipe: Recipe, tools: Path, work: Path) -> Path:
    files = {
        f"EFI/BOOT/{recipe.arch.efi_file}": grub.efi(tools, recipe.arch, settings.BOOT_ID),
        "README.TXT": _README.replace("\n", "\r\n").encode(),
    }
    return _fat(work / "boot.fat", (settings.BOOT_ID, "VIDIK-BOOT"), 64 << 20, files, recipe.epoch)


def _fat(place: Path, names: tuple[str, str], size: int, files: dict[str, bytes], epoch: int) -> Path:
    """A FAT file system of ``size`` bytes in ``place``. ``names``: its serial number and its label."""
    volume, label = names
    place.unlink(missing_ok=True)
    with place.open("wb") as file:
        file.truncate(size)
    run("mkfs.vfat", "--invariant", "-i", volume.replace("-", ""), "-n", label, place, epoch=epoch)
    source = place.with_suffix(".files")
    remove(source)
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, (epoch, epoch))
        folders = [str(folder) for folder in reversed(Path(name).parents) if str(folder) != "."]
        for folder in folders:
            run("mmd", "-D", "s", "-i", place, f"::{folder}", epoch=epoch)
        run("mcopy", "-m", "-i", place, path, f"::{name}", epoch=epoch)
    shutil.rmtree(source)
    return place


def _starts() -> dict[str, int]:
    at, starts = _ALIGN, {}
    for partition in settings.PARTITIONS:
        starts[partition.name] = at
        at += partition.size
    return starts


def _table(starts: dict[str, int]) -> str:
    lines = ["label: gpt", f"label-id: {settings.DISK_ID}", "unit: sectors", "first-lba: 2048"]
    for part in settings.PARTITIONS:
        start, size = starts[part.name] // settings.SECTOR, part.size // settings.SECTOR
        lines.append(f"start={start}, size={size}, type={part.type}, uuid={part.uuid}, name={part.name}")
    return "\n".join(lines) + "\n"


def _write(image: Path, start: int, part: Path) -> None:
    where = (f"seek={start}", "oflag=seek_bytes", "conv=notrunc,sparse")
    run("dd", f"if={part}", f"of={image}", "bs=1M", *where, "status=none")
