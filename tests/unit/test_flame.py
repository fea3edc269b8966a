"""The profiler, the cost of a frame, and the soak's verdict."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edge.errors import VidikError
from models.lab.bench import budget, flame, soak
from models.lab.bench.flame import Sampler


def burn(rounds: int) -> float:
    return float(sum(np.sqrt(np.arange(2000.0)).sum() for _ in range(rounds)))


def heavy() -> float:
    return burn(12_000)


def light() -> float:
    return burn(3_000)


def work() -> None:
    heavy()
    light()


def test_samples_say_where_cpu_time_went() -> None:
    with Sampler() as sampler:
        work()
    inside = flame.collapsed(sampler.stacks, "test_flame:work")
    spent: Counter[str] = Counter()
    for stack, microseconds in inside.items():
        assert stack[0] == "test_flame:work"
        spent.update(dict.fromkeys(set(stack), microseconds))
    assert spent["test_flame:work"] > 0
    share = spent["test_flame:heavy"] / spent["test_flame:work"]
    assert 0.55 < share < 0.97, "four fifths by construction"


def test_the_drawing_is_a_picture_with_every_name() -> None:
    stacks = Counter({("a:main",): 10, ("a:main", "b:<lambda>"): 70, ("a:main", "c:rest"): 20})
    drawing = ET.fromstring(flame.draw(stacks, "who & what"))
    titles = [node.text for node in drawing.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["a:main: 100.0%", "b:<lambda>: 70.0%", "c:rest: 20.0%"]
    widths = [float(node.get("width", "0")) for node in list(drawing.iter("{http://www.w3.org/2000/svg}rect"))[1:]]
    assert widths == [1200.0, 840.0, 240.0]


def test_the_cost_of_a_frame_adds_up() -> None:
    spent = budget._Spent()
    spent.counted("step", sum)([1, 2])
    assert not spent.seconds, "it does not count before it is told to"
    spent.seconds.update({"step": 4.0, "models": 3.2, "decode": 0.5, "plate": 2.4, "face": 1.2})
    figures = budget._figures(spent, 100)
    assert figures["cpu_ms"]["overhead"] == 8.0
    assert figures["overhead_share"] == 0.2
    assert figures["core_share_at_15_fps"] == 0.6
    assert figures["core_share_with_decoding"] == 0.675


@pytest.mark.parametrize(
    ("growth", "files", "most", "holds"),
    [
        (0.0, 0, 180.0, True),
        (0.02, 1, 180.0, True),
        (0.5, 0, 180.0, False),
        (0.0, 8, 180.0, False),
        (0.0, 0, 230.0, False),
    ],
)
def test_the_verdict_on_a_soak(growth: float, files: int, most: float, holds: bool) -> None:
    minutes = list(np.arange(0, 30, 1 / 6))
    rng = np.random.default_rng(1)
    mib = [most - 20 * np.exp(-m) + growth * m + float(rng.normal(0, 0.3)) for m in minutes]
    opened = [18 + (files * n) // len(minutes) for n in range(len(minutes))]
    assert soak.verdict(minutes, mib, [2.0] * len(mib), opened)["holds"] is holds


@pytest.mark.parametrize(("creeps", "holds"), [(0.0, True), (0.1, True), (0.8, False)])
def test_holes_of_a_picture_s_size_are_no_growth_as_long_as_they_do_not_add_up(creeps: float, holds: bool) -> None:
    minutes = list(np.arange(0, 30, 1 / 6))
    holes = [6.0 * (minute > 18) + creeps * minute for minute in minutes]  # by chance in the last third alone
    found = soak.verdict(minutes, [180.0 + hole for hole in holes], holes, [19] * len(minutes))
    assert found["slope_mib_a_minute"] == 0.0
    assert found["resident_slope_mib_a_minute"] > 0.1
    assert found["holds"] is holds


def test_what_the_allocator_keeps_is_known_here() -> None:
    pieces = [bytearray(100_000) for _ in range(200)]
    before = soak._free()
    del pieces[::2]  # holes between what stays
    assert 8.0 < soak._free() - before < 12.0


def test_a_soak_too_short_says_so() -> None:
    with pytest.raises(VidikError, match="too short"):
        soak.verdict([0.0, 0.1], [1.0, 1.0], [0.0, 0.0], [3, 3])


def test_passes_follow_each_other_in_one_rising_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        (tmp_path / f"{name}.ppm").write_bytes(b"P6 4 4 255\n" + bytes(48))
    now = iter(range(100))
    monkeypatch.setattr(soak.time, "monotonic", lambda: next(now))
    frames = list(soak.passes(str(tmp_path), 6, 1000.0))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len(frames) > 2
    assert (np.diff([frame.monotonic for frame in frames]) > 0).all()
