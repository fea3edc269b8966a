"""The path of a single picture, and the lines made of it, with fakes for the models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import typer
from lab_fakes import BLACK, face_path, picture, plate_path

from edge.vision.values import Box, Detection, Kind, PlateText
from models.lab import each, faces, read, stages
from models.lab.still import analyse_still


def test_the_reader_arbitrates_among_the_boxes() -> None:
    texts = {10.0: None, 200.0: PlateText("B01", 0.4), 400.0: PlateText("BG1", 0.97, country="RS")}
    path = plate_path(texts, [Box(10, 10, 60, 30), Box(200, 10, 260, 30), Box(400, 10, 460, 30)])
    plates = read.entries(analyse_still(BLACK, path))["plates"]
    assert [p["text"] for p in plates] == ["BG1", "B01", ""]
    assert [p["reported"] for p in plates] == [True, False, False]
    assert plates[0] == {
        "text": "BG1", "confidence": 0.97, "reported": True, "box": [400.0, 10.0, 60.0, 20.0], "country": "RS"
    }  # fmt: skip


def test_a_detection_too_faint_to_begin_a_track_is_not_reported() -> None:
    boxes = [Box(10, 10, 60, 30), Box(200, 10, 260, 30)]
    path = plate_path({10.0: PlateText("AA1", 0.99), 200.0: PlateText("BB2", 0.99)}, boxes)
    seen = analyse_still(BLACK, path).seen
    faint = [
        type(s)(Detection(Kind.PLATE, s.detection.box, 0.1, s.detection.points), s.shot, s.description) for s in seen
    ]
    assert [stages.reported(s) for s in seen] == [True, True]
    assert [stages.reported(s) for s in faint] == [False, False]


def test_faint_boxes_are_read_only_while_nothing_better_is_there() -> None:
    def found(*scores: float) -> list[Detection]:
        return [Detection(Kind.PLATE, Box(0, 0, 9, 3), s, np.zeros((4, 2), np.float32)) for s in scores]

    assert len(stages.worth_reading(found(0.3, 0.3, 0.2, 0.2, 0.2))) == stages.FAINT
    assert [d.score for d in stages.worth_reading(found(0.9, 0.8, 0.7, 0.6, 0.2))] == [0.9, 0.8, 0.7, 0.6]
    assert len(stages.worth_reading(found(*[0.9] * 30))) == stages.MOST


def test_a_box_outside_the_picture_is_seen_but_not_described() -> None:
    (seen,) = analyse_still(BLACK, face_path([Box(900, 10, 960, 70)])).seen
    assert (seen.shot, seen.description) == (None, None)


def test_a_face_line_can_be_read_back_and_compared() -> None:
    line = json.loads(json.dumps(faces.entries(analyse_still(BLACK, face_path([Box(10, 20, 70, 90)])))))
    (face,) = line["faces"]
    assert face["box"] == [10.0, 20.0, 60.0, 70.0]
    assert face["embedding"] == [-3] * 128
    assert face["landmarks"] == [[10.0, 20.0]] * 4
    assert (face["score"], face["quality"]) == (0.9, 60.0)


def test_a_broken_file_is_a_line_and_a_failure_but_no_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    (tmp_path / "b.png").touch()
    images = [tmp_path / "a.png", tmp_path / "b.png", tmp_path / "absent.png", picture(tmp_path / "good.png")]
    path = plate_path({10.0: PlateText("BG1", 0.97)}, [Box(10, 10, 60, 30)])
    with pytest.raises(typer.Exit) as stop:
        each.run(each.lines(images, path, read.entries), read.table, as_json=True)
    assert stop.value.exit_code == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["image"] for line in lines] == [str(image) for image in images]
    assert ["error" in line for line in lines] == [True, True, True, False]
    assert set(lines[3]) == {"image", "plates", "ms"}
    assert lines[3]["ms"] > 0


def test_tables_show_pictures_with_and_without_objects_and_broken_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    images = [picture(tmp_path / "good.png"), tmp_path / "absent.png"]
    plates = plate_path({10.0: PlateText("BG1", 0.97)}, [Box(10, 10, 60, 30)])
    with pytest.raises(typer.Exit):
        each.run(each.lines(images, plates, read.entries), read.table, as_json=False)
    with pytest.raises(typer.Exit):
        each.run(each.lines(images, face_path([]), faces.entries), faces.table, as_json=False)
    shown = capsys.readouterr().out
    assert shown.count("BG1") == 1
    assert shown.count("none") == 1
    assert shown.count("cannot be read") == 2


def test_the_most_prominent_face_comes_first() -> None:
    boxes = [Box(10, 20, 30, 40), Box(200, 10, 280, 90)]  # the fake gives the first the higher score
    line = faces.entries(analyse_still(BLACK, face_path(boxes)))
    assert [face["box"][2] for face in line["faces"]] == [80.0, 20.0]
