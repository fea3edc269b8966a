"""The persons of the demonstration: photographs in the public domain that come inside Python packages.

Both were taken by the government of the United States, whose works are in the public domain:

* Eileen Collins, astronaut: ``skimage/data/astronaut.png`` of scikit-image, which states that it comes from
  the NASA Great Images database, without known copyright restrictions and released into the public domain.
* Grace Hopper, rear admiral: her United States Navy portrait, ``mpl-data/sample_data/grace_hopper.jpg`` of
  Matplotlib.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from provisioning.demo.lettering import package_file


@dataclass(frozen=True)
class Portrait:
    """Where the photograph is, and in its pixels: the head's outline, the chin, the face's box."""

    package: str
    file: str
    outline: tuple[tuple[int, int], ...]
    face: tuple[int, int, int, int]
    crown: int
    chin: int


PORTRAITS = {
    "collins": Portrait(
        "skimage",
        "data/astronaut.png",
        ((198, 22), (222, 14), (255, 18), (281, 36), (296, 64), (299, 92), (290, 112), (279, 124), (271, 134),
         (268, 150), (262, 168), (256, 178), (256, 191), (192, 191), (190, 165), (186, 150), (185, 132), (176, 126),
         (164, 112), (155, 92), (158, 64), (172, 44), (188, 33)),
        (184, 66, 272, 186),
        14,
        186,
    ),
    "hopper": Portrait(
        "matplotlib",
        "mpl-data/sample_data/grace_hopper.jpg",
        ((178, 70), (190, 56), (214, 40), (240, 28), (262, 23), (300, 34), (326, 50), (346, 72), (358, 92), (369, 106),
         (370, 130), (364, 180), (371, 210), (360, 262), (350, 294), (332, 304), (322, 336), (320, 358), (262, 376),
         (212, 358), (207, 318), (198, 300), (182, 284), (168, 256), (155, 222), (157, 170), (158, 130), (158, 96)),
        (168, 140, 360, 334),
        62,
        334,
    ),
}  # fmt: skip


def photos() -> dict[str, Path]:
    """The original photographs by person. Raises VidikError when their packages are not installed."""
    return {name: package_file(portrait.package, portrait.file) for name, portrait in PORTRAITS.items()}


def head(name: str) -> tuple[Image.Image, tuple[float, float, float, float], tuple[int, int]]:
    """The person's head cut out with a soft edge; the face's box in it; its rows of crown and chin."""
    portrait = PORTRAITS[name]
    picture = Image.open(package_file(portrait.package, portrait.file)).convert("RGBA")
    mask = Image.new("L", picture.size, 0)
    ImageDraw.Draw(mask).polygon(portrait.outline, 255)
    picture.putalpha(mask.filter(ImageFilter.MinFilter(3)).filter(ImageFilter.GaussianBlur(1.6)))
    columns = [x for x, _ in portrait.outline]
    rows = [y for _, y in portrait.outline]
    x0, y0, x1, y1 = min(columns) - 4, min(rows) - 4, max(columns) + 4, max(rows) + 4
    face = (portrait.face[0] - x0, portrait.face[1] - y0, portrait.face[2] - x0, portrait.face[3] - y0)
    return picture.crop((x0, y0, x1, y1)), face, (portrait.crown - y0, portrait.chin - y0)
