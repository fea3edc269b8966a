"""The arithmetic of verification: pairs, areas, rates, and the tail of the impostors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Labels = NDArray[np.intp]


class Pairs(NamedTuple):
    """Cosines of all pairs, each pair once: ``genuine`` of one person, ``impostor`` of two."""

    genuine: Numbers
    impostor: Numbers


def pairs(vectors: Numbers, subjects: Labels) -> Pairs:
    """All pairs of ``vectors`` ``(n, d)``, which need not have norm 1."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    upper = np.triu_indices(len(unit), 1)
    cosines, same = (unit @ unit.T)[upper], (subjects[:, None] == subjects[None])[upper]
    return Pairs(cosines[same], cosines[~same])


def auc(scores: Pairs) -> float:
    """Area under the ROC curve: the chance that a genuine pair outscores an impostor pair, ties by half."""
    below = np.sort(scores.impostor)
    ranks = np.searchsorted(below, scores.genuine, "left") + np.searchsorted(below, scores.genuine, "right")
    return float(ranks.mean() / 2 / len(below))


def threshold_at(impostor: Numbers, rate: float) -> float:
    """The lowest cosine that at most the share ``rate`` of ``impostor`` reaches."""
    allowed = int(rate * len(impostor))
    return float(np.nextafter(np.sort(impostor)[::-1][allowed], np.inf))


def tail_threshold_at(impostor: Numbers, rate: float, tail: float = 0.02) -> float:
    """Like ``threshold_at`` beyond what the pairs can show: a generalised Pareto tail, fitted by moments.

    The highest share ``tail`` of the scores is taken as the tail (Pickands, 1975; moments: Hosking and
    Wallis, 1987).
    """
    start = float(np.quantile(impostor, 1 - tail))
    excess = impostor[impostor > start] - start
    mean, variance = excess.mean(), excess.var()
    shape = 0.5 * (1 - mean**2 / variance)
    scale = 0.5 * mean * (mean**2 / variance + 1)
    ratio = tail / rate
    return start + float(scale * np.log(ratio) if abs(shape) < 1e-6 else scale / shape * (ratio**shape - 1))


def rate_at(scores: Numbers, threshold: float) -> float:
    """The share of ``scores`` that reach ``threshold``."""
    return float((scores >= threshold).mean())


def interval(vectors: Numbers, subjects: Labels, draws: int = 300, seed: int = 3) -> tuple[float, float]:
    """95 % interval of the AUC: people are drawn with replacement, since photos of one are not independent."""
    rng = np.random.default_rng(seed)
    people, person = np.unique(subjects, return_inverse=True)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    first, second = np.triu_indices(len(unit), 1)
    cosines, same = (unit @ unit.T)[first, second], person[first] == person[second]
    found = []
    for _ in range(draws):
        times = rng.multinomial(len(people), np.full(len(people), 1 / len(people)))
        genuine = np.repeat(cosines[same], times[person[first[same]]])
        impostor = np.repeat(cosines[~same], times[person[first[~same]]] * times[person[second[~same]]])
        found.append(auc(Pairs(genuine, impostor)))
    return float(np.quantile(found, 0.025)), float(np.quantile(found, 0.975))
