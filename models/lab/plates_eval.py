"""``vidik lab plates``: how well plates are found and read in labelled pictures."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from edge.vision.values import Box, Pixels, PlateText
from models.lab import media
from models.lab.labels import Label, Picture, Progress, assign, unseen
from models.lab.plate_metrics import WIDTHS, Outcome, Rate, Read, Row, by_width, confusions, fold, per_plate, row
from models.lab.read import confidence, ranked
from models.lab.stages import reported
from models.lab.still import Seen, StillPath, analyse_still


@dataclass(slots=True)
class Evaluation:
    """Everything measured on one set. ``unmatched`` are detections on no label: (picture, box, best text, reported)."""

    outcomes: list[Outcome] = field(default_factory=list)
    unmatched: list[tuple[Picture, Box, Read]] = field(default_factory=list)
    top_texts: list[tuple[set[str], Read | None]] = field(default_factory=list)
    confidences: list[tuple[float, bool]] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    def overall(self, least_width: float = 0) -> Row:
        """Counts over all labelled plates at least this wide (pixels)."""
        name = f">= {least_width:.0f} px" if least_width else "all"
        return row(name, [o for o in self.outcomes if o.width >= least_width])


def evaluate(
    pictures: Sequence[Picture], path: StillPath[PlateText], folds_o: bool, progress: Progress = unseen
) -> Evaluation:
    """Runs ``path`` over all ``pictures``; with ``folds_o``, O and 0 count as one. Raises ``MediaError``."""
    result = Evaluation()
    for done, picture in enumerate(pictures):
        progress(done, len(pictures))
        still = analyse_still(media.load(picture.path), path)
        result.milliseconds.append(still.milliseconds)
        _judge(picture, ranked(still), folds_o, result)
    progress(len(pictures), len(pictures))
    return result


def _judge(picture: Picture, seen: Sequence[Seen[PlateText]], folds_o: bool, result: Evaluation) -> None:
    reads = [_read(s, folds_o) for s in seen]
    labels = [Label(label.box, fold(label.text) if folds_o else label.text) for label in picture.labels]
    texts = {label.text for label in labels if label.text}
    if texts:
        result.top_texts.append((texts, reads[0] if reads else None))
    given = assign([s.detection.box for s in seen], labels)
    for s, read, index in zip(seen, reads, given, strict=True):
        if index is not None and labels[index].text and read.text:
            result.confidences.append((confidence(s), read.text == labels[index].text))
        if index is None and all(label.box is not None for label in labels):
            result.unmatched.append((picture, s.detection.box, read))
    on_label = {index: read for index, read in zip(given, reads, strict=True) if index is not None}
    for index, label in enumerate(labels):
        if label.box is not None:
            result.outcomes.append(Outcome(label.text, label.box.width, on_label.get(index)))
        else:  # a text without a box: judged on whatever box carries the likeliest text of the picture
            result.outcomes.append(Outcome(label.text, 0.0, reads[0] if reads else None))


def _read(seen: Seen[PlateText], folds_o: bool) -> Read:
    text = seen.description.text if seen.description else ""
    return Read(fold(text) if folds_o else text, reported(seen), seen.detection.box.width)


@dataclass(frozen=True, slots=True)
class Precision:
    """Detections of one range of widths, and how many lie on a label."""

    name: str
    matched: Rate


def precision(result: Evaluation) -> list[Precision]:
    """Share of detections that lie on a label, by the detection's width. Unlabelled plates count against it."""
    hits = [o.read.width for o in result.outcomes if o.read and o.width]
    others = [read.width for _, _, read in result.unmatched]
    rows = []
    for low, high in pairwise(WIDTHS):
        good, bad = (sum(low <= w < high for w in widths) for widths in (hits, others))
        if good + bad:
            rows.append(Precision(f"{low}-{high - 1}" if high < WIDTHS[-1] else f">= {low}", Rate(good, good + bad)))
    return rows


def summary(result: Evaluation, least_width: float) -> dict[str, Any]:
    """The headline figures as plain values: rates 0 to 1 (None without a denominator), times in milliseconds."""
    all_of, wide = result.overall(), result.overall(least_width)
    tops = result.top_texts
    reliable = [o for o in result.outcomes if o.width >= least_width]
    return {
        "pictures": len(result.milliseconds),
        "least_width": least_width,
        "plates": wide.boxes,
        "recall": Rate(wide.detected, wide.boxes).value,
        "readable": wide.readable,
        "exact": Rate(wide.exact, wide.readable).value,
        "exact_per_plate": per_plate(reliable),
        "within_one_edit": Rate(wide.within_one, wide.readable).value,
        "refused": Rate(wide.refused, wide.readable).value,
        "wrong_reports": Rate(wide.wrong, wide.reported).value,
        "unmatched": len(result.unmatched),
        "unmatched_reported": sum(read.reported for _, _, read in result.unmatched),
        "top_of_picture_exact": Rate(sum(r is not None and r.text in t for t, r in tops), len(tops)).value,
        "confusions": _named(confusions(result.outcomes)),
        "ms_median": round(statistics.median(result.milliseconds), 2),
        "ms_p95": round(_quantile(result.milliseconds, 0.95), 2),
        "recall_all_widths": Rate(all_of.detected, all_of.boxes).value,
    }


def _named(found: Counter[tuple[str, str]]) -> dict[str, int]:
    return {f"{a or '-'}>{b or '-'}": n for (a, b), n in found.most_common()}


def _quantile(values: Iterable[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def unmatched_crops(result: Evaluation, most: int = 60) -> list[Pixels]:
    """Pictures of the detections that lie on no label, with surroundings, for a person to judge.

    Those whose text the camera would have sent come first, then those with a text.
    """
    first = sorted(result.unmatched, key=lambda u: (not u[2].reported, not u[2].text))
    return [_crop(media.load(picture.path), box, read) for picture, box, read in first[:most]]


def _crop(pixels: Pixels, box: Box, read: Read) -> Pixels:
    margin = max(box.width, box.height)
    left, top = max(0, int(box.x0 - margin)), max(0, int(box.y0 - margin))
    part = pixels[top : int(box.y1 + margin), left : int(box.x1 + margin)]
    factor = 320 / part.shape[1]
    crop = media.scaled(part, factor)
    shown = Box((box.x0 - left) * factor, (box.y0 - top) * factor, (box.x1 - left) * factor, (box.y1 - top) * factor)
    media.draw_box(crop, shown, f"{read.text} sent" if read.reported else read.text, (0, 220, 255))
    return crop


def tables(result: Evaluation, least_width: float) -> list[Any]:
    """The measured figures as Rich tables."""
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    columns = "width", "plates", "found %", "readable", "exact %", "≤ 1 edit %", "refused %", "sent", "wrong"
    by = Table(*columns, title="By width", box=box.SIMPLE, padding=(0, 1, 0, 0))
    for r in [*by_width(result.outcomes), result.overall(), result.overall(least_width)]:
        rates = [Rate(n, r.readable).percent for n in (r.exact, r.within_one, r.refused)]
        found_here = Rate(r.detected, r.boxes).percent
        by.add_row(r.name, str(r.boxes), found_here, str(r.readable), *rates, str(r.reported), str(r.wrong))
    found = Table("width", "detections on a label", title="Precision (plates without a label count against it)")
    for p in precision(result):
        found.add_row(p.name, str(p.matched))
    figures = Table("figure", "value", title=f"Summary, plates >= {least_width:.0f} px")
    for key, value in summary(result, least_width).items():
        shown = f"{value:.4g}" if isinstance(value, float) else str(value)
        if isinstance(value, dict):
            shown = ", ".join(f"{k} {n}" for k, n in list(value.items())[:12])
        figures.add_row(key.replace("_", " "), shown)
    return [by, found, figures]
