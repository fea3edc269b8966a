"""``make image``: from Debian's packages to a file to flash. ``python3 build.py --help`` says what it takes."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import bundle
import disk
import keys
import settings
import slot
from base_root import base_root
from root import Built, Recipe, build, packages, unpack
from tools import BuildError, need, run, say


def main() -> int:
    """Builds what the command line asks for; 1 and one paragraph on the error channel if that fails."""
    try:
        make(_arguments())
    except BuildError as error:
        print(f"\nThe image was not built. {error}", file=sys.stderr)
        return 1
    return 0


def make(asked: argparse.Namespace) -> Path:
    """The folder with the finished files."""
    need("mksquashfs", "veritysetup", "mcopy", "mkfs.vfat", "sfdisk", "rauc", "zstd", "unshare", "systemd-sysusers")
    arch = settings.ARCHES[asked.arch]
    epoch = asked.epoch or int(run("git", "log", "-1", "--format=%ct", cwd=settings.REPO))
    version = asked.version or datetime.fromtimestamp(epoch, UTC).strftime("%Y.%-m.%-d")
    signer = keys.signer(settings.BUILD / "keys" / "development") if asked.channel == "development" else None
    keyring = asked.keyring or (signer.ca if signer else None)
    if keyring is None:
        raise BuildError("A release image needs the release CA whose bundles it takes: KEYRING=release-ca.pem")
    if signer is None and asked.key and asked.certificate:
        signer = keys.Signer(keyring, asked.certificate, asked.key)
    floor = asked.floor or (settings.HERE / "floor").read_text().strip()
    recipe = Recipe(arch, version, floor, asked.channel, keyring, epoch)

    work = settings.BUILD / "work" / f"{arch.name}-{asked.channel}"
    out = (asked.out or settings.BUILD).resolve()
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    base = base_root(arch)
    tools = _tools(base, arch)
    name = f"vidik-{arch.name}-{version}" + ("-dev" if asked.channel == "development" else "")
    built = build(recipe, base, work / "root", disk.env_sector(work))
    made = slot.make(built, recipe, work, 1 if asked.fast else 15)
    image = out / f"{name}.img"
    disk.assemble(recipe, made, tools, image, work)
    results = [image]
    inside = bundle.content(recipe, made, work / "bundle")
    if signer is not None:
        bundle.sign(recipe, inside, signer, out / f"{name}.raucb")
        results.append(out / f"{name}.raucb")
    results += _accounts(tools, built, out, name, made)
    if asked.compress:
        say("disk: compressing")
        run("zstd", "-q", "-f", "-T0", "-10", image, "-o", f"{image}.zst")
        results.append(image.with_suffix(".img.zst"))
    _sums(results, out / f"{name}.SHA256SUMS")
    say(f"done: {out}/{name}.*")
    return out


def _tools(base: Path, arch: settings.Arch) -> Path:
    """An unpacked base root, kept for its GRUB and for the list of its packages."""
    folder = settings.BUILD / "work" / f"tools-{arch.name}"
    mark = folder.with_suffix(".made")
    if not mark.exists() or mark.read_text() != base.name:
        mark.unlink(missing_ok=True)
        say("tools: unpacking")
        unpack(base, folder)
        mark.write_text(base.name)
    return folder


def _accounts(tools: Path, built: Built, out: Path, name: str, made: slot.Slot) -> list[Path]:
    """The lists of what is in the image: Debian's packages, and the SBOM."""
    listed = out / f"{name}.packages"
    listed.write_text("\n".join(packages(tools)) + "\n")
    facts = out / f"{name}.roothash"
    facts.write_text(f"{made.hash}\n")
    results = [listed, facts]
    if built.sbom is not None:
        results.append(Path(shutil.copyfile(built.sbom, out / f"{name}.sbom.json")))
    return results


def _sums(files: list[Path], place: Path) -> None:
    lines = []
    for file in files:
        with file.open("rb") as opened:
            lines.append(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {file.name}")
    place.write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make image", description="Builds the generic image of a camera unit.")
    parser.add_argument("--arch", choices=settings.ARCHES, default="amd64")
    parser.add_argument("--version", default="", help="one to four numbers; default: the day of the last commit")
    parser.add_argument("--floor", default="", help="older bundles are refused from now on; default: the file floor")
    parser.add_argument("--channel", choices=("development", "release"), default="development")
    parser.add_argument("--keyring", type=Path, help="the CA whose bundles the image takes")
    parser.add_argument("--certificate", type=Path, help="of who signs the bundle of a release image")
    parser.add_argument("--key", type=Path, help="of who signs the bundle of a release image")
    parser.add_argument("--epoch", type=int, default=0, help="the image's time; default: that of the last commit")
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--fast", action="store_true", help="compress less: for tests, not for flashing")
    parser.add_argument("--compress", action="store_true", help="also make an .img.zst")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
