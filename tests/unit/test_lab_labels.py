"""Labels files: what is read from them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.vision.values import Box
from models.lab import labels
from models.lab.labels import Label, LabelsError


def folder(tmp_path: Path, content: str, *images: str) -> Path:
    for image in images:
        (tmp_path / image).parent.mkdir(exist_ok=True)
        (tmp_path / image).touch()
    (tmp_path / "labels.csv").write_text(content, encoding="utf-8")
    return tmp_path


def test_boxes_texts_and_splits(tmp_path: Path) -> None:
    content = (
        "image,split,x,y,w,h,text,readable\na.jpg,valid,1,2,30,10,bg-123 ab,1\n"
        "a.jpg,valid,5,5,9,3,XX,0\nb.jpg,train,1,1,1,1,,0\n"
    )
    (picture,) = labels.load(folder(tmp_path, content, "images/a.jpg"), tmp_path / "labels.csv", "valid")
    assert picture.path == tmp_path / "images" / "a.jpg"
    assert picture.labels == [Label(Box(1, 2, 31, 12), "BG123AB"), Label(Box(5, 5, 14, 8), "")]


def test_texts_alone(tmp_path: Path) -> None:
    content = "image,text\na.png,ČA001ŠĐ\nempty.png,\n"
    first, second = labels.load(folder(tmp_path, content, "a.png", "empty.png"), tmp_path / "labels.csv")
    assert first.labels == [Label(None, "ČA001ŠĐ")]
    assert second.labels == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("picture,text\na.png,A\n", "no column 'image'"),
        ("image,text\nb.png,A\n", "Line 2 .*'b.png'"),
        ("image,x,y,w,h\na.png,1,2,three,4\n", "Line 2 of .* four numbers"),
        ("image,x,y,w,h\na.png,1,2,3,\n", "Line 2 of .* four numbers"),
        ("image,text\n", "has no row"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(LabelsError, match=message):
        labels.load(folder(tmp_path, content, "a.png"), tmp_path / "labels.csv")


def test_a_split_needs_its_column(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match="no column 'split'"):
        labels.load(folder(tmp_path, "image,text\na.png,A\n", "a.png"), tmp_path / "labels.csv", "valid")


def test_the_only_csv_file_is_the_labels_file(tmp_path: Path) -> None:
    with pytest.raises(LabelsError, match=r"has no labels\.csv"):
        labels.find_file(tmp_path)
    (tmp_path / "truth.csv").touch()
    assert labels.find_file(tmp_path) == tmp_path / "truth.csv"
    (tmp_path / "more.csv").touch()
    with pytest.raises(LabelsError, match="several CSV files"):
        labels.find_file(tmp_path)


def test_assignment_is_one_to_one_and_prefers_overlap() -> None:
    truth = [Label(Box(0, 0, 100, 20)), Label(None, "TEXT"), Label(Box(90, 0, 190, 20))]
    boxes = [Box(10, 0, 110, 20), Box(0, 0, 100, 20), Box(300, 0, 400, 20)]
    assert labels.assign(boxes, truth) == [None, 0, None]
    assert labels.assign([Box(85, 0, 185, 20)], truth) == [2]
