"""``vidik lab faces``: how well faces are found, and how well embeddings tell people apart."""

from __future__ import annotations

import csv
import fnmatch
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import VidikError
from edge.vision.values import FaceTemplate
from models.lab import media
from models.lab.faces import ranked
from models.lab.labels import Picture, Progress, assign, unseen
from models.lab.plate_metrics import Rate
from models.lab.still import StillPath, analyse_still
from models.lab.verification import MISSING, Pairs, Reals, Verification, all_pairs

HEIGHTS = (0, 16, 24, 32, 48, 64, 96, 128, 192, 1_000_000)
"""Edges of the bins of face height, in pixels of the picture examined."""


class FacesError(VidikError):
    """The folder or pairs file does not describe a verification set."""


@dataclass(slots=True)
class Embeddings:
    """The most prominent face of each picture: ``vectors`` by path, None where no face was found."""

    vectors: dict[Path, Reals | None] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def missing(self) -> list[Path]:
        """Pictures in which no face was found."""
        return [path for path, vector in self.vectors.items() if vector is None]


def embed(images: Sequence[Path], path: StillPath[FaceTemplate], progress: Progress = unseen) -> Embeddings:
    """Finds and embeds the face of each of ``images``; of several, the most prominent. Raises ``MediaError``."""
    result = Embeddings()
    for done, image in enumerate(images):
        progress(done, len(images))
        still = analyse_still(media.load(image), path)
        result.vectors[image] = next((t.vector.astype(np.float64) for _, t in ranked(still)), None)
        result.milliseconds.append(still.milliseconds)
    progress(len(images), len(images))
    return result


def people_of(folder: Path, patterns: Sequence[str] = ("*",)) -> dict[str, list[Path]]:
    """The pictures of each person in ``folder``: one subfolder a person, its name matching one of ``patterns``.

    Raises ``FacesError`` when fewer than two persons are left.
    """
    people: dict[str, list[Path]] = {}
    for inside in sorted(p for p in folder.iterdir() if p.is_dir()):
        images = sorted(p for p in inside.iterdir() if p.suffix.lower() in media.SUFFIXES)
        if images and any(fnmatch.fnmatch(inside.name, pattern) for pattern in patterns):
            people[inside.name] = images
    if len(people) < 2:
        raise FacesError(f"{folder} has fewer than two folders of pictures, one a person. Check the path or --people.")
    return people


def pairs_of_people(people: dict[str, list[Path]], found: Embeddings) -> Pairs:
    """Every pair of the pictures of ``people``."""
    numbers = [i for i, images in enumerate(people.values()) for _ in images]
    vectors = [found.vectors[image] for images in people.values() for image in images]
    length = next((len(v) for v in vectors if v is not None), 1)
    return all_pairs(np.stack([np.zeros(length) if v is None else v for v in vectors]), np.array(numbers, np.int64))


def load_pairs(file: Path) -> list[tuple[Path, Path, bool]]:
    """The pairs of a CSV file with the columns ``a``, ``b`` (paths, relative to the file) and ``same`` (0 or 1).

    Raises ``FacesError``.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        pairs = [(file.parent / row["a"], file.parent / row["b"], _truth(row["same"])) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise FacesError(
            f"The pairs file {file} cannot be used: {error}. Its columns are a,b,same (0 or 1)."
        ) from error
    if len({same for _, _, same in pairs}) < 2:
        raise FacesError(f"The pairs file {file} needs pairs of one person (same=1) and pairs of two (same=0).")
    return pairs


def _truth(text: str) -> bool:
    if text.strip() not in {"0", "1"}:
        raise ValueError(f"same is {text!r}")
    return text.strip() == "1"


def score_pairs(pairs: Iterable[tuple[Path, Path, bool]], found: Embeddings) -> Pairs:
    """The pairs with their cosines; who is in them is not known."""
    listed = list(pairs)
    scores = [_cosine(found.vectors[a], found.vectors[b]) for a, b, _ in listed]
    unknown = np.full((len(listed), 2), -1, np.int64)
    return Pairs(np.array(scores), np.array([same for _, _, same in listed]), unknown)


def _cosine(a: Reals | None, b: Reals | None) -> float:
    if a is None or b is None:
        return MISSING
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12))


@dataclass(slots=True)
class Detections:
    """Labelled faces: for each its height in pixels and whether it was found; boxes on no label; times."""

    faces: list[tuple[float, bool]] = field(default_factory=list)
    unmatched: int = 0
    pictures: int = 0
    milliseconds: list[float] = field(default_factory=list)

    def by_height(self) -> list[tuple[str, Rate]]:
        """Recall for each bin of ``HEIGHTS`` that has faces."""
        rows = []
        for low, high in pairwise(HEIGHTS):
            inside = [found for height, found in self.faces if low <= height < high]
            if inside:
                name = f"{low}-{high - 1}" if high < HEIGHTS[-1] else f">= {low}"
                rows.append((name, Rate(sum(inside), len(inside))))
        return rows


def detect(
    pictures: Sequence[Picture],
    path: StillPath[FaceTemplate],
    median_height: float | None = None,
    progress: Progress = unseen,
) -> Detections:
    """Finds faces in labelled ``pictures``. Raises ``MediaError``.

    With ``median_height``, each picture is first resized so that its median labelled face is that many pixels high.
    """
    result = Detections()
    for done, picture in enumerate(pictures):
        progress(done, len(pictures))
        boxes = [label.box for label in picture.labels if label.box is not None]
        factor = median_height / statistics.median(b.height for b in boxes) if median_height and boxes else 1.0
        pixels = media.load(picture.path)
        still = analyse_still(pixels if factor == 1.0 else media.scaled(pixels, factor), path)
        seen = [type(s.detection.box)(*(v / factor for v in s.detection.box)) for s in still.seen]
        given = assign(seen, picture.labels)
        on_label = {index for index in given if index is not None}
        result.faces += [
            (label.box.height * factor, i in on_label) for i, label in enumerate(picture.labels) if label.box
        ]
        result.unmatched += given.count(None)
        result.milliseconds.append(still.milliseconds)
    result.pictures = len(pictures)
    progress(len(pictures), len(pictures))
    return result


def verification_table(name: str, figures: Verification, found: Embeddings) -> Any:
    """The verification figures as a Rich table."""
    from rich.table import Table  # noqa: PLC0415

    table = Table("figure", "value (95 % interval)", title=f"Verification, {name}")
    table.add_row("pictures / no face found", f"{len(found.vectors)} / {len(found.missing)}")
    table.add_row("genuine / impostor pairs", f"{figures.genuine} / {figures.impostor}")
    area = figures.auc
    table.add_row("AUC", f"{area.value:.5f} ({area.low:.5f}-{area.high:.5f})")
    table.add_row("TPR at FPR 1 %", figures.tpr_at_1.percent())
    table.add_row("TPR at FPR 0.1 %", figures.tpr_at_01.percent())
    table.add_row("equal error rate", f"{100 * figures.equal_error:.2f} %")
    table.add_row("accuracy, 10 folds", f"{100 * figures.accuracy:.2f} %")
    table.add_row("median ms a picture", f"{statistics.median(found.milliseconds):.1f}")
    return table


def detection_table(found: Detections) -> Any:
    """Recall by face height as a Rich table."""
    from rich.table import Table  # noqa: PLC0415

    table = Table("face height, px", "found", title="Detection")
    for name, rate in found.by_height():
        table.add_row(name, str(rate))
    table.add_row("all", str(Rate(sum(hit for _, hit in found.faces), len(found.faces))))
    table.add_row("detections on no label", f"{found.unmatched} in {found.pictures} pictures")
    table.add_row("median ms a picture", f"{statistics.median(found.milliseconds):.1f}")
    return table
