"""No classifier of people, not even a spare output: every shipped model gives what its card says and nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edge.vision.runtime import manifest, models_dir

MODELS = manifest(models_dir())
FACES = {
    "face-detector": [(1, 2304, 16), (1, 2304, 1)],  # box and six points of each anchor; its score
    "face-embedder": [(1, 128)],
}
FORBIDDEN = re.compile(r"\b(age|sex|gender|race|ethnic\w*|emotion\w*|expression|skin)\b")


def opened(name):
    interpreter = Interpreter(model_path=str(models_dir() / MODELS[name].file))
    interpreter.allocate_tensors()
    return interpreter


def test_every_model_file_is_in_the_manifest():
    assert {path.name for path in models_dir().glob("*.tflite")} == {entry.file for entry in MODELS.values()}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_has_the_outputs_that_are_used_and_no_others(name):
    outputs = opened(name).get_output_details()
    assert sorted(output["name"] for output in outputs) == sorted(MODELS[name].outputs)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_branch_of_a_model_ends_anywhere_but_in_an_output(name):
    from ai_edge_litert import schema_py_generated as schema

    model = schema.Model.GetRootAsModel(bytearray((models_dir() / MODELS[name].file).read_bytes()), 0)
    assert model.SubgraphsLength() == 1
    graph = model.Subgraphs(0)
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    made = {int(t) for op in operators for t in op.OutputsAsNumpy()}
    used = {int(t) for op in operators for t in op.InputsAsNumpy()}
    assert made - used == {int(t) for t in graph.OutputsAsNumpy()}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_tensor_is_named_after_a_trait_of_people(name):
    words = {re.sub(r"[^a-z]+", " ", tensor["name"].lower()) for tensor in opened(name).get_tensor_details()}
    assert [word for word in words if FORBIDDEN.search(word)] == []


@pytest.mark.parametrize("name", sorted(FACES))
def test_face_models_give_positions_or_one_embedding(name):
    interpreter, shapes = opened(name), FACES[name]
    by_name = {output["name"]: tuple(int(n) for n in output["shape"]) for output in interpreter.get_output_details()}
    assert [by_name[output] for output in MODELS[name].outputs] == shapes
    assert sum(int(np.prod(shape)) for shape in by_name.values()) == sum(int(np.prod(shape)) for shape in shapes)
