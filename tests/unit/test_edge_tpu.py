"""Shipped models against what the Edge TPU compiler documents: int8, static shapes, supported operations.

The compiler itself is not available here, so this shows that nothing documented stands in the way, not that a
model was compiled. Source: the compiler's table of supported operations and its published log of refused
operation versions (nearest-neighbour resizing with half-pixel centres).
"""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest

from edge.vision import runtime
from models import edge_tpu, manifest
from models.edge_tpu import FLOAT

SUPPORTED = {
    "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "EXPAND_DIMS", "FULLY_CONNECTED",
    "L2_NORMALIZATION", "LOGISTIC", "LSTM", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL", "PACK", "PAD", "PRELU",
    "QUANTIZE", "REDUCE_MAX", "REDUCE_MIN", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
    "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SPLIT", "SQUARED_DIFFERENCE", "SQUEEZE",
    "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
}  # fmt: skip
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


COMPILER = """#!/bin/sh
# edgetpu_compiler -s -o FOLDER MODEL, as far as its callers see it
[ "$1 $2" = "-s -o" ] || exit 9
case "$4" in *reader*) echo "Invalid model: $4" >&2; exit 1;; esac
name=$(basename "$4" .tflite)
{ cat "$4"; printf compiled; } > "$3/${name}_edgetpu.tflite"
echo "Number of operations that will run on Edge TPU: 61"
echo "Number of operations that will run on CPU: 2"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy of the models, and a stand-in for the compiler on the path."""
    models, tools = tmp_path / "models", tmp_path / "bin"
    models.mkdir()
    tools.mkdir()
    for path in runtime.models_dir().iterdir():
        if path.suffix in (".toml", ".tflite"):
            shutil.copy(path, models)
    (tools / edge_tpu.COMPILER).write_text(COMPILER)
    (tools / edge_tpu.COMPILER).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setattr(manifest, "FOLDER", models)
    return models


def test_compiled_models_get_into_the_manifest_and_refused_ones_are_named(folder, capsys):
    assert edge_tpu.main() == 1
    out, err = capsys.readouterr()
    assert "plate-closer: 61 operations on the Edge TPU, 2 on the CPU" in out
    assert "face-detector: float" in out
    assert "refuses plate-reader: Invalid model" in err
    entries = runtime.manifest(folder)
    assert {name for name, e in entries.items() if "edge-tpu" in e.variants} == set(entries) - FLOAT - {"plate-reader"}
    variant = entries["plate-closer"].variants["edge-tpu"]
    assert runtime.verified(folder / variant.file, variant.sha256).endswith(b"compiled")
    assert runtime.load("plate-closer", folder=folder).shape
    before = (folder / "manifest.toml").read_text()
    manifest.add_variant("plate-closer", "edge-tpu", variant.file, variant.sha256)
    assert (folder / "manifest.toml").read_text() == before


def test_a_new_model_loses_the_variants_of_the_old_one(folder):
    edge_tpu.main()
    known = {e["name"]: e for e in manifest.known()}["plate-closer"]
    facts = (known[k] for k in ("name", "file", "licence", "provenance", "card", "outputs"))
    manifest.record(*facts)
    assert "edge-tpu" not in runtime.manifest(folder)["plate-closer"].variants


def test_without_the_compiler_it_says_so(folder, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(RuntimeError, match="edgetpu_compiler is not installed"):
        edge_tpu.compile_model("plate-closer", folder / "plate_closer.tflite")
