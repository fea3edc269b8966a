"""Turns trained weights into the shipped int8 models: ``python -m models.plate_detector.export [FOLDER]``.

Writes ``models/plate_detector.tflite`` (640x384, for 16:9), ``models/plate_detector_4x3.tflite`` (512x384,
the same network at four fifths of the cost for 4:3 pictures), ``models/plate_closer.tflite`` (the second
look) and their manifest entries. FOLDER is where train.py and closer.py left their weights; a network
whose weights are not there stays as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from models import edge_tpu, manifest
from models.plate_detector import closer, train
from models.plate_detector.net import Net
from models.plate_detector.sample import Studio

SHAPES = {"plate-detector": (640, 384), "plate-detector-4x3": (512, 384)}  # width, height
_CALIBRATION = 60


def float_model(net: Any, width: int, height: int, outputs: int, file: Path) -> None:
    """A network as a float TFLite file: input ``(1, height, width, 3)`` in [0, 1]."""
    import litert_torch  # noqa: PLC0415 - slow to import, and only a release needs it

    channel_last = litert_torch.to_channel_last_io(net.eval(), args=[0], outputs=list(range(outputs)))
    litert_torch.convert(channel_last, (torch.rand(1, height, width, 3),)).export(str(file))


def calibration(room: Studio, width: int, height: int) -> list[NDArray[np.float32]]:
    """Training samples, as float pictures ``(1, height, width, 3)``."""
    rngs = (np.random.default_rng((train.SEED, 2, n)) for n in range(_CALIBRATION))
    return [_prepared(room.sample(rng, width, height).pixels) for rng in rngs]


def close_calibration(room: Studio) -> list[NDArray[np.float32]]:
    rngs = (np.random.default_rng((closer.SEED, 2, n)) for n in range(_CALIBRATION))
    return [_prepared(picture) for rng in rngs for picture, _, _ in closer.crops(room, rng)]


def _prepared(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """With a black and a white pixel, so that the input's scale is exactly 1/255."""
    pixels[-1, -1], pixels[-1, -2] = 0, 255
    return pixels[None].astype(np.float32) / np.float32(255)


def quantise(given: Path, made: Path, pictures: list[NDArray[np.float32]]) -> None:
    """Full-integer int8 (weights per channel), calibrated on ``pictures``."""
    from ai_edge_quantizer import quantizer, recipe  # noqa: PLC0415 - as above

    (argument,) = Interpreter(str(given)).get_signature_list()["serving_default"]["inputs"]
    work = quantizer.Quantizer(str(given), recipe.static_wi8_ai8())
    # one by one: over many the tool keeps a moving average, which cuts off the scores of rare things like plates
    ranges = work.calibrate({"serving_default": [{argument: pictures[0]}]}, num_threads=1)
    for picture in pictures[1:]:
        for name, seen in work.calibrate({"serving_default": [{argument: picture}]}, num_threads=1).items():
            for key, pick in (("min", np.minimum), ("max", np.maximum)):
                if key in seen:
                    ranges[name][key] = pick(ranges[name][key], seen[key])
    work.quantize(ranges).export_model(str(made), overwrite=True)


def output_names(file: Path, channels: tuple[int, ...]) -> list[str]:
    """Names of the outputs with that many channels. Raises ``ValueError`` if the model is not as the camera expects."""
    interpreter = Interpreter(str(file))
    (given,) = interpreter.get_input_details()
    scale, zero = given["quantization"]
    if given["dtype"] != np.int8 or zero != -128 or abs(scale * 255 - 1) > 1e-4:
        raise ValueError(f"input is {given['dtype']} with scale {scale}, zero {zero}: pixels minus 128 would be wrong")
    by_channels: dict[int, dict[str, Any]] = {int(d["shape"][-1]): d for d in interpreter.get_output_details()}
    if any(by_channels[c]["dtype"] != np.int8 for c in channels):
        raise ValueError("an output is not int8: the model is only partly quantised")
    return [str(by_channels[c]["name"]) for c in channels]


def ship(
    name: str,
    net: Any,
    size: tuple[int, int],
    channels: tuple[int, ...],
    floats: Path,
    pictures: list[NDArray[np.float32]],
) -> None:
    """Converts, quantises and records one network."""
    file = manifest.FOLDER / f"{name.replace('-', '_')}.tflite"
    given, made = floats / file.name, floats / f"int8_{file.name}"
    float_model(net, *size, len(channels), given)
    quantise(given, made, pictures)
    edge_tpu.plain_resize(made)
    outputs = output_names(made, channels)
    made.replace(file)  # in one step: somebody may be loading it
    how = "trained and converted by models/plate_detector (train.py, closer.py, export.py)"
    manifest.record(name, file.name, "Apache-2.0", how, "plate_detector/card.md", outputs)
    print(f"{file.name}: {file.stat().st_size} bytes", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=Path("build/plate_detector"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    room, coarse, close = train.studio(), chosen.folder / "plate_detector.pt", chosen.folder / "closer.pt"
    if close.exists():
        size = (closer.WIDTH, closer.HEIGHT)
        ship("plate-closer", weights(closer.Closer(), close), size, (1, 8), chosen.folder, close_calibration(room))
    for name, size in SHAPES.items() if coarse.exists() else ():
        ship(name, weights(Net(), coarse), size, (1, 4, 8), chosen.folder, calibration(room, *size))


def weights(net: Any, file: Path) -> Any:
    """``net`` with the weights in ``file``."""
    net.load_state_dict(torch.load(file, weights_only=True))
    return net


if __name__ == "__main__":
    main()
