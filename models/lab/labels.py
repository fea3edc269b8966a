"""Labels of evaluation sets: one CSV file in the folder of the pictures."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from edge.errors import VidikError
from edge.vision.values import Box

Progress = Callable[[int, int], None]
"""Called with how many pictures are done and how many there are (0 when nobody knows)."""


def unseen(_done: int, _of: int) -> None:
    """A ``Progress`` that shows nothing."""


class LabelsError(VidikError):
    """The labels file is absent, ambiguous or wrong; the message names the line."""


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled object: ``box`` in pixels of its picture, or None; ``text`` is "" when nobody can read it."""

    box: Box | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of the set and everything labelled in it."""

    path: Path
    labels: list[Label] = field(default_factory=list)


def find_file(folder: Path, named: Path | None = None) -> Path:
    """The labels file: ``named``, else ``labels.csv`` of ``folder``, else its only CSV file. Raises ``LabelsError``."""
    if named is not None:
        return named
    usual = folder / "labels.csv"
    others = sorted(folder.glob("*.csv"))
    if usual.is_file():
        return usual
    if len(others) == 1:
        return others[0]
    raise LabelsError(
        f"{folder} has {'several CSV files and none called' if others else 'no'} labels.csv. Name the file "
        "with --labels; its columns are image,x,y,w,h,text[,readable][,split], or just image,text."
    )


def load(folder: Path, file: Path, split: str = "") -> list[Picture]:
    """The pictures that ``file`` labels, in its order; with ``split``, only rows of that split.

    Columns: ``image`` (path relative to ``folder`` or to its subfolder ``images``), optionally ``x``, ``y``,
    ``w``, ``h`` (pixels), ``text``, ``readable`` (0 or 1) and ``split``. A row without box and text says that
    the picture shows nothing. Raises ``LabelsError``.
    """
    pictures: dict[str, Picture] = {}
    for line, row in _rows(file, bool(split)):
        if split and row["split"] != split:
            continue
        name = row["image"]
        if name not in pictures:
            pictures[name] = Picture(_locate(folder, name, line))
        label = _label(row, file, line)
        if label.box is not None or label.text:
            pictures[name].labels.append(label)
    if not pictures:
        raise LabelsError(f"{file} has no row{f' of split {split!r}' if split else ''}. Check the file or --split.")
    return list(pictures.values())


def _rows(file: Path, wants_split: bool) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = set(reader.fieldnames or ())
            if "image" not in columns or (wants_split and "split" not in columns):
                missing = "image" if "image" not in columns else "split"
                raise LabelsError(f"{file} has no column {missing!r} in its first line. Add the header line.")
            for row in reader:
                yield reader.line_num, {key: (row[key] or "").strip() for key in columns}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelsError(f"The labels file {file} cannot be read: {error}. Mend it or name another.") from error


def _locate(folder: Path, name: str, line: int) -> Path:
    for path in (folder / name, folder / "images" / name):
        if path.is_file():
            return path
    raise LabelsError(
        f"Line {line} of the labels names {name!r}, found neither in {folder} nor in {folder / 'images'}."
    )


def _label(row: dict[str, str], file: Path, line: int) -> Label:
    readable = row.get("readable", "1") != "0"
    text = row.get("text", "").upper().replace(" ", "").replace("-", "") if readable else ""
    given = [row.get(key, "") for key in ("x", "y", "w", "h")]
    if not any(given):
        return Label(None, text)
    try:
        x, y, width, height = (float(value) for value in given)
    except ValueError as error:
        raise LabelsError(f"Line {line} of {file}: x, y, w, h must be four numbers, not {given}.") from error
    return Label(Box(x, y, x + width, y + height), text)


def assign(boxes: list[Box], labels: list[Label], iou: float = 0.3) -> list[int | None]:
    """For each of ``boxes``, the index of the label it is on, or None: pairs of most overlap first, one to one."""
    pairs = [
        (box.iou(label.box), b, i)
        for b, box in enumerate(boxes)
        for i, label in enumerate(labels)
        if label.box is not None
    ]
    given: list[int | None] = [None] * len(boxes)
    taken: set[int] = set()
    for overlap, b, i in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= iou and given[b] is None and i not in taken:
            given[b] = i
            taken.add(i)
    return given
