"""The images that the tests start and install: built as ``make image`` does, kept, built again after a change."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.image.machine import say, space
from tests.rig import ROOT

GENERIC = ROOT / "image-build" / "generic"
KEPT = ROOT / "build" / "image" / "tested"
SECTOR = 512
SIZE = 3 << 30  # of a medium
DATA_TYPE = "7B1D0D6E-5A1C-4C5E-9F0E-2D9A6C1F0D41"


@dataclass(frozen=True, slots=True)
class Image:
    """A built image and its bundle."""

    version: str
    image: Path
    bundle: Path


def module(name: str) -> ModuleType:
    """A module of the image's builder, which is no package."""
    if str(GENERIC) not in sys.path:
        sys.path.insert(0, str(GENERIC))
    return __import__(name)


@functools.cache
def state() -> str:
    """The hash of everything images are made of."""
    tools = module("tools")
    places = ("edge", "models", "image-build", "pyproject.toml")
    digest: str = tools.digest(*(ROOT / place for place in places))
    return digest[:16]


def built(arch: str, version: str, channel: str = "development", floor: str = "2026.11") -> Image:
    """The image of ``version``, from the cache or built now (about a minute, more when emulated or busy)."""
    folder = KEPT / f"{arch}-{channel}-{version}-{floor}-{state()}"
    suffix = "-dev" if channel == "development" else ""
    made = Image(
        version, folder / f"vidik-{arch}-{version}{suffix}.img", folder / f"vidik-{arch}-{version}{suffix}.raucb"
    )
    if not made.bundle.exists():
        say(f"building {arch} {version} ({channel})")
        command: list[str | Path] = [
            sys.executable, "-B", GENERIC / "build.py", "--arch", arch, "--version", version, "--floor", floor,
            "--channel", channel, "--fast", "--out", folder,
        ]  # fmt: skip
        if channel == "release":
            signer = release_signer()
            command += ["--keyring", signer.ca, "--certificate", signer.certificate, "--key", signer.key]
        subprocess.run(command, check=True)
    return made


def broken(arch: str, version: str, of: Image) -> Image:
    """An image that starts and never works: a vision process that ends at once. Its bundle is signed like any other.

    Made of the root that was built last for ``arch``, so that only the broken file differs.
    """
    root, slot, bundle, settings = map(module, ("root", "slot", "bundle", "settings"))
    folder = KEPT / f"{arch}-broken-{version}-{state()}"
    made = Image(version, of.image, folder / f"{version}.raucb")
    if not made.bundle.exists():
        say(f"building {arch} {version}, broken")
        folder.mkdir(parents=True, exist_ok=True)
        work = settings.BUILD / "work" / f"{arch}-development"
        recipe = root.Recipe(settings.ARCHES[arch], version, "2026.11", "development", Path(), settings.BASE_EPOCH)
        program = work / "root" / "usr/lib/vidik/lib/python3.13/site-packages/edge/vision/__main__.py"
        cached = list(program.parent.glob("__pycache__/__main__.*"))
        sound = {path: path.read_bytes() for path in (program, *cached, work / "root/usr/lib/vidik/image.toml")}
        try:
            program.write_text('raise SystemExit("broken on purpose")\n')
            for path in cached:
                path.unlink()
            root._describe(work / "root", recipe)
            content = root.Built(work / "root", work / "vmlinuz", _initrd(arch), None)
            slots = slot.make(content, recipe, folder, 1)
        finally:
            for path, before in sound.items():
                path.write_bytes(before)
        bundle.sign(recipe, bundle.content(recipe, slots, folder / "bundle"), development_signer(), made.bundle)
    return made


def for_board(arch: str, of: Image, place: Path) -> None:
    """The bundle of ``of``, signed like it, but said to be for the board of ``arch``, as the file ``place``."""
    root, bundle, settings, slot = map(module, ("root", "bundle", "settings", "slot"))
    recipe = root.Recipe(settings.ARCHES[arch], of.version, "2026.11", "development", Path(), settings.BASE_EPOCH)
    unpacked = place.with_suffix(".unpacked")
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", unpacked, of.bundle], check=True)
    slots = slot.Slot(unpacked / "rootfs.img", unpacked / "boot.img", "")
    bundle.sign(recipe, bundle.content(recipe, slots, place.with_suffix(".content")), development_signer(), place)
    for folder in (unpacked, place.with_suffix(".content")):
        shutil.rmtree(folder)


def development_signer():
    return module("keys").signer(module("settings").BUILD / "keys" / "development")


def release_signer():
    return module("keys").signer(module("settings").BUILD / "keys" / "release-for-tests", "release")


def _initrd(arch: str) -> Path:
    return max((ROOT / "build/image/cache").glob(f"initrd-{arch}-*"), key=lambda path: path.stat().st_mtime)


def medium(image: Image, place: Path, files: dict[str, bytes], data: Path | None = None) -> Path:
    """A flashed medium with ``files`` on its boot partition, as a technician puts them there.

    ``data``: a folder whose content the data partition has from the start; otherwise the first start makes it.
    """
    space(image.image, place, SIZE)
    at = starts()["vidik-boot"]
    for name, content in files.items():
        source = place.with_name(f"{place.name}-{name}")
        source.write_bytes(content)
        subprocess.run(["mcopy", "-o", "-i", f"{place}@@{at}", source, f"::{name}"], check=True)
    if data is not None:
        _with_data(place, data)
    return place


def starts() -> dict[str, int]:
    """Where partitions begin, in bytes."""
    begin: dict[str, int] = module("disk")._starts()
    return begin


def data_at(disk: Path) -> tuple[int, int]:
    """Where the data partition begins, and its length, in bytes. It is the last."""
    said = subprocess.run(["/usr/sbin/sfdisk", "--dump", disk], check=True, capture_output=True, text=True).stdout
    line = next(line for line in said.splitlines() if 'name="vidik-data"' in line)
    fields = dict(field.strip().split("=") for field in line.split(":", 1)[1].split(",") if "=" in field)
    return int(fields["start"]) * SECTOR, int(fields["size"]) * SECTOR


def _with_data(disk: Path, folder: Path) -> None:
    subprocess.run(["/usr/sbin/sfdisk", "--quiet", "--append", disk], check=True, text=True,
                   input=f"type={DATA_TYPE}, name=vidik-data\n", capture_output=True)  # fmt: skip
    at, size = data_at(disk)
    part = disk.with_suffix(".ext4")
    part.unlink(missing_ok=True)
    with part.open("wb") as file:
        file.truncate(size)
    subprocess.run(["/usr/sbin/mkfs.ext4", "-q", "-d", folder, part], check=True)
    subprocess.run(["dd", f"if={part}", f"of={disk}", "bs=1M", f"seek={at}", "oflag=seek_bytes", "conv=notrunc,sparse",
                    "status=none"], check=True)  # fmt: skip
    part.unlink()
