"""List entries from photos: what is accepted, what is refused and in which words."""

from __future__ import annotations

import base64
import tomllib

import numpy as np
import pytest
from skimage import data
from typer.testing import CliRunner

from edge.errors import VidikError
from edge.vision import image
from edge.vision.face_embedder import FaceEmbedder, cosine
from edge.vision.face_threshold import match_rate, threshold
from edge.vision.image import cv2  # the test writes photos; the product has no such function
from edge.vision.values import Frame
from provisioning import grant_cli, grant_draft
from provisioning.face_templates import Enroller, PhotoError


@pytest.fixture(scope="module")
def portrait():
    """A public-domain portrait (NASA), BGR."""
    return image.rgb(np.ascontiguousarray(data.astronaut()))[:300]


@pytest.fixture(scope="module")
def enroller():
    return Enroller()


def frame(pixels):
    return Frame(np.ascontiguousarray(pixels), 0, 0.0, 0.0)


def test_a_good_portrait_makes_an_entry(enroller, portrait):
    made = enroller.entry("Eileen Collins!", frame(portrait))
    assert made.entry == "eileen-collins"
    assert "quality" in made.words()
    listed = made.listed(0.95)
    assert (listed.threshold, listed.vector) == (0.95, made.template.vector.tobytes())


def test_two_faces_are_refused(enroller, portrait):
    with pytest.raises(PhotoError, match=r"2 faces .* must be clear who is sought"):
        enroller.entry("p", frame(np.hstack([portrait, portrait])))


def test_no_face_is_refused(enroller):
    with pytest.raises(PhotoError, match="No face was found"):
        enroller.entry("p", frame(np.full((200, 200, 3), 120, np.uint8)))


def test_a_poor_photo_is_refused_with_its_worst_fault(enroller, portrait):
    tiny, blurred = image.resize(portrait, 110, 64), cv2.GaussianBlur(portrait, (0, 0), 6)
    with pytest.raises(PhotoError, match="too small"):
        enroller.entry("p", frame(tiny))
    with pytest.raises(PhotoError, match="is blurred"):
        enroller.entry("p", frame(blurred))


def test_a_photo_that_is_not_there_is_named(enroller, tmp_path):
    with pytest.raises(PhotoError, match=r"no photo .*who\.png"):
        enroller.photo(tmp_path / "who.png", "who")


def test_the_command_writes_entries_that_a_grant_takes_up(portrait, tmp_path):
    photo, out = tmp_path / "child-1.png", tmp_path / "faces.toml"
    cv2.imwrite(str(photo), portrait)
    result = CliRunner().invoke(grant_cli.app, ["templates", str(photo), "--out", str(out)])
    assert result.exit_code == 0, result.output
    (entry,) = tomllib.loads(out.read_text())["face"]
    assert entry["entry"] == "child-1"
    vector = np.frombuffer(base64.b64decode(entry["vector"]), np.int8)
    again = Enroller().entry("x", frame(portrait)).template
    assert cosine(vector, again.vector) == pytest.approx(1)
    sought = grant_draft.Sought(**entry)
    face = grant_draft._face(sought, tmp_path, threshold(match_rate(1, 5000, 1)))
    assert face.threshold == pytest.approx(threshold(2e-4))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["child-1.png", "faces.toml"]  # no photo is kept
    again = CliRunner().invoke(grant_cli.app, ["templates", str(photo), "--out", str(out)])
    assert isinstance(again.exception, VidikError)


def test_an_entry_by_vector_needs_a_threshold_from_somewhere(tmp_path):
    sought = grant_draft.Sought("p", vector=base64.b64encode(bytes(128)).decode(), scale=0.1)
    with pytest.raises(grant_draft.DraftError, match="false_alarms_per_day"):
        grant_draft._face(sought, tmp_path, None)


def test_the_embedder_leaves_a_copy_nowhere_it_can_reach(portrait):
    class Model:
        def __init__(self):
            self.answer = [np.ones((1, 128), np.float32)]

        def run(self, values):
            return self.answer

    model = Model()
    FaceEmbedder(model).embed_aligned(np.zeros((150, 150, 3), np.uint8))
    assert not model.answer[0].any()
