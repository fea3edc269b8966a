"""The base root: Debian's packages and nothing of Vidik, made once and kept by the hash of what it is made of."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import settings
from tools import BuildError, digest, need, run, say

_MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}


def base_root(arch: settings.Arch) -> Path:
    """The tar file of the base root of ``arch``, from the cache or made now (2 minutes; 20 if emulated).

    mmdebstrap writes the same bytes for the same packages: names sorted, times clamped, no host names.
    """
    packages = (*settings.PACKAGES, arch.kernel, *arch.grub_packages)
    options = _options()
    key = digest(arch.name, *packages, *settings.SOURCES, *options, str(settings.BASE_EPOCH))[:16]
    tar = settings.BUILD / "cache" / f"base-{arch.name}-{key}.tar"
    if tar.exists():
        say(f"base root of {arch.name}: cached ({tar.name})")
        return tar
    need("mmdebstrap")
    _foreign(arch)
    tar.parent.mkdir(parents=True, exist_ok=True)
    say(f"base root of {arch.name}: {len(packages)} packages and what they need, a few minutes (20 when emulated)")
    part = tar.with_suffix(f".{os.getpid()}.tar")
    try:
        run(
            "env", "INITRD=No", "mmdebstrap", "--quiet", f"--architectures={arch.name}", "--variant=essential",
            "--mode=root", "--format=tar", f"--include={','.join(packages)}", *options,
            settings.SUITE, part, *settings.SOURCES, epoch=settings.BASE_EPOCH,
        )  # fmt: skip
        part.rename(tar)
    finally:
        part.unlink(missing_ok=True)
    say(f"base root of {arch.name}: made")
    return tar


def _options() -> list[str]:
    kernel = (f"/usr/lib/modules/*/kernel/{path}/*" for path in settings.KERNEL_LEAVES_OUT)
    left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in (*settings.NOT_SHIPPED, *kernel)]
    kept = [f"--dpkgopt=path-include={pattern}" for pattern in settings.SHIPPED_ALL_THE_SAME]
    # the initial file system is made later, once, with what Vidik adds to it (INITRD=No tells the kernel's package)
    no_initrd = (
        '--essential-hook=mkdir -p "$1/etc/initramfs-tools" && '
        'echo "update_initramfs=no" >"$1/etc/initramfs-tools/update-initramfs.conf"'
    )
    return [
        *left_out, *kept, "--dpkgopt=force-confold", no_initrd, '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Retries "5"',
    ]  # fmt: skip


def _foreign(arch: settings.Arch) -> None:
    """Makes programs of another processor run here, through qemu-user and the kernel's binfmt_misc."""
    if _MACHINE.get(platform.machine()) == arch.name:
        return
    need("qemu-aarch64-static", "update-binfmts")
    table = Path("/proc/sys/fs/binfmt_misc")
    if not (table / "register").exists():
        run("mount", "-t", "binfmt_misc", "binfmt_misc", table)
    run("update-binfmts", "--enable", "qemu-aarch64")
    if not (table / "qemu-aarch64").exists():
        raise BuildError("Programs for arm64 do not run here: apt-get install qemu-user-static binfmt-support")
