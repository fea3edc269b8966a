"""dlib's face recognition ResNet as a TensorFlow graph, from the weights of the pinned package.

A stem and fourteen residual blocks of 3x3 convolutions, each convolution followed by a learned scale
and shift per channel (which replaced batch normalisation, and which are folded into it here), a mean
over the map, and a matrix to 128 numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from models.face_embedder.source import Weights

SIZE = 150
MEAN_RGB = np.array([122.782, 117.001, 104.298], np.float32)
DIVISOR = np.float32(256)

_STAGES = (
    ("conv64_down", ("conv64_1", "conv64_2", "conv64_3")),
    ("conv128_down", ("conv128_1", "conv128_2")),
    ("conv256_down", ("conv256_1", "conv256_2")),
    ("conv256_down_out", ()),
)


class Embedder(tf.Module):  # type: ignore[misc] # TensorFlow carries no types
    """Aligned BGR crop, 0 to 255, ``(1, 150, 150, 3)`` -> embedding ``(1, 128)``, not normalised."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self._weights = weights

    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32, name="bgr")])  # type: ignore[untyped-decorator]
    def embed(self, pixels: Any) -> dict[str, Any]:
        """The network on one crop."""
        kernel, bias = _from_pixels(*self._folded("conv32_down"))
        x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(pixels, kernel, 2, "VALID"), bias))
        x = tf.nn.max_pool2d(x, 3, 2, "VALID")
        for name in ("conv32_1", "conv32_2", "conv32_3"):
            x = self._block(x, name)
        for first, others in _STAGES:
            x = self._halving_block(x, first)
            for name in others:
                x = self._block(x, name)
        return {"embedding": tf.matmul(tf.reduce_mean(x, [1, 2]), self._weights["fc"])}

    def _folded(self, name: str) -> tuple[Any, Any]:
        """Kernel and bias of the convolution ``name`` with its scale and shift folded in."""
        scale = self._weights[f"{name}/scale/weights"]
        shift = self._weights[f"{name}/scale/biases"]
        return self._weights[f"{name}/conv/filters"] * scale, self._weights[f"{name}/conv/bias"] * scale + shift

    def _convolve(self, x: Any, name: str, stride: int) -> Any:
        kernel, bias = self._folded(name)
        return tf.nn.bias_add(tf.nn.conv2d(x, kernel, stride, "VALID" if stride == 2 else "SAME"), bias)

    def _block(self, x: Any, name: str) -> Any:
        inner = tf.nn.relu(self._convolve(x, f"{name}/conv1", 1))
        return tf.nn.relu(self._convolve(inner, f"{name}/conv2", 1) + x)

    def _halving_block(self, x: Any, name: str) -> Any:
        """Half the size: the shortcut is average-pooled, and zeros fill what either branch lacks."""
        inner = tf.nn.relu(self._convolve(x, f"{name}/conv1", 2))
        out = self._convolve(inner, f"{name}/conv2", 1)
        short = tf.nn.avg_pool2d(x, 2, 2, "VALID")
        rows, channels = short.shape[1] - out.shape[1], out.shape[3] - short.shape[3]
        if rows:
            out = tf.pad(out, [[0, 0], [0, rows], [0, rows], [0, 0]])
        if channels:
            short = tf.pad(short, [[0, 0], [0, 0], [0, 0], [0, channels]])
        return tf.nn.relu(out + short)


def _from_pixels(kernel: Any, bias: Any) -> tuple[Any, Any]:
    """The first convolution, taught to take BGR from 0 to 255 instead of normalised RGB.

    Exact because that convolution does not pad. It spares the camera a conversion, and makes the
    int8 input the pixels themselves.
    """
    bias = bias - np.einsum("hwio,i->o", kernel, MEAN_RGB) / DIVISOR
    return np.ascontiguousarray(kernel[:, :, ::-1] / DIVISOR), bias.astype(np.float32)
