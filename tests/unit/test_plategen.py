"""The plate generator: what it draws is what it says it drew."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest

from edge.vision.plate_formats import COUNTRIES, country_of
from models.plategen.draw import draw, draw_text
from models.plategen.fonts import CAP, Fonts, FontsError
from models.plategen.formats import serial
from models.plategen.render import mount, photograph, without_colour

TTF = Path(mpl.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="module")
def fonts() -> Fonts:
    """The typefaces that come with matplotlib."""
    return Fonts([TTF / "DejaVuSans.ttf", TTF / "DejaVuSans-Bold.ttf"])


def test_the_same_seed_draws_the_same_plate(fonts: Fonts) -> None:
    one, same, other = (draw(np.random.default_rng(seed), fonts) for seed in (7, 7, 8))
    assert (one.text, one.country, one.rows) == (same.text, same.country, same.rows)
    assert np.array_equal(one.pixels, same.pixels)
    assert one.text != other.text


@pytest.mark.parametrize("country", list(COUNTRIES))
def test_characters_stand_where_the_boxes_say(fonts: Fonts, country: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        plate = draw(rng, fonts, country)
        assert "".join(c.char for row in plate.rows for c in row) == plate.text
        height, width = plate.pixels.shape[:2]
        for row in plate.rows:
            assert all(a.x1 <= b.x0 + 1 for a, b in pairwise(row))  # left to right
            for c in row:
                assert 0 <= c.x0 < c.x1 <= width + 1
                assert -3 <= c.y0 < c.y1 <= height + 3
                inside = plate.pixels[max(0, round(c.y0)) : round(c.y1), max(0, round(c.x0) - 4) : round(c.x1) + 4]
                assert np.ptp(inside.astype(int)) > 60, f"no ink at {c}"


def test_two_rows_stand_one_above_the_other(fonts: Fonts) -> None:
    plate = draw_text("RS", "BG*/123-AB", np.random.default_rng(0), fonts, kind="square")
    above, below = plate.rows
    assert ["".join(c.char for c in row) for row in plate.rows] == ["BG", "123AB"]
    assert max(c.y1 for c in above) <= min(c.y0 for c in below) + 2
    assert plate.pixels.shape[1] < 2 * plate.pixels.shape[0]


def test_a_given_text_is_drawn(fonts: Fonts) -> None:
    plate = draw_text("RS", "ŠA*042-ĐŽ", np.random.default_rng(0), fonts)
    assert plate.text == "ŠA042ĐŽ"
    assert plate.country == "RS"


def test_scale_sets_the_size(fonts: Fonts) -> None:
    for scale in (0.4, 1.2):
        plate = draw_text("RS", "BG*123-AB", np.random.default_rng(0), fonts, scale)
        assert plate.pixels.shape[1] == pytest.approx(520 * scale, rel=0.06)


def test_serbian_serials_cover_every_form() -> None:
    rng = np.random.default_rng(1)
    found = [serial(rng, "RS") for _ in range(3000)]
    texts = [s.text for s in found]
    assert {s.kind for s in found} >= {
        "car", "temporary", "police", "agricultural", "square", "moped", "diplomatic", "oversize"
    }  # fmt: skip
    assert any(t.endswith("TX") for t in texts)
    assert any(t.startswith("RPE") for t in texts)
    for letter in "ČĆĐŠŽ":
        assert any(letter in t for t in texts)
    ordinary = [t for t in texts if len(t) == 7 and t[2:5].isdigit() and country_of(t) == "RS"]
    assert len(ordinary) > 500


def test_marks_are_put_on_letters_a_face_lacks(tmp_path: Path) -> None:
    bold = Fonts([TTF / "DejaVuSans-Bold.ttf"]).faces[0]
    lacking = Fonts([TTF / "cmr10.ttf"]).faces[0]  # has no Đ
    for face in (bold, lacking):
        for char, base in zip("ČĆĐŠŽ", "CCDSZ", strict=True):
            assert face.glyph(char).shape != face.glyph(base).shape
        assert abs(face.glyph("H").shape[0] - CAP) <= 2


def test_no_fonts_is_an_error() -> None:
    with pytest.raises(FontsError, match="No font file"):
        Fonts([])


def test_corners_of_a_photo_are_those_of_the_plate(fonts: Fonts) -> None:
    rng = np.random.default_rng(5)
    for _ in range(5):
        mounted = mount(rng, draw(rng, fonts), fonts)
        photo = photograph(rng, mounted, 0.3, width=200.0)
        height, width = mounted.plate.pixels.shape[:2]
        face = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
        assert np.allclose(cv2.perspectiveTransform(face, photo.matrix)[0], photo.corners, atol=0.05)
        assert photo.corners.min() > 0
        assert (photo.corners.max(0) < photo.pixels.shape[1::-1]).all()


def test_harder_photos_are_less_like_the_plate(fonts: Fonts) -> None:
    def likeness(difficulty: float) -> float:
        rng = np.random.default_rng(9)
        values = []
        for _ in range(25):
            plate = draw(rng, fonts, "HR")
            photo = photograph(rng, mount(rng, plate, fonts), difficulty, width=150.0)
            flat = cv2.warpPerspective(photo.pixels, np.linalg.inv(photo.matrix), plate.pixels.shape[1::-1])
            pair = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.float64).ravel() for p in (flat, plate.pixels)]
            values.append(float(np.corrcoef(pair[0], pair[1])[0, 1]))
        return float(np.mean(values))

    assert likeness(0.0) > 0.8
    assert likeness(0.0) > likeness(1.0) + 0.05


def test_one_channel_is_enough(fonts: Fonts) -> None:
    rng = np.random.default_rng(2)
    photo = photograph(rng, without_colour(rng, mount(rng, draw(rng, fonts), fonts)), 1.0)
    assert photo.pixels.shape[2] == 1
    assert photo.pixels.dtype == np.uint8
