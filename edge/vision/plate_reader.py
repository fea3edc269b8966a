"""Reads plates: from a crop and the plate's corners to character probabilities, and from several to one text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edge.vision import ctc, plate_formats, runtime
from edge.vision.plate_confidence import Confidence, Evidence
from edge.vision.plate_strip import TWO_ROW, aspect, grown, strip
from edge.vision.values import Floats, Pixels, PlateText

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZČĆĐŠŽ"

_UNSURE_SHAPE = (TWO_ROW - 0.45, TWO_ROW + 0.4)  # widths by heights that are tried as one row and as two
_VIEWS = ((0.0, 0.0), (0.03, 0.1), (-0.02, -0.06))  # how far out the corners are moved, across and down
_SHORTEST = 3  # fewer characters are no plate
_FLOOR = -9.0  # one shot, however wrong, speaks against a text by no more than this (natural logarithm)
_HOPELESS = -4.0  # of 1,500 drawn plates, none whose every picture was less certain than this was read right
_LISTENED = 5  # shots whose own best texts become candidates
_ALTERNATES = 3
_CENTRED = (0.38, 0.64)  # of 2,500 texts that were read right, all had their middle here, across the strip
_ASKEW = 0.05  # confidence at most where it is elsewhere: glare or the picture's edge has taken a side of the plate


@dataclass(frozen=True, eq=False)
class Reading:
    """What one crop says: ``log_probs`` ``float32 (views, steps, 1 + len(ALPHABET))``, class 0 for no character.

    A view is the plate cut with its corners a little further in or out: where the views disagree, corners or
    characters are doubtful.
    """

    log_probs: Floats

    @property
    def text(self) -> str:
        """The text of the first view's likeliest path."""
        return spelled(best_path(self.log_probs[0]))

    @property
    def certainty(self) -> float:
        """Natural logarithm of the probability of the likeliest path, mean of the views."""
        return float(self.log_probs.max(2).sum(1).mean())

    @cached_property
    def likely(self) -> frozenset[ctc.Labels]:
        """Texts worth weighing, as labels: the views' likeliest paths, and what a search finds in the first view."""
        paths = [best_path(view) for view in self.log_probs]
        # a search costs most where everything is possible or nothing is seen: no text worth reporting comes of it there
        if self.certainty < _HOPELESS or len(paths[0]) < _SHORTEST:
            return frozenset(paths)
        return frozenset(paths).union(ctc.beams(self.log_probs[0]))


def best_path(log_probs: Floats) -> ctc.Labels:
    """The labels of the likeliest path through ``(steps, classes)``."""
    path = log_probs.argmax(1).tolist()
    return tuple(v for i, v in enumerate(path) if v and (i == 0 or v != path[i - 1]))


def centre(reading: Reading) -> float:
    """The middle of the text across the strip, 0 at its left end to 1; 0.5 when there is none."""
    path = reading.log_probs[0].argmax(1)
    taken = np.flatnonzero(path)
    return float(taken[0] + taken[-1] + 1) / (2 * len(path)) if taken.size else 0.5


def spelled(labels: ctc.Labels) -> str:
    """The text of ``labels``."""
    return "".join(ALPHABET[v - 1] for v in labels)


class PlateReader:
    """The reading network. Not thread-safe."""

    def __init__(self, model: runtime.Model | None = None, threads: int = 1) -> None:
        """Loads the model ``plate-reader`` unless one is given; raises ``ModelError`` as ``runtime.load`` does."""
        self._model = runtime.load("plate-reader", threads) if model is None else model
        plate_formats.prepare()

    def read(self, pixels: Pixels, corners: Floats) -> Reading:
        """The plate at ``corners`` ``(4, 2)`` of BGR ``pixels`` ``(h, w, 3)``, in their coordinates.

        Corners go top left, top right, bottom right, bottom left as the text reads. A plate whose shape
        leaves open whether it has one row or two is tried both ways.
        """
        if not _UNSURE_SHAPE[0] < aspect(corners) < _UNSURE_SHAPE[1]:
            return self._run(pixels, corners, 1 if aspect(corners) >= TWO_ROW else 2)
        tries = [self._run(pixels, corners, rows) for rows in (1, 2)]
        return max(tries, key=lambda reading: (len(reading.text) >= _SHORTEST, reading.certainty))

    def _run(self, pixels: Pixels, corners: Floats, rows: int) -> Reading:
        views = []
        for across, down in _VIEWS:
            grey = strip(pixels, grown(corners, across, down), rows)
            (logits,) = self._model.run(grey[None, :, :, None])
            views.append(ctc.log_softmax(logits.reshape(-1, 1 + len(ALPHABET))))
            if len(best_path(views[0])) < _SHORTEST:
                break  # no plate: other views of it would only cost time
        return Reading(np.stack(views))


def vote(
    readings: Sequence[Reading], weights: Sequence[float], confidence: Confidence | None = None
) -> PlateText | None:
    """One text from the ``readings`` of one plate, each as trusted as its weight (0 or more) says.

    ``None`` when they say that this is no plate. The confidence is calibrated (with the stored calibration
    unless one is given): of the texts it gives 0.9, nine in ten are exactly right.
    """
    confidence = Confidence.load() if confidence is None else confidence
    evidence = weigh(readings, weights, confidence.format_weight)
    if evidence is None:
        return None
    sure = confidence.of(evidence)
    if not _CENTRED[0] < np.average([centre(r) for r in readings], weights=np.add(weights, 1e-6)) < _CENTRED[1]:
        sure = min(sure, _ASKEW)
    rest = max(1e-9, float(evidence.posterior[1:].sum()) + evidence.nothing)
    others = zip(evidence.texts[1 : 1 + _ALTERNATES], evidence.posterior[1:], strict=False)
    alternates = tuple((text, float(p) / rest * (1 - sure)) for text, p in others)
    return PlateText(evidence.texts[0], sure, alternates, plate_formats.country_of(evidence.texts[0]))


def weigh(readings: Sequence[Reading], weights: Sequence[float], format_weight: float) -> Evidence | None:
    """What ``readings`` say together, before calibration; ``None`` when nothing looks like a plate.

    Every text that some reading finds likely is a candidate; its score is the weighted mean of its CTC
    log-likelihoods plus ``format_weight`` times the logarithm of how common such a text is.
    """
    if not readings:
        return None
    share = np.asarray(weights, np.float64) + 1e-6
    share = share / share.sum()
    order = np.argsort(-share)[:_LISTENED]
    found = {labels for i in order for labels in readings[int(i)].likely}
    candidates = [labels for labels in sorted(found) if len(labels) >= _SHORTEST]
    if not candidates:
        return None
    texts = [spelled(labels) for labels in candidates]
    seen = share @ np.stack([_support(reading, [*candidates, ()]) for reading in readings])
    prior = np.array([plate_formats.log_share(text) for text in texts])
    scores = np.append(seen[:-1] + format_weight * (prior - prior.max()), seen[-1])
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    if int(chances.argmax()) == len(texts):
        return None
    ranking = np.argsort(-chances[:-1])
    best = int(ranking[0])
    return Evidence(
        texts=tuple(texts[int(i)] for i in ranking),
        posterior=chances[ranking],
        nothing=float(chances[-1]),
        support=float(seen[best]),
        shots=len(readings),
        usual=plate_formats.follows_form(texts[best]),
    )


def _support(reading: Reading, candidates: Sequence[ctc.Labels]) -> NDArray[np.float64]:
    """Mean log-likelihood of each candidate over the views; none speaks against a text without limit."""
    by_view = ctc.log_likelihoods(reading.log_probs, candidates)  # all readings at once take megabytes
    return np.asarray(np.maximum(by_view, _FLOOR).mean(0), np.float64)
