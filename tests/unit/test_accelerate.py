"""Accelerators that work, fail, hang, lie or are not there, in front of real and of pretended models."""

from __future__ import annotations

import importlib.util
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edge import config
from edge.vision import accelerate, runtime, selftest
from edge.vision.accelerate import Accelerated, Accelerators
from edge.vision.runtime import Entry, ModelError, Variant
from tests.rig import wait_for

ENTRY = Entry("thing", "thing.tflite", "0" * 64, "", "", "", ("out",))
INPUT = np.zeros((1, 2, 2, 3), np.uint8)


class Pretended:
    """A model that answers ``value``, or does what ``act`` does."""

    entry, shape, takes = ENTRY, (1, 2, 2, 3), np.dtype(np.uint8)

    def __init__(self, value: float, act=lambda: None) -> None:
        self.value, self.act, self.runs, self.seen = value, act, 0, INPUT

    def run(self, values):
        self.runs += 1
        self.seen = values
        self.act()
        return [np.full((1,), self.value, np.float32)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def accelerated(open_, golden=lambda model: "", deadline=30.0, opening=30.0):
    clock = Clock()
    return Accelerated("stick", Pretended(1.0), open_, golden, clock=clock, deadline=deadline, opening=opening), clock


def runs_on(model) -> str:
    return {1.0: "cpu", 2.0: "stick"}[float(model.run(INPUT)[0][0])]


def test_the_accelerator_takes_over_once_it_is_open() -> None:
    ready = threading.Event()
    model, _ = accelerated(lambda: ready.wait(60) and Pretended(2.0))
    assert (runs_on(model), model.where, model.cause) == ("cpu", "cpu", "being opened")
    ready.set()
    wait_for(lambda: runs_on(model) == "stick")
    assert (model.where, model.cause, model.failures) == ("stick", "", 0)


def test_what_is_written_by_the_caller_reaches_the_accelerator() -> None:
    there = Pretended(2.0)
    model, _ = accelerated(lambda: there)
    wait_for(lambda: runs_on(model) == "stick")
    model.run(lambda given: given.fill(7))
    assert (there.seen == 7).all()
    assert there.seen.dtype == np.uint8


def refuse(*_):
    raise ModelError("no such library")


@pytest.mark.parametrize(
    ("open_", "golden", "cause"),
    [
        (refuse, lambda model: "", "no such library"),
        (lambda: Pretended(2.0), lambda model: "output out is off", "computes wrongly: output out is off"),
        (lambda: Pretended(2.0), refuse, "no such library"),
    ],
)
def test_what_does_not_open_or_lies_is_not_used_and_tried_again(open_, golden, cause) -> None:
    tries = []
    model, clock = accelerated(lambda: tries.append(1) or open_(), golden)
    wait_for(lambda: model.failures or runs_on(model) == "stick")
    assert runs_on(model) == "cpu"
    assert cause in model.cause
    clock.now += 9
    runs_on(model)
    assert len(tries) == 1, "not before its rest is over"
    clock.now += 2
    wait_for(lambda: runs_on(model) == "cpu" and model.failures == 2)
    clock.now += 11
    runs_on(model)
    assert len(tries) == 2, "the rest grows"
    clock.now += 10
    wait_for(lambda: runs_on(model) == "cpu" and len(tries) == 3)


def test_one_that_fails_in_the_middle_costs_no_answer_and_comes_back() -> None:
    broken = [False]

    def act():
        if broken[0]:
            raise ModelError("the stick was pulled out")

    model, clock = accelerated(lambda: Pretended(2.0, act))
    wait_for(lambda: runs_on(model) == "stick")
    broken[0] = True
    assert runs_on(model) == "cpu"
    assert (model.cause, model.failures, model.where) == ("the stick was pulled out", 1, "cpu")
    broken[0] = False
    clock.now += 11
    wait_for(lambda: runs_on(model) == "stick")
    assert model.cause == ""


def test_one_that_hangs_is_given_up_and_its_late_answer_is_not_heard() -> None:
    release = threading.Event()
    hang = [False]
    model, clock = accelerated(lambda: Pretended(2.0, lambda: hang[0] and release.wait(60)), deadline=0.3)
    wait_for(lambda: runs_on(model) == "stick")
    hang[0] = True
    assert runs_on(model) == "cpu"
    assert "no answer" in model.cause
    hang[0] = False
    release.set()
    assert runs_on(model) == "cpu"
    clock.now += 11
    wait_for(lambda: runs_on(model) == "stick")


def test_one_that_hangs_while_it_opens_is_given_up() -> None:
    release = threading.Event()
    model, clock = accelerated(lambda: release.wait(60) and Pretended(2.0), opening=20.0)
    runs_on(model)
    clock.now += 21
    assert runs_on(model) == "cpu"
    assert "not open within 20 s" in model.cause
    release.set()


@pytest.fixture
def plain() -> Iterator[None]:
    yield
    runtime.configure()


def test_a_library_that_is_not_there_leaves_the_models_on_the_cpu_and_says_so(plain: None) -> None:
    accelerators = Accelerators(config.Accelerator(kind="gpu", library="/nowhere/libdelegate.so"))
    runtime.configure(accelerate=accelerators, fault=selftest.fault)
    model = runtime.load("plate-closer")
    wait_for(lambda: model.run(selftest.card(model.shape)) and accelerators.troubles())
    (trouble,) = accelerators.troubles()
    assert "plate-closer runs on the CPU" in trouble
    assert "/nowhere/libdelegate.so" in trouble
    assert accelerators.status()["plate-closer"].startswith("cpu (")
    assert selftest.fault(model) == ""


def test_a_model_without_a_variant_stays_on_the_cpu(plain: None) -> None:
    accelerators = Accelerators(config.Accelerator(kind="edge-tpu"))
    runtime.configure(accelerate=accelerators)
    assert isinstance(runtime.load("face-detector"), runtime.InterpretedModel)
    assert accelerators.status() == {"face-detector": "cpu (no variant)"}


@pytest.mark.parametrize("intact", [True, False])
def test_the_variant_of_the_manifest_is_what_is_opened(
    intact: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (runtime.models_dir() / "plate_closer.tflite").read_bytes()
    (tmp_path / "for_the_stick.tflite").write_bytes(content)
    known = runtime.manifest(runtime.models_dir())["plate-closer"]
    variant = Variant("for_the_stick.tflite", known.sha256 if intact else "0" * 64)
    entry = Entry("plate-closer", "not there", known.sha256, "", "", "", known.outputs, {"edge-tpu": variant})
    asked: list[str] = []
    monkeypatch.setattr(runtime, "delegate", asked.append)
    monkeypatch.setattr(runtime, "InterpretedModel", lambda entry, content, threads, delegates: content)
    accelerators = Accelerators(config.Accelerator(kind="edge-tpu"))
    if intact:
        assert accelerators._open(entry, tmp_path) == content
    else:
        with pytest.raises(ModelError, match="not the one in the manifest"):
            accelerators._open(entry, tmp_path)
    assert asked == ["libedgetpu.so.1"]


def test_pycoral_is_optional_and_the_unrelated_package_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("pycoral") is None:
        assert accelerate.coral_devices() is None
    other = types.ModuleType("pycoral")
    other.__spec__ = importlib.util.spec_from_loader("pycoral", None)
    monkeypatch.setitem(sys.modules, "pycoral", other)
    with pytest.raises(ModelError, match=r"not Coral's.*pip uninstall pycoral"):
        accelerate.coral_devices()
    tpu = types.ModuleType("pycoral.utils.edgetpu")
    tpu.list_edge_tpus = lambda: [{"type": "usb", "path": "/sys/bus/usb/devices/2-1"}]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pycoral.utils", types.ModuleType("pycoral.utils"))
    monkeypatch.setitem(sys.modules, "pycoral.utils.edgetpu", tpu)
    assert accelerate.coral_devices() == ["usb /sys/bus/usb/devices/2-1"]


@pytest.mark.parametrize("name", sorted(runtime.manifest(runtime.models_dir())))
def test_shipped_models_pass_their_self_test_and_damaged_answers_do_not(name: str) -> None:
    """Run ``python -m models.golden`` after a model was changed."""
    model = runtime.load(name)
    assert selftest.fault(model) == ""
    right = [part.copy() for part in selftest.answer(model)]

    def shifted(part: np.ndarray) -> np.ndarray:
        return part + 2 * max(part.std(), abs(part).max())

    for damage in (shifted, lambda part: part * np.nan):
        wrong = [damage(part).astype(np.float32) for part in right]
        liar = types.SimpleNamespace(entry=model.entry, shape=model.shape, run=lambda values, wrong=wrong: wrong)
        assert "is off by" in selftest.fault(liar)


def test_a_model_that_fails_its_self_test_on_the_cpu_is_not_loaded(plain: None) -> None:
    runtime.configure(fault=lambda model: "output x is off by 3 deviations")
    with pytest.raises(ModelError, match="self-test failed on the CPU: output x is off"):
        runtime.load("plate-closer")


def test_outputs_are_overwritten_by_the_next_run_and_inputs_are_left_alone() -> None:
    model = runtime.load("plate-closer")
    values = selftest.card(model.shape)
    before = values.copy()
    first = model.run(values)
    kept = [part.copy() for part in first]
    second = model.run(255 - values)
    assert np.array_equal(values, before)
    assert first[1] is second[1]
    assert not np.array_equal(second[1], kept[1])
    assert all(np.array_equal(a, b) for a, b in zip(model.run(values), kept, strict=True))
