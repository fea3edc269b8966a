"""Real photos through the camera's stages: what the models must reach before they are shipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.lab import faces_eval, labels, plates_eval, stages
from models.lab.labels import Picture
from models.lab.verification import auc, roc


def wide_valid(folder: Path, least_width: float) -> list[Picture]:
    """The pictures of the evaluation split that have a readable plate at least this wide."""
    pictures = labels.load(folder, folder / "labels.csv", "valid")
    return [p for p in pictures if any(i.text and i.box and i.box.width >= least_width for i in p.labels)]


@pytest.mark.slow
def test_plates_of_street_photos_are_read(shared: Path) -> None:
    pictures = wide_valid(shared / "data" / "plates-ro", 100)
    result = plates_eval.evaluate(pictures, stages.plates(), folds_o=False)
    row = result.overall(100)
    assert row.readable >= 90, "the evaluation set is not the one it was"
    wrong = [(o.truth, o.read.text if o.read else None) for o in result.outcomes if o.truth and not o.exact]
    assert row.exact / row.readable >= 0.90, wrong


@pytest.mark.slow
def test_every_att_face_is_found_and_people_are_told_apart(shared: Path) -> None:
    people = faces_eval.people_of(shared / "data" / "faces-att")
    images = [image for of in people.values() for image in of]
    assert len(images) == 400
    found = faces_eval.embed(images, stages.faces())
    assert found.missing == []
    unseen = {name: of for name, of in people.items() if int(name[1:]) > 20}
    fpr, tpr, _ = roc(faces_eval.pairs_of_people(unseen, found))
    assert auc(fpr, tpr) >= 0.99
