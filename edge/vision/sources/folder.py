"""Photos as a frame source: a folder, or a list of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from edge.errors import VidikError
from edge.vision.image import decode
from edge.vision.sources.base import Skip, Source
from edge.vision.values import Pixels

PHOTO_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".pgm", ".ppm", ".pnm", ".tif", ".tiff", ".jp2"}
)


class PhotoSource(Source):
    """Each photo is a scene of its own, of any size.

    Photos follow each other by ``interval`` seconds on the frame clock, long enough for every track of one
    to end before the next, so that neighbours in the alphabet are not taken for neighbours in time.
    """

    def __init__(self, paths: Sequence[Path], wall_start: float = 0.0, interval: float = 5.0) -> None:
        super().__init__(wall_start)
        self._paths = paths
        self._interval = interval

    @classmethod
    def of_folder(cls, folder: Path, wall_start: float = 0.0, interval: float = 5.0) -> PhotoSource:
        """The photos directly in ``folder``, by name. Raises VidikError when it has none or cannot be listed."""
        try:
            entries = sorted(folder.iterdir())
        except OSError as error:
            raise VidikError(f"cannot list the folder {folder}: {error.strerror}; check its permissions") from error
        photos = [
            path
            for path in entries
            if path.suffix.lower() in PHOTO_SUFFIXES and not path.name.startswith(".") and path.is_file()
        ]
        if not photos:
            kinds = ", ".join(sorted(suffix[1:] for suffix in PHOTO_SUFFIXES))
            raise VidikError(f"no photo in {folder}: give a folder that directly holds pictures ({kinds})")
        return cls(photos, wall_start, interval)

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        for path in self._paths:
            pixels = self._read(path)
            if pixels is not None:
                yield pixels, self.delivered * self._interval

    def _read(self, path: Path) -> Pixels | None:
        try:
            pixels = decode(path.read_bytes())
        except OSError:
            self.skipped[Skip.UNREADABLE] += 1
            return None
        except ValueError:
            self.skipped[Skip.TOO_LARGE] += 1
            return None
        if pixels is None:
            self.skipped[Skip.CORRUPT] += 1
        return pixels
