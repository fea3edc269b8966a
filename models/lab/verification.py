"""Face verification from scores: ROC and DET points, rates, and their bootstrap intervals. Pure functions.

A *genuine* pair shows one person twice, an *impostor* pair two. FPR is the share of impostor pairs at or above
the threshold (the false match rate of ISO/IEC 19795-1), TPR that of genuine pairs (1 - false non-match rate).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

MISSING = -1.0
"""Score of a pair in which a face was not found: the camera would not have matched it."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Compared pairs. All arrays have length n.

    ``scores`` are cosines; ``genuine`` is bool; ``people`` is ``int (n, 2)``, the persons of each pair by number,
    or -1 where the set does not tell.
    """

    scores: Reals
    genuine: NDArray[np.bool_]
    people: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def percent(self, digits: int = 2) -> str:
        """As text: ``98.10 % (97.20-98.90)``."""
        return f"{100 * self.value:.{digits}f} % ({100 * self.low:.{digits}f}-{100 * self.high:.{digits}f})"


@dataclass(frozen=True, slots=True)
class Verification:
    """The figures of a set of pairs. ``det`` is ``(m, 2)``: false match rate, false non-match rate."""

    auc: Estimate
    tpr_at_1: Estimate
    tpr_at_01: Estimate
    equal_error: float
    accuracy: float
    genuine: int
    impostor: int
    det: Reals


def all_pairs(vectors: Reals, people: NDArray[np.int64]) -> Pairs:
    """Every pair of ``vectors`` ``(n, d)`` (zero where no face was found) of ``people`` ``(n,)``."""
    norms = np.linalg.norm(vectors, axis=1)
    unit = vectors / np.maximum(norms, 1e-12)[:, None]
    one, other = np.triu_indices(len(vectors), 1)
    scores = (unit @ unit.T)[one, other]
    scores[(norms[one] == 0) | (norms[other] == 0)] = MISSING
    return Pairs(scores, people[one] == people[other], np.stack([people[one], people[other]], axis=1))


def roc(pairs: Pairs, weights: Reals | None = None) -> tuple[Reals, Reals, Reals]:
    """False positive rate, true positive rate and threshold at each distinct score, from the strictest on."""
    weights = np.ones(len(pairs)) if weights is None else weights
    order = np.argsort(-pairs.scores, kind="stable")
    scores = pairs.scores[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.cumsum(np.where(pairs.genuine[order], weights[order], 0.0))[ends]
    alarms = np.cumsum(np.where(pairs.genuine[order], 0.0, weights[order]))[ends]
    return alarms / max(alarms[-1], 1e-12), hits / max(hits[-1], 1e-12), scores[ends]


def auc(fpr: Reals, tpr: Reals) -> float:
    """Area under the ROC curve: the chance that a genuine pair scores above an impostor pair, ties counted half."""
    x, y = np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2))


def tpr_at(fpr: Reals, tpr: Reals, limit: float) -> float:
    """Greatest true positive rate with a false positive rate of at most ``limit``."""
    allowed = tpr[fpr <= limit]
    return float(allowed[-1]) if allowed.size else 0.0


def equal_error(fpr: Reals, tpr: Reals) -> float:
    """Error rate where both kinds of error are alike."""
    miss = 1 - tpr
    i = int(np.argmin(np.abs(fpr - miss)))
    return float((fpr[i] + miss[i]) / 2)


def accuracy(pairs: Pairs, folds: int = 10, seed: int = 0) -> float:
    """Share of pairs told right, each tenth with the threshold that is best on the other nine (LFW's protocol)."""
    fold = np.random.default_rng(seed).permutation(len(pairs)) % folds
    right = 0
    for k in range(folds):
        rest, test = fold != k, fold == k
        threshold = _best_threshold(pairs.scores[rest], pairs.genuine[rest])
        right += int(np.sum((pairs.scores[test] >= threshold) == pairs.genuine[test]))
    return right / len(pairs)


def _best_threshold(scores: Reals, genuine: NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(np.where(genuine[order], 1, -1))
    best = int(np.argmax(gain))
    following = scores[order[best + 1]] if best + 1 < len(order) else scores[order[best]]
    return float((scores[order[best]] + following) / 2)


def resamples(pairs: Pairs, rounds: int, seed: int) -> Iterator[Reals]:
    """Weights of the pairs in each bootstrap round: persons are drawn again where known, else pairs.

    Pairs that share a person are not independent, so drawing pairs alone would give too narrow intervals.
    """
    rng = np.random.default_rng(seed)
    known = bool((pairs.people >= 0).all())
    count = int(pairs.people.max()) + 1 if known else len(pairs)
    for _ in range(rounds):
        drawn = np.bincount(rng.integers(0, count, count), minlength=count).astype(np.float64)
        if not known:
            yield drawn
            continue
        one, other = drawn[pairs.people[:, 0]], drawn[pairs.people[:, 1]]
        yield np.where(pairs.genuine, one, one * other)


def verify(pairs: Pairs, rounds: int = 400, seed: int = 0) -> Verification:
    """All figures of ``pairs``, which must hold genuine and impostor ones (``ValueError`` otherwise)."""
    genuine = int(pairs.genuine.sum())
    if not 0 < genuine < len(pairs):
        raise ValueError("verification needs pairs of one person and pairs of two")
    fpr, tpr, _ = roc(pairs)
    figures = _figures(fpr, tpr)
    again = np.array([_figures(*roc(pairs, w)[:2]) for w in resamples(pairs, rounds, seed)])
    low, high = np.percentile(again, [2.5, 97.5], axis=0)
    area, at_1, at_01 = (Estimate(v, float(a), float(b)) for v, a, b in zip(figures, low, high, strict=True))
    return Verification(
        auc=area,
        tpr_at_1=at_1,
        tpr_at_01=at_01,
        equal_error=equal_error(fpr, tpr),
        accuracy=accuracy(pairs),
        genuine=genuine,
        impostor=len(pairs) - genuine,
        det=np.stack([fpr, 1 - tpr], axis=1),
    )


def _figures(fpr: Reals, tpr: Reals) -> tuple[float, float, float]:
    return auc(fpr, tpr), tpr_at(fpr, tpr, 0.01), tpr_at(fpr, tpr, 0.001)
