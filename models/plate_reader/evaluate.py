"""Measures the shipped reader: ``python -m models.plate_reader.evaluate [--float MODEL]``.

Given corners, no detector: the valid split of plates-ro, and drawn plates in typefaces and of seeds that
neither the training nor the calibration has seen. Prints Markdown tables for the card.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.vision.answers import Tensor
from edge.vision.plate_confidence import Confidence
from edge.vision.plate_reader import PlateReader, vote
from edge.vision.plate_strip import STEP
from edge.vision.runtime import Entry, Fill, load
from models.plate_reader import real
from models.plate_reader.calibrate import cases, groups, judged, reliability
from models.plate_reader.samples import Group, drawn, nothing, singles

SEED = 90210  # neither the training's nor the calibration's


class FloatModel:
    """A float TFLite model in the place of the int8 one, to compare."""

    def __init__(self, path: Path, entry: Entry) -> None:
        from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

        self.entry = entry
        self._interpreter = Interpreter(str(path), num_threads=1)
        self._interpreter.allocate_tensors()
        self._given = self._interpreter.get_input_details()[0]
        self._made = self._interpreter.get_output_details()[0]["index"]
        self.shape = tuple(int(n) for n in self._given["shape"])
        self.takes = np.dtype(np.uint8)

    def run(self, values: Tensor | Fill) -> list[NDArray[np.float32]]:
        """As ``runtime.Model.run``."""
        if callable(values):
            fill, values = values, np.empty(self.shape, self.takes)
            fill(values)
        self._interpreter.set_tensor(self._given["index"], (values.astype(np.float32) - 128) / np.float32(STEP))
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(self._made), np.float32)]


def boxes(part: str, at_least: int, grow: Sequence[float] = (0, 0, 0, 0)) -> list[Group]:
    """The readable plates of ``part`` from a width on, with their boxes for corners, moved outwards by ``grow``."""
    sides = np.array(grow, np.float32)
    return [Group(((c.pixels, c.corners(sides)),), c.text, "photo") for c in real.plates(part) if c.width >= at_least]


def score(reader: PlateReader, wanted: Sequence[Group]) -> dict[str, float]:
    """Shares of ``wanted``: exact, exact with O and 0 alike, per plate, refused, and wrong among the reported."""
    refuse = Confidence.load().refuse_below
    exact, alike, reported, wrong = 0, 0, 0, 0
    by_plate: dict[str, list[bool]] = {}
    for case in cases(reader, wanted):
        seen = vote(case.readings, [1.0] * len(case.readings))
        text = "" if seen is None else seen.text
        exact += text == case.text
        alike += text.replace("O", "0") == case.text.replace("O", "0")
        by_plate.setdefault(case.text, []).append(text == case.text)
        if seen is not None and seen.confidence >= refuse:
            reported += 1
            wrong += text != case.text
    n = max(1, len(wanted))
    return {
        "n": len(wanted), "exact": exact / n, "O=0": alike / n, "refused": 1 - reported / n,
        "per plate": float(np.mean([np.mean(v) for v in by_plate.values()])), "wrong": wrong / max(1, reported),
    }


def condition(
    seed: int, count: int, difficulty: float, keep: Callable[[Group], bool], country: str | None
) -> list[Group]:
    """Drawn single shots that ``keep`` accepts."""
    return [g for g in singles(seed, count, country, difficulty) if keep(g)][:1000]


def tables(reader: PlateReader) -> dict[str, dict[str, float]]:
    """Every figure of the card, by the name of its row."""
    diacritics = set("ČĆĐŠŽ")
    sets: dict[str, list[Group]] = {
        "plates-ro valid, 80 px and more, given boxes": boxes("valid", 80),
        "plates-ro valid, all readable (70 px and more)": boxes("valid", 0),
        "the same, boxes 6 % tighter": boxes("valid", 0, (-0.06, -0.06, -0.06, -0.06)),
        "the same, boxes 12 % looser": boxes("valid", 0, (0.12, 0.12, 0.12, 0.12)),
        "drawn Serbian, difficulty to 0.5": singles(SEED, 1000, "RS", 0.5),
        "drawn Serbian, difficulty to 0.75": singles(SEED + 1, 1000, "RS", 0.75),
        "drawn Serbian, difficulty to 1": singles(SEED + 2, 1000, "RS", 1.0),
        "drawn Serbian with Č Ć Đ Š Ž, to 0.75": condition(
            SEED + 3, 4000, 0.75, lambda g: bool(diacritics & set(g.text)), "RS"),
        "drawn, any country, to 0.75": singles(SEED + 4, 1000, None, 0.75),
        "drawn, any country, 1-4 shots, to 1": drawn(SEED + 6, 1000),
        "nothing: signs, badges, grilles, streets": nothing(SEED, 2000),
    }
    return {name: score(reader, wanted) for name, wanted in sets.items()}


def speed(reader: PlateReader) -> tuple[float, float]:
    """Median milliseconds of a ``read`` and of a ``vote`` over five shots."""
    shots = [shot for group in singles(SEED + 9, 60) for shot in group.shots]
    reads, votes = [], []
    for start in range(0, len(shots), 5):
        readings = []
        for shot in shots[start : start + 5]:
            began = time.perf_counter()
            readings.append(reader.read(*shot))
            reads.append(time.perf_counter() - began)
        began = time.perf_counter()
        vote(readings, [1.0] * len(readings))
        votes.append(time.perf_counter() - began)
    return float(np.median(reads)) * 1e3, float(np.median(votes)) * 1e3


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--float", type=Path, help="the float model, to show what int8 costs")
    given = parser.parse_args()
    model = load("plate-reader")
    readers = {"int8": PlateReader(model)}
    if given.float:
        readers["float"] = PlateReader(FloatModel(given.float, model.entry))
    for kind, reader in readers.items():
        print(f"\n| {kind} | n | exact | O = 0 | per plate | refused | wrong among reported |")
        print("|---|---|---|---|---|---|---|")
        for name, row in tables(reader).items():
            rest = " | ".join(f"{100 * row[k]:.1f} %" for k in ("exact", "O=0", "per plate", "refused", "wrong"))
            print(f"| {name} | {row['n']} | {rest} |", flush=True)
    reader = readers["int8"]
    pairs = judged(cases(reader, groups(SEED)), Confidence.load().format_weight)
    sure = np.array([Confidence.load().of(evidence) for evidence, _ in pairs])
    print("\n| confidence | texts | said | was |\n|---|---|---|---|")
    for low, high, count, said, was in reliability(sure, np.array([right for _, right in pairs])):
        print(f"| {low:.2f}-{high:.2f} | {count} | {said:.3f} | {was:.3f} |")
    print("\nread {:.2f} ms, vote of five {:.2f} ms".format(*speed(reader)))


if __name__ == "__main__":
    main()
