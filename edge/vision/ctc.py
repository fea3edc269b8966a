"""Connectionist temporal classification (Graves et al., 2006): from step probabilities to texts.

Class 0 is the blank. Inputs are natural logarithms of probabilities, ``float (steps, classes)``.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edge.vision.values import Floats

Labels = tuple[int, ...]

_IGNORED = 5e-4  # classes below this probability are not followed
_HOPELESS = 1e-4  # nor are prefixes this much less likely than the likeliest


def log_softmax(logits: Floats) -> Floats:
    """Natural logarithms of the probabilities over the last axis."""
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)), np.float32)


def beams(log_probs: Floats, width: int = 8) -> list[Labels]:
    """The likeliest label sequences by prefix beam search (Hannun et al., 2014), best first; at most ``width``.

    Sequences that fall behind the best by a factor of 10,000 on the way are given up.
    """
    probs = np.exp(log_probs.astype(np.float64))
    # prefix -> probability of its paths that end in a blank, and of those that do not
    found: dict[Labels, tuple[float, float]] = {(): (1.0, 0.0)}
    followed: list[list[int]] = [[] for _ in probs]
    for row, label in np.argwhere(probs[:, 1:] > _IGNORED).tolist():
        followed[row].append(label + 1)
    for step, likely in zip(probs.tolist(), followed, strict=True):
        blank = step[0]
        if not likely:
            found = {p: ((b + n) * blank, 0.0) for p, (b, n) in found.items()}
            continue
        grown: dict[Labels, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for prefix, (ends_blank, ends_label) in found.items():
            total = ends_blank + ends_label
            grown[prefix][0] += total * blank
            for label in likely:
                p = step[label]
                if prefix and prefix[-1] == label:
                    grown[prefix][1] += ends_label * p
                    grown[(*prefix, label)][1] += ends_blank * p
                else:
                    grown[(*prefix, label)][1] += total * p
        least = _HOPELESS * max(b + n for b, n in grown.values())
        found = {prefix: (b, n) for prefix, (b, n) in grown.items() if b + n >= least}
        if len(found) > width:
            found = dict(heapq.nlargest(width, found.items(), key=lambda item: item[1][0] + item[1][1]))
    return sorted(found, key=lambda prefix: -sum(found[prefix]))


def log_likelihoods(log_probs: Floats, candidates: Sequence[Labels]) -> NDArray[np.float64]:
    """Natural logarithm of the probability of each label sequence, by the forward algorithm.

    ``log_probs`` is ``(views, steps, classes)``; the result is ``float64 (views, candidates)``.
    """
    longest = max((len(c) for c in candidates), default=0)
    states = np.zeros((len(candidates), 2 * longest + 1), np.intp)
    for row, labels in enumerate(candidates):
        states[row, 1 : 2 * len(labels) : 2] = labels
    # a label may follow another label directly unless it is the same one
    skips = np.zeros(states.shape)
    skips[:, 3::2] = states[:, 3::2] != states[:, 1:-2:2]
    emitted = np.exp(log_probs.astype(np.float64)).transpose(1, 0, 2)[:, :, states]
    reached = np.zeros(emitted.shape[1:])
    reached[..., :2] = emitted[0, ..., :2]
    # everything is made once: the arrays are so small that making them is what would cost
    sums, skipped, skips = np.empty_like(reached), np.empty_like(reached[..., 2:]), skips[:, 2:]
    next_sums, after_sums, here, before = sums[..., 1:], sums[..., 2:], reached[..., :-1], reached[..., :-2]
    peaks = np.empty((len(emitted) - 1, *reached.shape[:-1], 1))
    for step, peak in zip(emitted[1:], peaks, strict=True):
        np.multiply(skips, before, skipped)
        np.copyto(sums, reached)
        np.add(next_sums, here, next_sums)
        np.add(after_sums, skipped, after_sums)
        np.multiply(sums, step, reached)
        reached.max(-1, peak, keepdims=True, initial=1e-300)
        np.divide(reached, peak, reached)
    scale = np.log(peaks[..., 0]).sum(0)
    ends = np.array([2 * len(c) for c in candidates])
    rows = np.arange(len(candidates))
    last = reached[:, rows, ends] + np.where(ends > 0, reached[:, rows, np.maximum(ends - 1, 0)], 0.0)
    return np.asarray(np.log(np.maximum(last, 1e-300)) + scale, np.float64)
