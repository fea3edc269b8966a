"""Fits the reader's confidence: ``python -m models.plate_reader.calibrate``; writes ``models/plate_reader.json``.

On plates the reader was not trained with: drawn ones in kept-back typefaces, kept-back stretches of the train
split of plates-ro, and pictures of no plate. One half of them fits the weights, the other is reported on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.vision.plate_confidence import FILE, Evidence
from edge.vision.plate_reader import PlateReader, Reading, weigh
from edge.vision.runtime import load
from models.manifest import FOLDER
from models.plate_reader.samples import Group, drawn, nothing, photographed, singles

SEED = 4711
_FORMAT_WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8)
_RIDGE = 1e-3
_WRONG_REPORTS = 0.005  # the share of reported texts that may be wrong at the refusal threshold


@dataclass(frozen=True)
class Case:
    """A group as the reader saw it."""

    readings: tuple[Reading, ...]
    text: str
    source: str


def cases(reader: PlateReader, groups: Sequence[Group]) -> list[Case]:
    """``groups`` read, shot by shot."""
    return [Case(tuple(reader.read(*shot) for shot in g.shots), g.text, g.source) for g in groups]


def groups(seed: int) -> list[Group]:
    """What the calibration looks at; another seed gives other pictures of the same kinds."""
    return [
        *drawn(seed, 1400),
        *drawn(seed + 1, 500, "RS"),
        *singles(seed + 2, 500, difficulty=0.7),
        *photographed("dev", seed, 700),
        *nothing(seed, 900),
    ]


def judged(found: Sequence[Case], format_weight: float) -> list[tuple[Evidence, bool]]:
    """The evidence of every case that gave a text, and whether its first text is right."""
    out = []
    for case in found:
        evidence = weigh(case.readings, [1.0] * len(case.readings), format_weight)
        if evidence is not None:
            out.append((evidence, evidence.texts[0] == case.text))
    return out


def fit(pairs: Sequence[tuple[Evidence, bool]]) -> NDArray[np.float64]:
    """Weights of the logistic model by Newton's method with a slight ridge."""
    x = np.stack([evidence.features() for evidence, _ in pairs])
    y = np.array([right for _, right in pairs], np.float64)
    weights = np.zeros(x.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x @ weights))
        gradient = x.T @ (p - y) + _RIDGE * weights
        curve = (x * (p * (1 - p))[:, None]).T @ x + _RIDGE * np.eye(len(weights))
        step = np.linalg.solve(curve, gradient)
        weights -= step
        if np.abs(step).max() < 1e-9:
            break
    return weights


def reliability(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[float, float, int, float, float]]:
    """Rows of a reliability table: from, to, number of texts, mean confidence, share that is right."""
    edges = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0001)
    rows = []
    for low, high in pairwise(edges):
        inside = (sure >= low) & (sure < high)
        if inside.any():
            said, was = float(sure[inside].mean()), float(right[inside].mean())
            rows.append((low, min(1.0, high), int(inside.sum()), said, was))
    return rows


def threshold(sure: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The lowest confidence above which at most ``_WRONG_REPORTS`` of the texts are wrong."""
    order = np.argsort(-sure)
    wrong = np.cumsum(~right[order]) / np.arange(1, len(order) + 1)
    good = np.flatnonzero(wrong <= _WRONG_REPORTS)
    return float(sure[order][good[-1]]) if len(good) else 1.0


def main() -> None:
    """Fits, stores and reports."""
    model = load("plate-reader")
    found = cases(PlateReader(model), groups(SEED))
    learn, check = found[::2], found[1::2]
    exact = {}
    for weight in _FORMAT_WEIGHTS:
        by_source = {}
        for source in ("drawn", "photo"):
            wanted = [c for c in learn if c.source == source]
            by_source[source] = sum(right for _, right in judged(wanted, weight)) / len(wanted)
        exact[weight] = by_source
        print(f"format weight {weight}: " + "  ".join(f"{k} {v:.4f}" for k, v in by_source.items()), flush=True)
    best = max(exact, key=lambda w: (round(exact[w]["drawn"] + exact[w]["photo"], 3), -w))
    weights = fit(judged(learn, best))
    pairs = judged(check, best)
    x = np.stack([evidence.features() for evidence, _ in pairs])
    sure, right = 1 / (1 + np.exp(-x @ weights)), np.array([r for _, r in pairs])
    refuse = threshold(sure, right)
    for low, high, count, said, was in reliability(sure, right):
        print(f"{low:.2f}-{high:.2f}  {count:5d}  said {said:.3f}  was {was:.3f}")
    reported = sure >= refuse
    print(f"format weight {best}; refuse below {refuse:.4f}: {reported.sum()} of {len(check)} reported, "
          f"{(~right[reported]).sum()} of them wrong")
    stored = {
        "provenance": f"models/plate_reader/calibrate.py, seed {SEED}; logistic model on {len(learn)} groups of shots",
        "model": model.entry.sha256,
        "format_weight": best,
        "weights": [round(float(w), 6) for w in weights],
        "refuse_below": round(refuse, 4),
    }
    (FOLDER / FILE).write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
