"""Models load only as the manifest promises them."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from edge.vision import answers, runtime
from edge.vision.runtime import ModelError


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped models that a test may damage."""
    for path in runtime.models_dir().iterdir():
        if path.suffix in (".toml", ".tflite"):
            shutil.copy(path, tmp_path)
    return tmp_path


def shipped():
    return sorted(runtime.manifest(runtime.models_dir()))


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_model_loads_runs_and_states_where_it_comes_from(name):
    model = runtime.load(name)
    outputs = model.run(np.zeros(model.shape, np.float32 if name == "face-detector" else np.uint8))
    assert len(outputs) == len(model.entry.outputs)
    assert all(output.dtype == np.float32 and np.isfinite(output).all() for output in outputs)
    assert model.entry.licence
    assert model.entry.provenance
    assert (runtime.models_dir() / model.entry.card).is_file()


@pytest.mark.parametrize("name", shipped())
def test_one_changed_byte_refuses_to_load(name, folder):
    path = folder / runtime.manifest(folder)[name].file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not the one in the manifest"):
        runtime.load(name, folder=folder)


def test_missing_or_broken_says_what_to_do(folder):
    with pytest.raises(ModelError, match="No model called 'nose'"):
        runtime.load("nose", folder=folder)
    name = shipped()[0]
    (folder / runtime.manifest(folder)[name].file).unlink()
    with pytest.raises(ModelError, match=r"cannot be read.*Reinstall"):
        runtime.load(name, folder=folder)
    other = folder / "other"
    other.mkdir()
    (other / "manifest.toml").write_text("model = 3")
    with pytest.raises(ModelError, match="manifest"):
        runtime.load(name, folder=other)


def test_a_wrong_input_is_refused():
    model = runtime.load("face-embedder")
    with pytest.raises(ModelError, match="takes"):
        model.run(np.zeros((1, 3, 3, 3), np.uint8))
    with pytest.raises(ModelError, match="takes"):
        model.run(np.zeros(model.shape, np.float64))


@pytest.mark.parametrize("name", ["face-detector", "plate-detector"])
def test_what_is_written_in_place_and_read_in_part_is_the_same(name):
    model = runtime.load(name)
    assert model.takes == (np.float32 if name == "face-detector" else np.uint8)
    values = (np.random.default_rng(3).random(model.shape) * 255).astype(model.takes)
    whole = [output.copy() for output in model.run(values)]
    found = model.run(lambda given: np.copyto(given, values))
    cells = [0, 5, 700]
    for index, output in enumerate(whole):
        wanted = output.reshape(-1, output.shape[-1])[cells]
        assert np.allclose(answers.rows(found, index, cells), wanted, rtol=1e-6)
        assert np.array_equal(answers.rows(whole, index, cells), wanted)  # as an accelerator's answers come
        level = float(np.quantile(output, 0.9))
        over = [(i, value) for i, value in enumerate(output.ravel().tolist()) if value >= level]
        for given in (found, whole):
            places, values_there = answers.above(given, index, level)
            assert places == [i for i, _ in over]
            assert values_there == pytest.approx([value for _, value in over], rel=1e-6)
            assert answers.above(given, index, float(output.max()) + 1) == ([], [])
            assert len(answers.above(given, index, -1e9)[0]) == output.size
            assert answers.shape(given, index) == output.shape
            assert answers.numbers(given, index) == pytest.approx(output.ravel().tolist(), rel=1e-6)
