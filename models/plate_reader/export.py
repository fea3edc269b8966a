"""The trained reader as a full-integer TFLite model: ``python -m models.plate_reader.export CHECKPOINT...``.

The weights of several checkpoints are averaged (Wortsman et al., "Model soups", 2022). PyTorch becomes float
TFLite with ``litert-torch``, then static int8 (weights per channel, activations per tensor) with
``ai-edge-quantizer``. Needs those two packages; a camera needs neither.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edge.vision.plate_strip import HEIGHT, STEP, WIDTH
from models.manifest import FOLDER, record
from models.plate_reader.net import Reader
from models.plate_reader.train import Plan, Stream

FILE = "plate_reader.tflite"


class _ChannelsLast(nn.Module):  # type: ignore[misc] # torch ships no types
    """The reader with the axes of TFLite: ``(1, HEIGHT, WIDTH, 1)`` to ``(1, 1, STEPS, CLASSES)``."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.reader(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return out


def to_float(reader: Reader, path: Path) -> None:
    """Writes ``reader`` as float TFLite."""
    import litert_torch  # noqa: PLC0415 - slow, and needed only here

    sample = torch.zeros(1, HEIGHT, WIDTH, 1)
    litert_torch.convert(_ChannelsLast(reader.eval()).eval(), (sample,)).export(str(path))


def to_int8(source: Path, strips: NDArray[np.uint8], path: Path) -> None:
    """Quantises the float model ``source``, with activations' ranges from ``strips`` ``(n, HEIGHT, WIDTH)``."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415

    full = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    full[0, 0, 0] = 255  # both ends of the input's range, so that its scale is 1 / STEP and its zero is grey 128
    signature = Interpreter(str(source)).get_signature_list()["serving_default"]["inputs"][0]
    values = [((s.astype(np.float32) - 128) / STEP)[None, ..., None] for s in np.concatenate([strips, full])]
    maker = quantizer.Quantizer(str(source), recipe.static_wi8_ai8())
    ranges = maker.calibrate({"serving_default": [{signature: v} for v in values]})
    maker.quantize(ranges).export_model(str(path), overwrite=True)


def mean(weights: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of networks' ``weights``, name by name; counters come from the first."""
    return {
        name: torch.stack([w[name] for w in weights]).mean(0) if first.is_floating_point() else first
        for name, first in weights[0].items()
    }


def ranges_strips(count: int = 400) -> NDArray[np.uint8]:
    """Strips ``uint8 (n, HEIGHT, WIDTH)`` to measure activations by: the training's mixture, of another seed."""
    plan = Plan(seed=Plan.seed + 7, batch=count, steps=1)
    return Stream(plan).batch(1).x


def main() -> None:
    """Exports the running average of a checkpoint, and enters it in the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--float", type=Path, default=Path("plate_reader_float.tflite"), help="the float model's place")
    given = parser.parse_args()
    torch.set_num_threads(1)
    saved = [torch.load(path) for path in given.checkpoints]
    reader = Reader()
    reader.load_state_dict(mean([s["average"] for s in saved]))
    to_float(reader, given.float)
    to_int8(given.float, ranges_strips(), FOLDER / FILE)
    record(
        name="plate-reader",
        file=FILE,
        licence="Apache-2.0",
        provenance=f"models/plate_reader/train.py, seed {Plan.seed}, {sum(s['step'] for s in saved)} steps; drawn "
        "plates and the train split of plates-ro (MIT); see the card",
        card="plate_reader/card.md",
        outputs=[_output_name(FOLDER / FILE)],
    )


def _output_name(path: Path) -> str:
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415

    return str(Interpreter(str(path)).get_output_details()[0]["name"])


if __name__ == "__main__":
    main()
