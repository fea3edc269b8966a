"""The evaluations, on pictures and fakes whose right figures are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lab_fakes import face_path, picture, plate_path

from edge.vision.values import Box, PlateText
from models.lab import faces_eval, plates_eval, plots
from models.lab.faces_eval import Embeddings, FacesError
from models.lab.labels import Label, Picture

BOXES = [Box(10, 10, 110, 30), Box(200, 10, 300, 30), Box(400, 10, 500, 30)]


def plates(tmp_path: Path, labels: list[Label], fold: bool = False) -> plates_eval.Evaluation:
    texts = {10.0: PlateText("BO1", 0.97), 200.0: PlateText("ZZ9", 0.3), 400.0: None}
    return plates_eval.evaluate([Picture(picture(tmp_path / "a.png"), labels)], plate_path(texts, BOXES), fold)


def test_every_label_and_every_detection_is_accounted_for(tmp_path: Path) -> None:
    labels = [Label(BOXES[0], "BO1"), Label(BOXES[1], "ZZ8"), Label(Box(520, 50, 590, 70), "AA1"), Label(BOXES[2], "")]
    result = plates(tmp_path, labels)
    row = result.overall()
    assert (row.boxes, row.detected, row.readable, row.exact, row.within_one) == (4, 3, 3, 1, 2)
    assert (row.refused, row.reported, row.wrong) == (1, 1, 0)
    assert not result.unmatched
    assert result.overall(90).boxes == 3


def test_a_detection_on_no_label_is_kept_for_a_person_to_judge(tmp_path: Path) -> None:
    result = plates(tmp_path, [Label(BOXES[1], "ZZ9")])
    assert [(box, read.text, read.reported) for _, box, read in result.unmatched] == [
        (BOXES[0], "BO1", True),
        (BOXES[2], "", False),
    ]
    figures = plates_eval.summary(result, 80)
    assert (figures["unmatched"], figures["unmatched_reported"], figures["exact"]) == (2, 1, 1.0)
    assert figures["top_of_picture_exact"] == 0.0  # the likeliest text of the picture is on no labelled plate
    assert len(plates_eval.unmatched_crops(result)) == 2
    assert [(p.name, p.matched.part, p.matched.whole) for p in plates_eval.precision(result)] == [("100-129", 1, 3)]


def test_a_wrong_report_counts_as_one(tmp_path: Path) -> None:
    figures = plates_eval.summary(plates(tmp_path, [Label(BOXES[0], "B01")]), 80)
    assert (figures["wrong_reports"], figures["exact"], figures["within_one_edit"]) == (1.0, 0.0, 1.0)
    assert figures["confusions"] == {"0>O": 1}


def test_folding_counts_o_and_zero_as_one(tmp_path: Path) -> None:
    figures = plates_eval.summary(plates(tmp_path, [Label(BOXES[0], "B01")], fold=True), 80)
    assert (figures["wrong_reports"], figures["exact"]) == (0.0, 1.0)


def test_a_text_without_a_box_is_compared_with_the_likeliest_text(tmp_path: Path) -> None:
    result = plates(tmp_path, [Label(None, "BO1")])
    figures = plates_eval.summary(result, 0)
    assert (figures["exact"], figures["top_of_picture_exact"], figures["unmatched"]) == (1.0, 1.0, 0)


def test_plots_and_tables_are_made(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = plates(tmp_path, [Label(BOXES[0], "BO1"), Label(BOXES[1], "ZZ8")])
    plots.plates(result, tmp_path / "plates.png")
    assert (tmp_path / "plates.png").read_bytes().startswith(b"\x89PNG")
    by_width = plates_eval.tables(result, 80)[0]
    assert by_width.row_count == 3  # one bin, all, and those wide enough


def test_face_recall_is_told_by_height(tmp_path: Path) -> None:
    labels = [Label(Box(10, 10, 50, 50)), Label(Box(300, 10, 380, 90))]
    result = faces_eval.detect([Picture(picture(tmp_path / "a.png"), labels)], face_path([Box(12, 12, 50, 50)]))
    assert [(name, rate.part, rate.whole) for name, rate in result.by_height()] == [("32-47", 1, 1), ("64-95", 0, 1)]
    assert result.unmatched == 0


def test_resizing_to_a_median_height_keeps_boxes_and_labels_together(tmp_path: Path) -> None:
    labels = [Label(Box(20, 20, 100, 100))]
    # the fake finds its box in the shrunk picture, where the label is at half the place and size
    result = faces_eval.detect([Picture(picture(tmp_path / "a.png"), labels)], face_path([Box(10, 10, 50, 50)]), 40)
    assert result.faces == [(40.0, True)]


def people(tmp_path: Path) -> dict[str, list[Path]]:
    for person in ("s1", "s2", "t3"):
        (tmp_path / person).mkdir()
        for shot in "12":
            picture(tmp_path / person / f"{shot}.png")
    return faces_eval.people_of(tmp_path, ["s*"])


def test_people_are_chosen_by_pattern(tmp_path: Path) -> None:
    assert list(people(tmp_path)) == ["s1", "s2"]
    with pytest.raises(FacesError, match="fewer than two"):
        faces_eval.people_of(tmp_path, ["t*"])


def test_people_without_a_face_found_are_kept_as_misses(tmp_path: Path) -> None:
    persons = people(tmp_path)
    found = faces_eval.embed([p for images in persons.values() for p in images], face_path([]))
    assert len(found.missing) == 4
    assert (faces_eval.pairs_of_people(persons, found).scores == -1).all()


def test_a_pairs_file_is_scored(tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text("a,b,same\nx.png,y.png,1\nx.png,z.png,0\n", encoding="utf-8")
    listed = faces_eval.load_pairs(tmp_path / "pairs.csv")
    vectors = {tmp_path / "x.png": np.array([1.0, 0]), tmp_path / "y.png": np.array([2.0, 0]), tmp_path / "z.png": None}
    scored = faces_eval.score_pairs(listed, Embeddings(dict(vectors)))
    assert scored.scores.tolist() == [1.0, -1.0]
    assert scored.genuine.tolist() == [True, False]


@pytest.mark.parametrize("content", ["a,b\nx,y\n", "a,b,same\nx,y,2\n", "a,b,same\nx,y,1\n", ""])
def test_a_wrong_pairs_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "pairs.csv").write_text(content, encoding="utf-8")
    with pytest.raises(FacesError, match=r"pairs\.csv"):
        faces_eval.load_pairs(tmp_path / "pairs.csv")
