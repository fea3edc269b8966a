"""The self-test of models: a golden input must give the golden output, on whatever runs the model.

The input is a test card made by arithmetic alone. Of each output its mean, its deviation and values at fixed places are
on record in ``models/golden.json``, by the model file's SHA-256; ``python -m models.golden`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from edge.vision import runtime
from edge.vision.answers import Tensor
from edge.vision.runtime import Model
from edge.vision.values import Floats

FILE = "golden.json"
PLACES = 64  # values kept of each output
TOLERANCE = 0.15  # root mean square of the error, in deviations of the output: kernels round differently


def card(shape: tuple[int, ...], pixels: bool = True) -> Tensor:
    """The test card ``uint8`` or ``float32`` (-1 to 1) of ``shape`` ``(1, height, width, channels)``: slopes, edges."""
    _, height, width, channels = shape
    y, x, c = np.ogrid[:height, :width, :channels]
    slope = 255 * (x + 2 * y) / (width + 2 * height)
    boxes = 90 * (((x * 7 // width) + (y * 5 // height) + c) % 3) - 90
    lines = 60 * ((x + c) % 11 < 2) * ((y * 9 // height) % 2)
    values: Tensor = np.clip(slope + boxes + lines, 0, 255).astype(np.uint8)[None]
    return values if pixels else np.asarray(values / np.float32(127.5) - 1, np.float32)


def digest(outputs: Iterable[Floats]) -> list[dict[str, Any]]:
    """What is kept of a model's outputs."""
    kept = []
    for output in outputs:
        flat = output.reshape(-1).astype(np.float64)
        places = np.linspace(0, flat.size - 1, min(PLACES, flat.size)).astype(int)
        kept.append({"deviation": round(float(flat.std()), 6), "values": [round(float(v), 5) for v in flat[places]]})
    return kept


def answer(model: Model) -> Sequence[Floats]:
    """What ``model`` makes of the test card. Raises ``ModelError``."""
    try:
        return model.run(card(model.shape))
    except runtime.ModelError:
        return model.run(card(model.shape, pixels=False))


def fault(model: Model, folder: Path | None = None) -> str:
    """What is wrong with what ``model`` answers; nothing when it is right. Raises ``ModelError`` if it does not run."""
    wanted = _golden(runtime.models_dir() if folder is None else folder).get(model.entry.sha256)
    if wanted is None:
        return f"no golden output of {model.entry.name} is on record"
    for name, found, right in zip(model.entry.outputs, digest(answer(model)), wanted, strict=True):
        error = np.asarray(found["values"]) - np.asarray(right["values"])
        scale = max(right["deviation"], 0.3 * float(np.abs(right["values"]).max()), 1e-3)  # some are single numbers
        off = float(np.sqrt(np.mean(error**2))) / scale
        if not off <= TOLERANCE:  # also when it is no number
            return f"output {name} of {model.entry.name} is off by {off:.2f} deviations"
    return ""


@cache
def _golden(folder: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        known: dict[str, list[dict[str, Any]]] = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise runtime.ModelError(f"The golden outputs {folder / FILE} cannot be read: {error}. Reinstall.") from error
    return known
