"""How sure a plate's text is: the calibrated step from the reader's evidence to a probability.

A logistic model (Platt, 1999) whose few weights are fitted by ``models.plate_reader.calibrate`` on plates
that the reader was not trained with, and stored beside the model they belong to.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.vision.runtime import ModelError, models_dir

FILE = "plate_reader.json"
_LIMIT = 12.0
_MOST_SHOTS = 3  # neighbouring frames repeat each other's mistakes, so more shots than this add nothing


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the readings of one plate say together.

    ``texts`` go from likely to unlikely, with their ``posterior`` probabilities among the candidates;
    ``nothing`` is that of no plate. ``support`` is the mean log-likelihood of the first text, ``shots`` the
    number of readings, ``usual`` whether the first text follows a known form.
    """

    texts: tuple[str, ...]
    posterior: NDArray[np.float64]
    nothing: float
    support: float
    shots: int
    usual: bool

    def features(self) -> NDArray[np.float64]:
        """The inputs of the logistic model, ``float64 (5,)``: the last is constant."""
        best = float(self.posterior[0])
        odds = np.log(max(best, 1e-9)) - np.log(max(1 - best, 1e-9))
        return np.array([
            np.clip(odds, -_LIMIT, _LIMIT),
            max(self.support, -_LIMIT),
            np.log(min(self.shots, _MOST_SHOTS)),
            float(self.usual),
            1.0,
        ])


@dataclass(frozen=True, slots=True)
class Confidence:
    """The weights: ``weights`` for the features, ``format_weight`` for the commonness of texts."""

    weights: tuple[float, ...]
    format_weight: float
    refuse_below: float
    model: str  # SHA-256 of the model that they were fitted to

    @classmethod
    @cache
    def load(cls, path: Path | None = None) -> Confidence:
        """The stored calibration, read once. Raises ``ModelError`` when it cannot be read."""
        path = models_dir() / FILE if path is None else path
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            weights = tuple(float(w) for w in stored["weights"])
            return cls(weights, float(stored["format_weight"]), float(stored["refuse_below"]), str(stored["model"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"The reader's calibration {path} cannot be read: {error}. Reinstall the package."
            raise ModelError(message) from error

    def of(self, evidence: Evidence) -> float:
        """The probability that the first text is exactly right."""
        return float(1 / (1 + np.exp(-float(np.dot(self.weights, evidence.features())))))
