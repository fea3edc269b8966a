"""Shipped models against what the Edge TPU compiler documents: int8, static shapes, supported operations.

The compiler itself is not available here, so this shows that nothing documented stands in the way, not that a
model was compiled. Source: the compiler's table of supported operations and its published log of refused
operation versions (nearest-neighbour resizing with half-pixel centres).
"""

from __future__ import annotations

import numpy as np
import pytest

from edge.vision import runtime

SUPPORTED = {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED",
    "L2_NORMALIZATION", "LOGISTIC", "LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD", "PRELU",
    "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQUARED_DIFFERENCE", "SQUEEZE",
    "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip
FLOAT = {"face-detector"}  # shipped as its makers published it, in float: for the CPU only (see its card)
MODELS = sorted(set(runtime.manifest(runtime.models_dir())) - FLOAT)


def graph(name):
    from ai_edge_litert import schema_py_generated as schema

    content = (runtime.models_dir() / runtime.manifest(runtime.models_dir())[name].file).read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    names = {value: key for key, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    assert len(model.subgraphs) == 1
    return model.subgraphs[0], codes, schema.TensorType


@pytest.mark.parametrize("name", MODELS)
def test_only_documented_operations(name):
    sub, codes, _ = graph(name)
    used = {codes[operator.opcodeIndex] for operator in sub.operators}
    assert used
    assert used <= SUPPORTED
    for operator in sub.operators:
        if codes[operator.opcodeIndex] == "RESIZE_NEAREST_NEIGHBOR":
            assert not operator.builtinOptions.halfPixelCenters


@pytest.mark.parametrize("name", MODELS)
def test_full_integer_and_static(name):
    sub, _, types = graph(name)
    for tensor in sub.tensors:
        assert tensor.type in (types.INT8, types.INT32), tensor.name
        assert all(side > 0 for side in (tensor.shape if tensor.shape is not None else ()))
        assert tensor.shapeSignature is None or np.all(np.asarray(tensor.shapeSignature) > 0)
    for index in [*sub.inputs, *sub.outputs]:
        assert sub.tensors[index].type == types.INT8


def test_the_plate_models_are_small():
    sizes = [(runtime.models_dir() / e.file).stat().st_size for e in runtime.manifest(runtime.models_dir()).values()
             if e.name.startswith("plate")]  # fmt: skip
    assert len(sizes) >= 2
    assert sum(sizes) <= 6_000_000
