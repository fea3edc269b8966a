"""Faults of camera, accelerator, models, configuration and cooling: the unit recovers, or its health says why not.

The whole vision process's assembly runs, with the real models, on a camera that the test plays. Every cause must be in
the health within ten seconds of the fault, by the time that the unit itself writes into it; the tests take precedence
over other processes where they may. Coming back may take longer on a busy machine.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge import config
from edge.audit import postbox
from edge.clock import SystemClock
from edge.vision import __main__ as vision
from edge.vision import accelerate, build, runtime, sources, switch
from edge.vision.accelerate import Accelerators
from edge.vision.runtime import Entry, Model, ModelError
from edge.vision.sources.live import CameraLost, Picture
from provisioning import deployment
from provisioning.deployment import Deployment
from tests.rig import wait_for
from tests.unit.test_live import ScriptedCamera

DUE = 10.0  # seconds from a fault to the health that names it
LONG = 45.0  # seconds that a busy machine may need for everything else


@pytest.fixture(scope="module", autouse=True)
def precedence() -> Iterator[None]:
    """Over other processes, which is for root to take; threads that are begun meanwhile have it too."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, min(before, -10))
    yield
    os.setpriority(os.PRIO_PROCESS, 0, before)


class StreetCamera(ScriptedCamera):
    """Goes on delivering noise while it is ``well``; else it does nothing, or what it is told."""

    interval = 1 / 15

    def __init__(self) -> None:
        super().__init__()
        self.well = True
        self.size = (240, 320)
        self.dark = False
        self._count = 0
        self._pace = threading.Event()

    def read(self) -> Picture | None:
        self._pace.wait(0.1)
        if not self.well or not self.script.empty():
            return super().read()
        if self._gone.is_set():
            raise CameraLost("closed")
        self._count += 1
        pixels = np.random.default_rng(self._count).integers(0, 255, (*self.size, 3), np.uint8)
        return Picture(pixels // 32 if self.dark else pixels, self._count / 15)


class Unit:
    """A vision process's assembly, running in a thread."""

    def __init__(self, made: Deployment, camera: ScriptedCamera) -> None:
        self.made, self.camera = made, camera
        self.assembly = build.assemble(config.load(made.config, config.Vision), SystemClock(), made.config)
        self.assembly.health.start()
        self._thread = threading.Thread(target=self.assembly.pipeline.run, daemon=True)
        self._thread.start()

    @property
    def health(self) -> dict[str, Any]:
        return stated(self.made)

    def tells(self, *words: str, since: float) -> None:
        """Waits until the health is other than ok with every one of ``words`` among its causes, and fails when it was
        written too late after ``since``, the fault."""

        def told() -> bool:
            health = found[0] = self.health
            return health.get("state") in ("degraded", "failing") and all(
                word in " ".join(health["causes"]) for word in words
            )

        found: list[dict[str, Any]] = [{}]
        wait_for(told, LONG)
        in_time(found[0], since)

    def works(self) -> bool:
        """Whether nothing is wrong, except that a busy machine may be too slow for every picture."""
        health = self.health
        wrong = [cause for cause in health.get("causes", ["not stated yet"]) if "came too fast" not in cause]
        return not wrong and health["state"] != "failing" and health["frames"] > 0

    def goes_on(self) -> None:
        """Waits until more frames are described than now."""
        before = self.assembly.pipeline.camera.delivered
        wait_for(lambda: self.assembly.pipeline.camera.delivered > before + 3, LONG)

    def close(self) -> None:
        self.assembly.pipeline.camera.close()
        self._thread.join(LONG)
        assert not self._thread.is_alive()
        self.assembly.pipeline.sender.close()
        self.assembly.close()
        runtime.configure()


def in_time(health: dict[str, Any], since: float) -> None:
    """That ``health``, which states its time to a tenth of a second, was written within the time that is due."""
    took = health["time"] - since
    print(f"in the health after {took:.1f} s: {'; '.join(health['causes'])[:100]}")
    assert -0.1 <= took <= DUE


def stated(made: Deployment) -> dict[str, Any]:
    path = made.camera_folder / "run" / "notices" / "health.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@pytest.fixture
def made(tmp_path: Path) -> Deployment:
    made = deployment.create(tmp_path / "d")
    deployment.configure(made, "gst:a camera that the test plays", 8883)
    return made


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> StreetCamera:
    camera = StreetCamera()
    monkeypatch.setattr(sources, "camera_of", lambda spec, settings: camera)
    return camera


@pytest.fixture
def start(made: Deployment, camera: StreetCamera) -> Iterator[Callable[..., Unit]]:
    units: list[Unit] = []

    def start(**tables: str) -> Unit:
        extra = "".join(f"[vision.{name}]\n{lines}\n" for name, lines in tables.items())
        made.config.write_text(made.config.read_text().replace("[uplink]", extra + "[uplink]"))
        units.append(Unit(made, camera))
        return units[-1]

    yield start
    for unit in units:
        unit.close()


def test_a_source_that_stalls_is_named_and_taken_back(start: Callable[..., Unit], camera: StreetCamera) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    fault = time.time()
    camera.well = False
    unit.tells("camera lost", "stalled", since=fault)
    camera.well = True
    wait_for(unit.works, LONG)
    assert unit.health["reopened"] >= 1
    unit.goes_on()


def test_a_source_that_delivers_garbage_is_named_and_taken_back(
    start: Callable[..., Unit], camera: StreetCamera
) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    fault = time.time()
    camera.put(*[None] * 2000)
    unit.tells("camera lost", "no picture", since=fault)
    while not camera.script.empty():
        camera.script.get()
    wait_for(unit.works, LONG)
    assert unit.health["skipped"]["corrupt"] > 10
    unit.goes_on()


def test_a_source_that_disappears_is_named_and_taken_back(start: Callable[..., Unit], camera: StreetCamera) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    fault = time.time()
    camera.refuse = CameraLost("cannot open the camera: it is gone")
    camera.put(CameraLost("the cable is out"))
    unit.tells("it is gone", since=fault)
    wait_for(lambda: unit.health["state"] == "degraded", LONG)  # waiting for a camera is work, not a halt
    camera.refuse = None
    wait_for(unit.works, LONG)
    unit.goes_on()


def test_a_source_that_changes_its_resolution_goes_on(start: Callable[..., Unit], camera: StreetCamera) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    for size in ((480, 640), (120, 160), (242, 322)):
        camera.size = size
        unit.goes_on()
    wait_for(unit.works, LONG)


def test_an_accelerator_that_does_not_load_is_named_and_the_cpu_does_its_work(
    start: Callable[..., Unit], camera: StreetCamera
) -> None:
    fault = time.time()
    unit = start(accelerator='kind = "gpu"\nlibrary = "/nowhere/libdelegate.so"')
    unit.tells("runs on the CPU", "/nowhere/libdelegate.so", since=fault)
    unit.goes_on()
    assert unit.health["models_on"]["plate-detector-4x3"].startswith("cpu (")


def test_an_accelerator_that_fails_in_the_middle_is_named_and_comes_back(
    start: Callable[..., Unit], camera: StreetCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = threading.Event()

    class Stick:
        def __init__(self, inner: Model) -> None:
            self.inner, self.entry, self.shape, self.takes = inner, inner.entry, inner.shape, inner.takes

        def run(self, values: np.ndarray) -> list[np.ndarray]:
            if out.is_set():
                raise ModelError("the stick was pulled out")
            return self.inner.run(values)

    def open_(self: Accelerators, entry: Entry, folder: Path) -> Model:
        if out.is_set():
            raise ModelError("no stick")
        return Stick(runtime.InterpretedModel(entry, (folder / entry.file).read_bytes(), 1))  # type: ignore[return-value]

    monkeypatch.setattr(Accelerators, "_open", open_)
    monkeypatch.setattr(accelerate, "_FIRST_REST", 0.5)
    unit = start(accelerator='kind = "gpu"')
    wait_for(lambda: unit.health.get("models_on", {}).get("plate-detector-4x3") == "gpu", LONG)
    fault = time.time()
    out.set()
    unit.tells("plate-detector-4x3 runs on the CPU", "stick", since=fault)
    unit.goes_on()
    out.clear()
    wait_for(lambda: unit.works() and unit.health["models_on"]["plate-detector-4x3"] == "gpu", LONG)


def test_a_unit_that_is_too_hot_does_less_and_says_so(
    start: Callable[..., Unit], camera: StreetCamera, tmp_path: Path
) -> None:
    zone = tmp_path / "thermal" / "thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("51000\n")
    unit = start(thermal=f'hot = 80.0\nzones = "{tmp_path / "thermal"}"')
    wait_for(lambda: unit.works() and unit.health["temperature"] == 51.0, LONG)
    fault = time.time()
    (zone / "temp").write_text("93500\n")
    unit.tells("left out: 94 °C", since=fault)
    unit.goes_on()
    assert unit.health["temperature"] == 93.5


def test_a_configuration_broken_while_it_runs_is_named_and_not_used(
    start: Callable[..., Unit], camera: StreetCamera
) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    good = unit.made.config.read_text()
    fault = time.time()
    unit.made.config.write_text(good.replace("[vision]", "[vision]\nsauce = 1"))
    unit.tells("new configuration is not used", "sauce", since=fault)
    unit.goes_on()
    unit.made.config.write_text(good.replace("[uplink]", "[vision.look]\ncover_seconds = 1.5\n[uplink]"))
    wait_for(unit.works, LONG)
    assert unit.assembly.pipeline.look.look._cover == 1.5  # type: ignore[attr-defined]


def test_another_source_is_taken_over_while_it_runs(
    start: Callable[..., Unit], camera: StreetCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    other = StreetCamera()
    other.size = (360, 640)
    monkeypatch.setattr(sources, "camera_of", lambda spec, settings: other)
    unit.made.config.write_text(unit.made.config.read_text().replace("gst:a camera", "gst:another camera"))
    wait_for(lambda: other.opened == 1, LONG)
    unit.goes_on()
    assert camera.closed >= 1
    wait_for(unit.works, LONG)


def test_a_pipeline_that_halts_is_named(start: Callable[..., Unit], camera: StreetCamera) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    release = threading.Event()
    step = unit.assembly.pipeline.detect

    def hang(*given: Any) -> Any:
        release.wait(LONG)
        return step(*given)

    fault = time.time()
    unit.assembly.pipeline.detect = hang  # type: ignore[assignment]
    unit.tells("the pipeline has halted", since=fault)
    unit.assembly.pipeline.detect = step
    release.set()
    wait_for(unit.works, LONG)


def test_it_is_set_for_the_night_and_for_the_day_again(
    start: Callable[..., Unit], camera: StreetCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(switch, "_AGAIN", 1.0)
    lamp = tmp_path / "leds" / "ir"
    night = f'steady_seconds = 1\ndwell_seconds = 1\nexposure_us = 2000\noutput = [{{name = "lamp", led = "{lamp}"}}]'
    fault = time.time()
    unit = start(night=night)
    unit.tells("the output lamp fails", str(lamp), since=fault)  # it is not there yet
    lamp.mkdir(parents=True)
    (lamp / "max_brightness").write_text("7\n")
    wait_for(unit.works, LONG)
    assert (lamp / "brightness").read_text() == "0"
    for dark, brightness, exposure in ((True, "7", 2000), (False, "0", None)):
        camera.dark = dark
        wait_for(lambda brightness=brightness: (lamp / "brightness").read_text() == brightness, LONG)  # type: ignore[misc]
        assert camera.adjusted[-1].exposure_us == exposure
        unit.goes_on()


def test_what_another_process_posts_is_entered_while_it_runs(start: Callable[..., Unit], camera: StreetCamera) -> None:
    unit = start()
    wait_for(unit.works, LONG)
    posted = postbox.post(unit.made.camera_folder / "events", "update", state="installed", software="2.0")
    camera.well = False  # also while there is no picture

    def entered() -> bool:
        return posted in [entry.facts.get("post") for entry in unit.assembly.account.audit.entries(1)]

    wait_for(entered, LONG)
    folder = unit.made.camera_folder / "events"
    wait_for(lambda: not any(folder.iterdir()), LONG)
    fault = time.time()
    folder.rmdir()
    folder.write_text("in the way")
    unit.tells("no other process is heard", since=fault)
    folder.unlink()
    camera.well = True
    wait_for(unit.works, LONG)


def ends(made: Deployment, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["edge.vision", "--config", str(made.config)])
    try:
        return vision.main()
    finally:
        runtime.configure()


@pytest.mark.parametrize("text", ["[vision\n", "[vision]\ncamera = 3\n"])
def test_a_configuration_broken_at_the_start_is_named(
    text: str, made: Deployment, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made.config.write_text(text + made.config.read_text().partition("\n")[2])
    fault = time.time()
    assert ends(made, monkeypatch) == 2
    assert stated(made)["state"] == "failing"
    in_time(stated(made), fault)
    assert str(made.config) in stated(made)["causes"][0]
    assert str(made.config) in capsys.readouterr().err


def test_a_damaged_model_is_named_and_not_run(
    made: Deployment, camera: StreetCamera, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for path in runtime.models_dir().iterdir():
        if path.suffix in (".toml", ".tflite", ".json"):
            shutil.copy(path, folder)
    content = bytearray((folder / "plate_reader.tflite").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "plate_reader.tflite").write_bytes(content)
    for module in (runtime, build):
        monkeypatch.setattr(module, "models_dir", lambda: folder)
    fault = time.time()
    assert ends(made, monkeypatch) == 2
    assert stated(made)["state"] == "failing"
    in_time(stated(made), fault)
    assert "plate_reader.tflite is not the one in the manifest" in stated(made)["causes"][0]
