"""Governor, health, warden and what systemd is told."""

from __future__ import annotations

import json
import logging
import os
import socket
from pathlib import Path

import numpy as np
import pytest

from edge import config, systemd
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.uplink.notices import Notices
from edge.vision.governor import Governor, Level, SparingLook
from edge.vision.health import Health, put, temperature
from edge.vision.look import Grid, Look
from edge.vision.sources import Condition, LiveSource, MemorySource, State
from edge.vision.values import Frame, Kind
from edge.vision.warden import Warden
from edge.vision.watch import Watched
from tests.unit.test_live import ScriptedCamera

PLACES = ("inbox", "trust", "grants", "state", "signing_key", "signing_certificate")


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_heat_takes_more_and_more_away_and_coolness_gives_it_back_slowly() -> None:
    governor = Governor(hot=80.0)
    levels = [governor.judge(now, 85.0, 0.0) for now in range(12)]
    assert levels == [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3]
    assert governor.cause == "85 °C"
    assert [governor.judge(now, 78.0, 0.0) for now in range(12, 200, 10)] == [3] * 19, "not cool enough to swing back"
    back = [int(governor.judge(now, 70.0, 0.0)) for now in range(200, 300, 10)]
    assert back == [2, 2, 2, 1, 1, 1, 0, 0, 0, 0]
    assert governor.cause == ""


def test_a_pipeline_that_is_behind_loses_tiles_but_never_frames_twice() -> None:
    governor = Governor(hot=80.0)
    levels = [governor.judge(now, None, 0.7) for now in range(12)]
    assert max(levels) is Level.ALL_TILES
    assert "70% of the frames" in governor.cause
    assert governor.wants(1)


def test_a_unit_without_a_thermometer_is_not_hot() -> None:
    assert Governor(hot=80.0).judge(0.0, None, 0.0) is Level.NOTHING


def test_what_is_left_out_at_each_level() -> None:
    governor = Governor(hot=80.0)
    look = SparingLook(Look({Kind.FACE: Grid(200, 200, 0.25, 0.1, 10.0)}, 0.01), governor)
    counts = {}
    for level in Level:
        governor.level = level
        times = [10.0 * level + n / 10 for n in range(4)]
        plans = [look.plan(Frame(np.zeros((400, 600, 3), np.uint8), 0, at, at), []) for at in times]
        assert all(plan[0].region == (0, 0, 600, 400) for plan in plans), "the coarse pass is always made"
        counts[level] = sum(len(plan) - 1 for plan in plans)
    assert counts[Level.NOTHING] > 8
    assert counts[Level.HALF_THE_TILES] == pytest.approx(counts[Level.NOTHING] / 2, abs=1)
    assert counts[Level.ALL_TILES] == counts[Level.HALF_THE_FRAMES] == 0
    governor.level = Level.HALF_THE_FRAMES
    assert [governor.wants(index) for index in range(4)] == [True, False, True, False]


def zones(folder: Path, *values: str) -> Path:
    for number, value in enumerate(values):
        (folder / f"thermal_zone{number}").mkdir(parents=True, exist_ok=True)
        (folder / f"thermal_zone{number}" / "temp").write_text(value)
    return folder


def test_the_hottest_zone_counts(tmp_path: Path) -> None:
    assert temperature(zones(tmp_path, "45000\n", "61500\n", "broken")) == 61.5
    assert temperature(tmp_path / "none") is None


def stated(folder: Path) -> dict:
    return json.loads((folder / "health.json").read_text(encoding="utf-8"))


def test_health_says_ok_degraded_and_failing_with_causes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    health = Health(tmp_path, "cam-1", clock)
    causes: list[str] = []
    health.troubles.append(lambda: causes)
    health.facts.append(lambda: {"fps": 15.0})
    health.write()
    assert (stated(tmp_path)["state"], stated(tmp_path)["causes"], stated(tmp_path)["fps"]) == ("ok", [], 15.0)
    causes.append("camera lost")
    health.write()
    assert (stated(tmp_path)["state"], stated(tmp_path)["causes"]) == ("degraded", ["camera lost"])
    clock.now += 9
    health.write()
    assert stated(tmp_path)["state"] == "failing"
    assert "halted" in stated(tmp_path)["causes"][0]
    health.progress()
    causes.clear()
    health.write()
    assert stated(tmp_path)["state"] == "ok"
    health.write("the models are damaged")
    assert (stated(tmp_path)["state"], stated(tmp_path)["causes"]) == ("failing", ["the models are damaged"])


def test_health_is_written_when_there_is_news_and_now_and_then(tmp_path: Path) -> None:
    clock = Clock()
    health = Health(tmp_path, "cam-1", clock)
    health.write()
    (tmp_path / "health.json").unlink()
    health.progress()
    health.write()
    assert not (tmp_path / "health.json").exists()
    clock.now += 30
    health.progress()
    health.write()
    assert (tmp_path / "health.json").exists()


def test_the_uplink_passes_the_health_on(tmp_path: Path) -> None:
    health = Health(tmp_path, "cam-1", Clock())
    health.write()
    (notice,) = Notices(tmp_path).news()
    assert (notice.channel, json.loads(notice.content)["state"]) == ("health", "ok")


def test_a_folder_that_cannot_be_written_to_does_not_stop_the_camera(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    put(tmp_path / "file" / "health.json", {})
    assert "cannot be written" in caplog.text


def test_health_holds_nothing_about_what_was_seen() -> None:
    """Only these names: a text or a picture has no place among them."""
    settings = vision_settings()
    warden = Warden(settings, Health(Path("/nowhere"), "cam-1"), Governor(80.0), lambda: MemorySource([]))
    assert set(warden.facts()) == {"fps", "frame_ms", "latency_ms", "frames", "skipped", "temperature", "left_out"}


def test_latency_counts_from_the_arrival_of_a_picture(tmp_path: Path) -> None:
    clock, frame = Clock(), Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0, 0.0)
    source = LiveSource(ScriptedCamera(), clock=clock)
    warden = Warden(vision_settings(), Health(tmp_path, "cam-1", clock), Governor(80.0), lambda: source, clock=clock)
    assert warden.facts()["latency_ms"] == {}
    for waited in range(20):
        source.came = clock.now
        clock.now += 0.001 * waited  # a picture waits for the pipeline
        warden.wants(frame)
        clock.now += 0.04
        warden.done()
    assert warden.facts()["latency_ms"] == {"p50": 50.0, "p95": 59.0}
    assert warden.facts()["frame_ms"] == 40.0
    clock.now += 6
    assert warden.facts()["latency_ms"] == {}


def vision_settings(**changes: object) -> config.Vision:
    there = {name: Path("/nowhere") for name in PLACES}
    return config.Vision(camera="cam-1", source="x.mp4", **there, **changes)  # type: ignore[arg-type]


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_systemd_is_told(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    assert systemd.notify("READY=1", "STATUS=works")
    assert manager.recv(999) == b"READY=1\nSTATUS=works"
    monkeypatch.setenv("NOTIFY_SOCKET", "/nowhere/at/all")
    assert not systemd.notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not systemd.notify("READY=1")


def test_the_watchdog_is_fed_by_frames_that_were_described_and_by_nothing_else(
    manager: socket.socket, tmp_path: Path
) -> None:
    clock = Clock()
    warden = Warden(
        vision_settings(), Health(tmp_path, "cam-1", clock), Governor(80.0), lambda: MemorySource([]), clock=clock
    )  # fmt: skip
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, 0.0, 0.0)
    manager.setblocking(False)
    for _ in range(5):
        clock.now += 1
        warden.wants(frame)
    with pytest.raises(BlockingIOError):
        manager.recv(999)
    warden.done()
    assert b"READY=1" in manager.recv(999)
    assert manager.recv(999) == b"WATCHDOG=1"
    warden.done()
    with pytest.raises(BlockingIOError):
        manager.recv(999)  # not at every frame
    clock.now += 1
    warden.idle()
    assert manager.recv(999) == b"WATCHDOG=1"


def test_a_camera_that_is_not_there_is_no_reason_to_start_anew(manager: socket.socket, tmp_path: Path) -> None:
    """Else systemd would end a start that never is over."""
    clock = Clock()
    source = LiveSource(ScriptedCamera(), clock=clock)
    warden = Warden(vision_settings(), Health(tmp_path, "cam-1", clock), Governor(80.0), lambda: source, clock=clock)
    warden.idle()
    assert manager.recv(999) == b"WATCHDOG=1"
    source.condition = Condition(State.LOST, "no cable", clock.now, 0)
    clock.now += 1
    warden.idle()
    assert manager.recv(999) == b"READY=1\nSTATUS=waiting for the camera"
    assert manager.recv(999) == b"WATCHDOG=1\nSTATUS=camera lost: no cable"
    source.condition = Condition(State.RUNNING, "", clock.now, 1)
    clock.now += 1
    warden.done()
    assert manager.recv(999) == b"WATCHDOG=1\nSTATUS=works"


def test_a_new_configuration_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    good = "[vision]\n" + "\n".join(f'{name} = "x"' for name in ("camera", "source", *PLACES))
    path.write_text(good)
    clock, taken = Clock(), []

    def reload(settings: config.Vision) -> list[str]:
        taken.append(settings)
        return ["inbox"] if settings.inbox.name == "y" else []

    warden = Warden(
        vision_settings(), Health(tmp_path, "cam-1", clock), Governor(80.0), lambda: MemorySource([]), path=path,
        reload=reload, clock=clock,
    )  # fmt: skip

    def later() -> list[str]:
        clock.now += 2
        warden.done()
        return warden.troubles()

    assert later() == []
    assert taken == []
    path.write_text(good + "\npace = true\n")
    assert later() == []
    assert taken[-1].pace
    path.write_text("[vision\n")
    (trouble,) = later()
    assert "new configuration is not used" in trouble
    assert len(taken) == 1
    path.write_text(good.replace('inbox = "x"', 'inbox = "y"'))
    assert later() == ["a new start is needed for the new inbox"]
    path.unlink()
    assert later() == ["a new start is needed for the new inbox"]
    path.write_text(good)
    assert later() == []


class Keeper:
    offset = 0.0

    def tick(self) -> bool:
        return True


def test_another_source_goes_on_where_the_one_before_stopped() -> None:
    pictures = [np.zeros((4, 4, 3), np.uint8)] * 3
    watched = Watched(MemorySource(pictures), Keeper(), lambda now: None)  # type: ignore[arg-type]
    seen = []
    for frame in watched:
        seen.append(frame)
        if len(seen) == 2:
            watched.exchange(MemorySource(pictures))
    assert [frame.index for frame in seen] == [0, 1, 2, 3, 4]
    assert (np.diff([frame.monotonic for frame in seen]) > 0).all()
    assert watched.delivered == 5


def test_where_health_goes_is_found_in_a_broken_configuration(tmp_path: Path) -> None:
    path = tmp_path / "camera.toml"
    path.write_text('[vision]\nstate = "s"\nnotices = "run/notices"\nthis is = = broken\n')
    assert config.notices_of(path) == tmp_path / "run/notices"
    path.write_text('[vision]\nstate = "s"\n[uplink')
    assert config.notices_of(path) == tmp_path / "s"
    path.write_bytes(b"\xff\xfe")
    assert config.notices_of(path) == tmp_path / "state"
    assert config.notices_of(tmp_path / "missing.toml") == tmp_path / "state"


def test_without_systemd_the_log_goes_to_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    before = logging.root.handlers[:]
    try:
        logging.root.handlers[:] = []
        systemd.log_to_journal("x")
        assert isinstance(logging.root.handlers[0], logging.StreamHandler)
    finally:
        logging.root.handlers[:] = before
    assert os.environ.get("JOURNAL_STREAM") is None
    assert SystemClock().monotonic() > 0
    assert issubclass(config.ConfigError, VidikError)
