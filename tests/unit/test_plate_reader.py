"""The plate reader: strips, decoding, what formats say, voting, and the shipped model on plates."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.vision import ctc, plate_formats, runtime
from edge.vision.plate_confidence import FILE, Confidence, Evidence
from edge.vision.plate_reader import ALPHABET, PlateReader, Reading, vote
from edge.vision.plate_strip import HEIGHT, STEP, WIDTH, aspect, even, quads, strip
from models.plategen.draw import draw_text
from models.plategen.fonts import Fonts
from models.plategen.render import mount, photograph

STEPS = 40
PLAIN = Confidence((1.0, 0.0, 0.0, 0.0, 0.0), 0.3, 0.9, "")


def reading(
    text: str, sure: float = 0.98, instead: dict[int, tuple[str, float]] | None = None, shift: int = 0
) -> Reading:
    """A reading of ``text`` in the middle, or ``shift`` steps right of it; ``instead`` gives a place another character
    with a probability."""
    probs = np.full((STEPS, len(ALPHABET) + 1), 1e-5)
    probs[:, 0] = 1.0
    for i, char in enumerate(text):
        step = 22 - 2 * len(text) + shift + i * 4
        probs[step, 0] = 1e-5
        probs[step, 1 + ALPHABET.index(char)] = sure
        if instead and i in instead:
            other, share = instead[i]
            probs[step, 1 + ALPHABET.index(char)] = sure * (1 - share)
            probs[step, 1 + ALPHABET.index(other)] = sure * share
    probs /= probs.sum(1, keepdims=True)
    return Reading(np.log(probs).astype(np.float32)[None])


# --- strips


def board() -> NDArray[np.uint8]:
    """A picture with an upright 200 x 44 "plate" at 60, 50: black bars of growing width on white."""
    picture = np.full((150, 320, 3), 90, np.uint8)
    picture[50:94, 60:260] = 235
    for i in range(8):
        picture[58:86, 70 + 24 * i : 74 + 24 * i + i] = 15
    return picture


CORNERS = np.array([[60, 50], [260, 50], [260, 94], [60, 94]], np.float32)


def test_a_strip_has_the_size_and_contrast_of_training() -> None:
    out = strip(board(), CORNERS)
    assert out.shape == (HEIGHT, WIDTH)
    assert out.dtype == np.uint8
    middle = even(out)[HEIGHT // 6 : -HEIGHT // 6]
    assert abs(float(middle.mean()) - 128) < 12
    assert STEP / 2 < float(middle.std()) < STEP * 1.5


def test_light_does_not_change_a_strip() -> None:
    bright = strip(board(), CORNERS).astype(int)
    dark = strip((board() * 0.4 + 20).astype(np.uint8), CORNERS).astype(int)
    assert np.abs(bright - dark).mean() < 4


@pytest.mark.parametrize("degrees", [-20, 8, 33])
def test_a_turned_plate_is_straightened(degrees: float) -> None:
    matrix = cv2.getRotationMatrix2D((160, 75), degrees, 0.9)
    turned = np.asarray(cv2.warpAffine(board(), matrix, (320, 150), borderValue=(90, 90, 90)), np.uint8)
    corners = cv2.transform(CORNERS[None], matrix)[0].astype(np.float32)
    straight, from_turned = strip(board(), CORNERS).astype(float), strip(turned, corners).astype(float)
    assert np.corrcoef(straight.ravel(), from_turned.ravel())[0, 1] > 0.85


def test_two_rows_come_side_by_side() -> None:
    picture = np.full((200, 240, 3), 230, np.uint8)
    picture[60:80, 60:80] = 0  # upper row, left
    picture[120:140, 160:180] = 0  # lower row, right
    corners = np.array([[40, 50], [200, 50], [200, 150], [40, 150]], np.float32)
    assert aspect(corners) == pytest.approx(1.6)
    assert len(quads(corners)) == 2
    dark = strip(picture, corners) < 60
    left, right = dark[:, : WIDTH // 2], dark[:, WIDTH // 2 :]
    assert np.flatnonzero(left.any(0)).mean() < 25
    assert np.flatnonzero(right.any(0)).mean() > 50
    assert not (strip(picture, corners, rows=1)[:, WIDTH // 2 + 30 :][:10] < 60).any()


def test_corners_outside_the_picture_are_no_error() -> None:
    for shift in ((-100, 0), (150, 60), (-400, -400), (900, 900)):
        assert strip(board(), CORNERS + np.array(shift, np.float32)).shape == (HEIGHT, WIDTH)


def test_grey_and_colour_give_the_same_strip() -> None:
    assert np.array_equal(strip(board(), CORNERS), strip(board()[..., 0], CORNERS))


# --- decoding


def every_text(log_probs: NDArray[np.float32]) -> dict[tuple[int, ...], float]:
    """Probabilities of all label sequences, by going through all paths."""
    steps, classes = log_probs.shape
    out: dict[tuple[int, ...], float] = {}
    for path in itertools.product(range(classes), repeat=steps):
        labels = tuple(v for i, v in enumerate(path) if v and (i == 0 or v != path[i - 1]))
        out[labels] = out.get(labels, 0.0) + float(np.exp(sum(log_probs[i, v] for i, v in enumerate(path))))
    return out


@pytest.mark.parametrize("seed", range(5))
def test_likelihoods_and_beams_agree_with_all_paths(seed: int) -> None:
    log_probs = ctc.log_softmax(np.random.default_rng(seed).normal(0, 1.5, (6, 4)).astype(np.float32))
    truth = every_text(log_probs)
    assert np.allclose(ctc.log_likelihoods(log_probs[None], list(truth))[0], np.log(list(truth.values())), atol=1e-4)
    best = sorted(truth, key=lambda labels: -truth[labels])
    assert ctc.beams(log_probs, 100)[:5] == best[:5]


def test_repeated_characters_survive() -> None:
    assert reading("BG1100AA").text == "BG1100AA"
    assert ctc.beams(reading("0000").log_probs[0])[0] == (1, 1, 1, 1)


# --- formats


@pytest.mark.parametrize(
    ("text", "country"),
    [("BG123AB", "RS"), ("ČA042TX", "RS"), ("ŠA1234KO", "RS"), ("ZG1234AB", "HR"), ("PGAB123", "ME"),
     ("E12A345", "BA"), ("B12ABC", "RO"), ("1A23456", "CZ"), ("1234BCD", "ES"), ("CA1234AB", "BG"),
     ("0B123AB", ""), ("ABC123", ""), ("", "")],
)  # fmt: skip
def test_country_follows_from_the_form(text: str, country: str) -> None:
    assert plate_formats.country_of(text) == country


def test_a_text_of_no_form_is_only_less_likely() -> None:
    assert not plate_formats.follows_form("0B123AB")
    assert plate_formats.follows_form("OB123AB")
    assert plate_formats.log_share("OB123AB") > plate_formats.log_share("0B123AB") > -60
    assert np.isfinite(plate_formats.log_share("X" * 30))


# --- voting


def test_agreeing_shots_outvote_one() -> None:
    shots = [reading("BG123AB"), reading("BG123AB"), reading("BG128AB")]
    seen = vote(shots, [1.0, 1.0, 1.0], PLAIN)
    assert seen is not None
    assert seen.text == "BG123AB"
    assert seen.country == "RS"


def test_weights_decide_between_two() -> None:
    shots = [reading("BG123AB"), reading("BG128AB")]
    for weights, text in (([5.0, 1.0], "BG123AB"), ([1.0, 5.0], "BG128AB")):
        seen = vote(shots, weights, PLAIN)
        assert seen is not None
        assert seen.text == text


def test_doubt_shows_in_confidence_and_alternates() -> None:
    sure = vote([reading("BG123AB")], [1.0], PLAIN)
    torn = vote([reading("BG123AB", instead={2: ("7", 0.45)})], [1.0], PLAIN)
    assert sure is not None
    assert torn is not None
    assert torn.confidence < sure.confidence
    assert torn.text == "BG123AB"
    assert torn.alternates[0][0] == "BG723AB"
    assert len(torn.alternates) <= 3
    assert torn.confidence + sum(p for _, p in torn.alternates) <= 1 + 1e-9


@pytest.mark.parametrize(("torn", "place", "other", "text"), [
    ("B0123AB", 1, "O", "BO123AB"),  # an area code is of letters
    ("BG12OAB", 4, "0", "BG120AB"),
    ("BĐ123AB", 1, "D", "BD123AB"),  # no code of this kind has Đ
])  # fmt: skip
def test_formats_break_ties(torn: str, place: int, other: str, text: str) -> None:
    seen = vote([reading(torn, instead={place: (other, 0.5)})], [1.0], PLAIN)
    assert seen is not None
    assert seen.text == text


def test_a_letter_that_may_stand_there_stays() -> None:
    seen = vote([reading("ĐA123AB", instead={0: ("D", 0.3)})], [1.0], PLAIN)
    assert seen is not None
    assert seen.text == "ĐA123AB"


def test_formats_do_not_overrule_what_is_plain_to_see() -> None:
    seen = vote([reading("0B1O3ĐQ", 0.9999)], [1.0], PLAIN)
    assert seen is not None
    assert seen.text == "0B1O3ĐQ"


def test_nothing_is_no_plate() -> None:
    assert vote([reading("")], [1.0], PLAIN) is None
    assert vote([reading("A")], [1.0], PLAIN) is None  # too short
    assert vote([], [], PLAIN) is None


def test_more_support_means_more_confidence() -> None:
    stored = Confidence.load()

    def sure(best: float, support: float) -> float:
        return stored.of(Evidence(("BG123AB", "X"), np.array([best, 1 - best]), 0.0, support, 1, True))

    assert sure(0.999, -0.05) > sure(0.7, -0.05)
    assert sure(0.999, -0.05) > sure(0.999, -6.0)
    assert 0 < sure(0.5, -12.0) < sure(1.0, 0.0) < 1


def test_calibration_belongs_to_the_model() -> None:
    stored = json.loads((runtime.models_dir() / FILE).read_text(encoding="utf-8"))
    assert stored["model"] == runtime.manifest(runtime.models_dir())["plate-reader"].sha256


def test_a_damaged_calibration_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(runtime.ModelError, match="calibration"):
        Confidence.load(tmp_path / "x.json")


# --- the shipped model


@pytest.fixture(scope="module")
def reader() -> PlateReader:
    return PlateReader()


@pytest.mark.parametrize("text", ["BG*123-AB", "ČA*9876-TX", "ŠI*004-ĆŽ", "NS*/582-KL", "ZG*1234-XY", "P 012-345"])
def test_drawn_plates_are_read(reader: PlateReader, text: str) -> None:
    fonts = Fonts([Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"])
    rng = np.random.default_rng(4)
    plate = draw_text("RS", text, rng, fonts, kind="square" if "/" in text else "car")
    photos = [photograph(rng, mount(rng, plate, fonts), 0.2, width=150.0) for _ in range(3)]
    seen = vote([reader.read(p.pixels, p.corners) for p in photos], [1.0] * 3)
    assert seen is not None
    assert seen.text == plate.text
    assert seen.confidence > 0.5


def test_textures_are_no_plates(reader: PlateReader) -> None:
    rng = np.random.default_rng(6)
    corners = np.array([[10, 10], [170, 10], [170, 50], [10, 50]], np.float32)
    bars = np.where((np.arange(180) // 5 % 2)[None, :, None], 220, 30) * np.ones((60, 1, 3))
    noise = rng.integers(0, 256, (60, 180, 3))
    flat = np.full((60, 180, 3), 128) + rng.normal(0, 3, (60, 180, 1))
    for picture in (bars, noise, flat):
        seen = vote([reader.read(np.clip(picture, 0, 255).astype(np.uint8), corners)], [1.0])
        assert seen is None or seen.confidence < 0.5


def test_photographed_plates_are_read(reader: PlateReader, shared: Path) -> None:
    folder = shared / "data" / "plates-ro"
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == "valid" and r["readable"] == "1" and int(r["w"]) >= 80]
    right = wrong = 0
    for row in rows[::2]:
        picture = np.asarray(cv2.imread(str(folder / "images" / row["image"])), np.uint8)
        x, y, w, h = (int(row[k]) for k in "xywh")
        corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32)
        seen = vote([reader.read(picture, corners)], [1.0])
        right += seen is not None and seen.text == row["text"]
        wrong += seen is not None and seen.text != row["text"] and seen.confidence >= Confidence.load().refuse_below
    assert right >= 0.95 * len(rows[::2])
    assert wrong <= 1


@pytest.mark.parametrize(("shift", "believed"), [(0, True), (2, True), (-2, True), (-7, False), (8, False)])
def test_a_text_at_one_side_of_the_plate_is_not_believed(shift: int, believed: bool) -> None:
    seen = vote([reading("BG123", shift=shift)] * 2, [1.0, 1.0])
    assert seen is not None
    assert seen.text == "BG123"
    assert (seen.confidence >= Confidence.load().refuse_below) is believed
