"""GRUB with its configuration inside: for the BIOS in a partition of its own, for UEFI as one file."""

from __future__ import annotations

import io
import struct
import tarfile
from pathlib import Path

import settings
from chroot import in_root

_COMMON = (
    "part_gpt", "fat", "squash4", "memdisk", "tar", "normal", "linux", "configfile", "loadenv", "search",
    "search_fs_uuid", "regexp", "test", "echo", "sleep", "reboot", "boot", "minicmd",
)  # fmt: skip
_BIOS = (*_COMMON, "biosdisk", "serial", "terminal")
_EFI = (*_COMMON, "gzio", "efi_gop")

_SECTOR = 512
_WORK = "/tmp"  # noqa: S108 - of a root that nobody else uses
_KERNEL_SECTOR = 0x5C  # in boot.img: where core.img begins
_BLOCK_LIST = _SECTOR - 12  # in core.img's first sector: where its rest begins
_BOOT_CODE = 440  # bytes of the first sector that are not partition table


def efi(root: Path, arch: settings.Arch, boot_id: str) -> bytes:
    """The EFI program, made by the GRUB in ``root``."""
    return _mkimage(root, arch.efi_format, _EFI, boot_id, "terminal_output console\n")


def bios(root: Path, boot_id: str, start: int) -> tuple[bytes, bytes]:
    """Boot code for the first sector, and the core image that lies from sector ``start`` on."""
    before = "serial --unit=0 --speed=115200\nterminal_output console serial\n"
    core = bytearray(_mkimage(root, "i386-pc", _BIOS, boot_id, before))
    code = bytearray((root / "usr/lib/grub/i386-pc/boot.img").read_bytes())
    struct.pack_into("<Q", code, _KERNEL_SECTOR, start)
    struct.pack_into("<Q", core, _BLOCK_LIST, start + 1)
    return bytes(code[:_BOOT_CODE]), bytes(core)


def environment() -> bytes:
    """A fresh environment block: slot A is there, slot B is still empty."""
    values = "ORDER=A B\nA_OK=1\nA_TRY=0\nB_OK=0\nB_TRY=0\n"
    return f"# GRUB Environment Block\n{values}".encode().ljust(2 * _SECTOR, b"#")


def _mkimage(root: Path, form: str, modules: tuple[str, ...], boot_id: str, before: str) -> bytes:
    early = root / "tmp/early.cfg"
    early.write_text("normal (memdisk)/grub/grub.cfg\n")
    text = before + (settings.HERE / "grub.cfg.in").read_text().replace("@BOOT_ID@", boot_id)
    (root / "tmp/memdisk.tar").write_bytes(_tar("grub/grub.cfg", text.encode()))
    in_root(
        root, "grub-mkimage", "-O", form, "-p", "(memdisk)/grub", "-m", f"{_WORK}/memdisk.tar",
        "-c", f"{_WORK}/early.cfg", "-o", f"{_WORK}/grub.img", *modules,
        epoch=settings.BASE_EPOCH,
    )  # fmt: skip
    made = (root / "tmp/grub.img").read_bytes()
    for name in ("memdisk.tar", "early.cfg", "grub.img"):
        (root / "tmp" / name).unlink()
    return made


def _tar(name: str, content: bytes) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo(str(Path(name).parent))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)  # GRUB walks a path one folder at a time
        member = tarfile.TarInfo(name)
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return whole.getvalue()
