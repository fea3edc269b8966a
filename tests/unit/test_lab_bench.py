"""The bench's bookkeeping, and its way of talking to other programs."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from lab_fakes import picture

from edge import config
from edge.errors import VidikError
from edge.vision import build
from edge.vision.values import Box, Frame
from models.lab.bench import allocations, crowd, law, peers, stages
from models.lab.faces_eval import Embeddings


def test_laps_sum_a_stage_over_a_frame_and_count_frames_without_it() -> None:
    laps = stages.Laps()
    for spent in [[99.0]] * stages.WARM_UP + [[1.0, 2.0], [], [5.0]]:
        laps.frames.append({"seal": sum(spent), stages.ALL: 10.0} if spent else {stages.ALL: 10.0})
    figures = laps.figures()
    assert (figures["frames"], figures["fps"]) == (3, 100.0)
    assert figures["ms_median"]["seal"] == 3.0
    assert figures["ms_mean"]["seal"] == pytest.approx(8 / 3, abs=1e-3)
    assert figures["ms_mean"]["decode"] == 0.0


def test_a_timed_call_gives_its_result_and_its_error() -> None:
    laps = stages.Laps()
    assert laps.timed("look", lambda a, b: a + b)(1, b=2) == 3
    with pytest.raises(ZeroDivisionError):
        laps.timed("seal", lambda: 1 // 0)()
    laps.end_frame()
    assert set(laps.frames[0]) == {"look", "seal"}


def test_footage_too_short_to_measure_is_named() -> None:
    with pytest.raises(VidikError, match="too few"):
        stages.Laps().figures()


def install(tmp_path: Path, code: str) -> None:
    (tmp_path / "rapidocr.py").write_text(code, encoding="utf-8")
    about = tmp_path / "rapidocr-9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: rapidocr\nVersion: 9.9\n", encoding="utf-8")


def test_a_peer_that_cannot_be_imported_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "raise ImportError('no such thing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer = peers.Peer("rapidocr", sys.executable)
    peer.close()
    assert peer.missing == "ImportError: no such thing"


def test_a_peer_answers_picture_by_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(
        tmp_path,
        "print('welcome')\n"
        "class RapidOCR:\n"
        "    def __init__(self, params): assert params['EngineConfig.onnxruntime.intra_op_num_threads'] == 1\n"
        "    def __call__(self, pixels): self.txts = ('BG 1', str(pixels.shape[1])); return self\n",
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    peer = peers.Peer("rapidocr", sys.executable)
    assert (peer.missing, peer.version) == (None, "9.9")
    results = [peer.run(picture(tmp_path / f"{i}.png")) for i in range(2)]
    peer.close()
    assert [r["texts"] for r in results] == [["BG 1", "600"]] * 2
    assert all(r["ms"] >= 0 for r in results)


def test_missed_faces_lower_the_figure_over_all_pairs_only() -> None:
    people = {"a": [Path("a1"), Path("a2"), Path("a3")], "b": [Path("b1"), Path("b2")]}
    near, far = np.full(128, 0.1), np.ones(128)
    found = Embeddings(
        {Path("a1"): near, Path("a2"): near + 0.01, Path("a3"): None, Path("b1"): far, Path("b2"): far}, [1.0]
    )
    figures = peers._verified(people, found, distance=True)
    assert (figures["auc_found"], figures["not_found"]) == (1.0, 1)
    assert figures["auc"] == pytest.approx((2 + 2 / 6) / 4, abs=1e-5)  # of 4 genuine pairs 2 cannot be compared


def test_the_law_is_measured_on_real_reports() -> None:
    figures = law.measure(rounds=2)
    assert {name.split(",")[0].split()[0] for name in figures["report"]} == {"plate", "face"}
    assert all(cost["both"] > 0 and 200 < cost["bytes"] < 2048 for cost in figures["report"].values())
    assert figures["report"]["plate, two recipients"]["bytes"] > figures["report"]["plate, one recipient"]["bytes"]
    assert figures["idle frame"] > 0


def test_the_crowd_stays_in_view_and_apart() -> None:
    scene = crowd.Scene(np.zeros((crowd.HEIGHT, crowd.WIDTH, 3), np.uint8), [np.full((112, 92, 3), 9, np.uint8)] * 5)
    for number in (0, crowd.FRAMES - 1):
        places = [scene.where(person, number) for person in range(5)]
        assert all(p.x0 >= 0 and p.x1 <= crowd.WIDTH and p.y0 >= 0 and p.y1 <= crowd.HEIGHT for p in places)
        assert all(a.iou(b) == 0 for a in places for b in places if a is not b)
        assert [scene.whose(place, number) for place in places] == list(range(5))
        assert int((scene.frame(number).pixels == 9).all(axis=2).sum()) == 5 * 112 * 92
    assert scene.whose(Box(0, 0, 10, 10), 0) is None


def street(number: int) -> Frame:
    """A 1920x1080 picture in which a bright square moves."""
    pixels = np.full((1080, 1920, 3), 90, np.uint8)
    pixels[400:480, 20 * number : 20 * number + 120] = 200
    return Frame(pixels, number, number / 15, number / 15)


def test_looking_takes_no_memory_that_a_buffer_could_have_held() -> None:
    look, detect = build.look(config.Look()), build.detect()
    frames = [street(n) for n in range(20)]
    found = allocations.watch(lambda f: detect(f, look.plan(f, [])), frames, 10, lambda *_: None)
    assert found["frames"] == 10
    assert found["kib_transient"] < 600, "an input picture alone has 720 KiB, the half of a frame 1519"


def test_memory_that_is_taken_and_given_back_shows() -> None:
    frames = [street(0)] * 15
    found = allocations.watch(lambda f: f.pixels[::2, ::2].copy(), frames, 5, lambda *_: None)
    assert found["kib_transient"] > 1500
    with pytest.raises(VidikError, match="too short"):
        allocations.watch(lambda _: None, frames[:3], 5, lambda *_: None)
