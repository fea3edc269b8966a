"""The root of an image: the base root, Vidik's program and units, and the few files that make it an appliance."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

import settings
from chroot import in_root
from tools import BuildError, digest, run, say

_FILES = settings.HERE / "files"
_PROGRAM = settings.REPO / "image-build" / "install-root"
_SBOM = settings.REPO / "image-build" / "sbom"

_ENABLED = ("systemd-networkd.service", "systemd-resolved.service", "systemd-timesyncd.service", "fstrim.timer")
# no logins, nothing that writes, nothing that waits for a person; rauc-mark-good would call any start a good one
_MASKED = (
    "getty.target", "getty@.service", "serial-getty@.service", "console-getty.service", "container-getty@.service",
    "debug-shell.service", "rauc-mark-good.service", "grub-common.service", "grub-initrd-fallback.service",
    "e2scrub_all.timer", "e2scrub_reap.service", "dpkg-db-backup.timer", "apt-daily.timer", "apt-daily-upgrade.timer",
    "systemd-networkd-wait-online.service", "systemd-firstboot.service", "systemd-pstore.service", "remote-fs.target",
    "systemd-random-seed.service", "systemd-pcrlock-make-policy.service", "systemd-machine-id-commit.service",
    "systemd-boot-update.service", "systemd-update-done.service", "systemd-hwdb-update.service", "ldconfig.service",
    "systemd-journal-catalog-update.service", "systemd-sysext.socket", "ctrl-alt-del.target", "nscd.service",
    "systemd-journald-audit.socket", "dbus-org.freedesktop.login1.service", "systemd-logind.service",
    "systemd-homed.service", "systemd-userdbd.socket", "systemd-sysusers.service", "sleep.target",
    "suspend.target", "hibernate.target",
)  # fmt: skip
# what only building needs, and what would be written to
_REMOVED = (
    "boot", "usr/lib/grub", "usr/sbin/grub*", "usr/bin/grub-*", "usr/share/grub", "etc/grub.d", "etc/default/grub*",
    "etc/kernel", "var/*", "run/*", "tmp/*", "dev/*", "root/.*", "etc/apt", "etc/cron*", "etc/init.d", "etc/rc?.d",
    "usr/share/bash-completion", "usr/share/zsh", "usr/share/pixmaps", "usr/share/bug", "usr/share/menu",
    "etc/.pwd.lock", "etc/passwd-", "etc/shadow-", "etc/group-", "etc/gshadow-", "etc/subuid-", "etc/subgid-",
    "usr/lib/python3/dist-packages/__pycache__", "etc/ssl/certs/*",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image: what it says of itself, and whose bundles it takes. ``epoch``: its time, seconds since 1970."""

    arch: settings.Arch
    version: str
    floor: str
    channel: str
    keyring: Path
    epoch: int


@dataclass(frozen=True, slots=True)
class Built:
    """A finished root, and what was taken out of it: kernel, initial file system, bill of materials."""

    folder: Path
    kernel: Path
    initrd: Path
    sbom: Path | None


def unpack(base: Path, folder: Path) -> None:
    """Makes ``folder`` the base root ``base``."""
    remove(folder)
    folder.mkdir(parents=True)
    run("tar", "--extract", "--numeric-owner", "--same-permissions", "-f", base, "-C", folder)


def build(recipe: Recipe, base: Path, folder: Path, env_sector: int) -> Built:
    """Makes the root of ``recipe`` in ``folder`` out of the tar file ``base``."""
    say("root: unpacking")
    unpack(base, folder)
    _overlay(folder, recipe, env_sector)
    initrd = _initrd(base, folder, recipe.arch)
    kernel = folder.parent / "vmlinuz"
    shutil.copyfile(next((folder / "boot").glob("vmlinuz-*")), kernel)
    say("root: installing Vidik")
    print(run(_PROGRAM, recipe.arch.name, folder, "--system", epoch=recipe.epoch), end="")
    _describe(folder, recipe)
    _units(folder)
    sbom = _sbom(folder, recipe)
    _strip(folder)
    _check(folder)
    return Built(folder, kernel, initrd, sbom)


def remove(folder: Path) -> None:
    """Removes ``folder``, unless something is still mounted in it."""
    mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    if inside := [place for place in mounted if place.startswith(f"{folder}/")]:
        raise BuildError(f"{inside[0]} is mounted: umount it first")
    if folder.exists():
        shutil.rmtree(folder)


def _overlay(folder: Path, recipe: Recipe, env_sector: int) -> None:
    run("cp", "--recursive", "--no-dereference", "--preserve=mode,links", f"{_FILES}/.", folder)
    (folder / "etc/rauc/system.conf.in").unlink()
    _fill(_FILES / "etc/rauc/system.conf.in", folder / "etc/rauc/system.conf", BOARD=recipe.arch.board)
    _fill(_FILES / "usr/bin/grub-editenv", folder / "usr/bin/grub-editenv", SECTOR=str(env_sector))
    shutil.copyfile(recipe.keyring, folder / "etc/rauc/keyring.pem")
    (folder / "etc/hostname").write_text("vidik\n")
    (folder / "etc/hostname").chmod(0o644)
    (folder / "etc/hosts").write_text("127.0.0.1 localhost vidik\n::1 localhost vidik\n")
    resolv = folder / "etc/resolv.conf"
    resolv.unlink(missing_ok=True)
    resolv.symlink_to("../run/systemd/resolve/resolv.conf")
    (folder / "data").mkdir(exist_ok=True)


def _fill(template: Path, place: Path, **values: str) -> None:
    text = template.read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    place.write_text(text)
    place.chmod(template.stat().st_mode & 0o777)


def _initrd(base: Path, folder: Path, arch: settings.Arch) -> Path:
    """The initial file system, from the cache or made by the root's own tools (minutes when emulated)."""
    key = digest(str(base.name), _FILES / "etc" / "initramfs-tools")[:16]
    kept = base.parent / f"initrd-{arch.name}-{key}"
    if not kept.exists():
        say("initial file system: making")
        release = next((folder / "usr/lib/modules").iterdir()).name
        in_root(folder, "mkinitramfs", "-o", "/boot/initrd", release, epoch=settings.BASE_EPOCH)
        part = kept.with_suffix(".part")
        shutil.copyfile(folder / "boot/initrd", part)
        part.rename(kept)
    return kept


def _describe(folder: Path, recipe: Recipe) -> None:
    place = folder / "usr/lib/vidik/image.toml"
    place.parent.mkdir(parents=True, exist_ok=True)
    facts = {"version": recipe.version, "board": recipe.arch.board, "channel": recipe.channel, "floor": recipe.floor}
    place.write_text("".join(f'{name} = "{value}"\n' for name, value in facts.items()))
    release = folder / "usr/lib/os-release"
    release.write_text(release.read_text() + f'IMAGE_ID="{recipe.arch.board}"\nIMAGE_VERSION="{recipe.version}"\n')
    # the clock never starts before the day the image was made
    epoch = folder / "usr/lib/clock-epoch"
    epoch.touch()
    os.utime(epoch, (recipe.epoch, recipe.epoch))


def _sbom(folder: Path, recipe: Recipe) -> Path | None:
    """The bill of materials, while Debian's records are still there; GRUB, which only the medium has, is in it."""
    if not _SBOM.exists():
        return None
    place = folder.parent / "sbom.json"
    run(_SBOM, folder, recipe.arch.name, place, epoch=recipe.epoch)
    return place


def _units(folder: Path) -> None:
    run("systemd-sysusers", f"--root={folder}", epoch=settings.BASE_EPOCH)
    run("systemctl", f"--root={folder}", "--quiet", "enable", *_ENABLED)
    masks = folder / "etc/systemd/system"
    for unit in _MASKED:
        for link in (masks / unit, *masks.glob(f"*.wants/{unit}"), *masks.glob(f"*.wants/{unit.replace('@', '@*')}")):
            link.unlink(missing_ok=True)
        (masks / unit).symlink_to("/dev/null")


def _strip(folder: Path) -> None:
    keep = (folder / "usr/bin/grub-editenv").read_bytes()
    for pattern in _REMOVED:
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    (folder / "usr/bin/grub-editenv").write_bytes(keep)
    (folder / "usr/bin/grub-editenv").chmod(0o755)
    (folder / "etc/machine-id").write_bytes(b"")


def _check(folder: Path) -> None:
    """What must hold of every image, whatever was installed."""
    size = sum(entry.lstat().st_size for entry in folder.rglob("*") if entry.is_file() and not entry.is_symlink())
    if size > settings.ROOT_LIMIT:
        raise BuildError(f"the root is {size / 1e6:.0f} MB, and at most {settings.ROOT_LIMIT / 1e6:.0f} MB are allowed")
    say(f"root: {size / 1e6:.0f} MB")
    for line in (folder / "etc/shadow").read_text().splitlines():
        name, password = line.split(":")[:2]
        if not password.startswith(("!", "*")):
            raise BuildError(f"{name} has a password, or none at all, in the image")
    for name in ("usr/sbin/sshd", "usr/bin/sshd", "usr/sbin/dropbear"):
        if (folder / name).exists():
            raise BuildError(f"/{name} is in the image")
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode) and mode & stat.S_ISUID:  # nobody is there to become root
            path.chmod(stat.S_IMODE(mode) & ~(stat.S_ISUID | stat.S_ISGID))


def packages(folder: Path) -> list[str]:
    """``name=version`` of every Debian package in the unpacked base root ``folder``, sorted."""
    asked = subprocess.run(
        ["dpkg-query", f"--admindir={folder}/var/lib/dpkg", "--show", "--showformat=${Package}=${Version}\n"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(asked.stdout.split())
