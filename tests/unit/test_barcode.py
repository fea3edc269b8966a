"""A claim's QR code before the camera is read, whichever claim it is and however it is held."""

from __future__ import annotations

import numpy as np
import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edge.vision.aim.barcode import claim_text
from edge.vision.image import cv2  # the test draws sheets; the product has no such function

HEIGHT, WIDTH = 720, 1280


def claim(rng: np.random.Generator) -> str:
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"))
    secret, pin = ("".join(rng.choice(letters, length)) for length in (32, 43))
    return f"vidik://enrol.example:8443/cam-0042?claim={secret}&pin={pin}&until={rng.integers(1.7e9, 2e9)}"


def sheet(text: str, scale: int = 8) -> np.ndarray:
    code = np.array([[0 if dark else 255 for dark in row] for row in segno.make_qr(text, error="m").matrix], np.uint8)
    return np.pad(code, 4, constant_values=255).repeat(scale, 0).repeat(scale, 1)


def street(rng: np.random.Generator) -> np.ndarray:
    """Walls, windows and noise: a grey picture with edges everywhere."""
    blocks = np.kron(rng.integers(30, 225, (HEIGHT // 40, WIDTH // 40)), np.ones((40, 40)))
    return np.clip(blocks + rng.normal(0.0, 6.0, blocks.shape), 0, 255).astype(np.uint8)


def held(scene: np.ndarray, paper: np.ndarray, side: float, turn: float, rng: np.random.Generator) -> np.ndarray:
    """``paper``, ``side`` pixels wide, turned by ``turn`` degrees and tilted a little, in the middle of ``scene``; not
    quite in focus, in a poor light."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side / 2 * (1 + rng.uniform(-0.08, 0.08, (4, 2)))
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    corners = square @ np.array([[cosine, sine], [-sine, cosine]]) + (WIDTH / 2, HEIGHT / 2)
    size = len(paper)
    onto = cv2.getPerspectiveTransform(
        np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32), corners.astype(np.float32)
    )
    soft = cv2.GaussianBlur(paper, (0, 0), 0.4 * size / side)
    moved = cv2.warpPerspective(soft, onto, (WIDTH, HEIGHT))
    inside = cv2.warpPerspective(np.full_like(paper, 255), onto, (WIDTH, HEIGHT)) > 127
    shown = np.where(inside, moved * 0.6 + 30, scene)
    return np.clip(cv2.GaussianBlur(shown, (0, 0), 0.6) + rng.normal(0, 4, shown.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("side", [150, 200, 300, 440])  # 2.6 to 7.7 pixels a module
def test_every_claim_is_read_as_it_is_held(side: int) -> None:
    rng = np.random.default_rng(side)
    scene = street(rng)
    for _ in range(25):
        text = claim(rng)
        assert claim_text(held(scene, sheet(text), side, rng.uniform(-180, 180), rng)) == text


def test_a_claim_is_read_from_a_phone_with_a_dark_screen() -> None:
    rng = np.random.default_rng(1)
    text = claim(rng)
    assert claim_text(held(street(rng), 255 - sheet(text), 400, 3.0, rng)) == text


@pytest.mark.parametrize("beside", [40, 800])
def test_a_claim_goes_before_a_poster(beside: int) -> None:
    rng = np.random.default_rng(2)
    scene, text = street(rng), claim(rng)
    poster, paper = sheet("https://example.org/concert", 5), sheet(text, 5)
    scene[60 : 60 + len(poster), beside : beside + len(poster)] = poster
    scene[300 : 300 + len(paper), 440 : 440 + len(paper)] = paper
    assert claim_text(scene) == text
    scene[300:, :] = 120
    assert claim_text(scene) == "https://example.org/concert"


def test_no_code_is_no_text() -> None:
    assert claim_text(street(np.random.default_rng(3))) == ""
    assert claim_text(np.zeros((2, 2), np.uint8)) == ""


def test_what_is_no_text_and_what_is_too_long_harms_nobody() -> None:
    assert claim_text(np.pad(sheet("x" * 2000, 3), 20, constant_values=255)) == "x" * 1024
    binary = segno.make_qr(bytes(range(128, 256)), error="m")
    drawn = np.array([[0 if dark else 255 for dark in row] for row in binary.matrix_iter(scale=4)], np.uint8)
    assert len(claim_text(np.pad(drawn, 20, constant_values=255))) <= 1024


@settings(max_examples=60)
@given(
    broken=arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60))),
    at=st.tuples(st.integers(0, 400), st.integers(0, 400)),
)
def test_a_damaged_code_is_read_right_or_not_at_all(broken: np.ndarray, at: tuple[int, int]) -> None:
    text = claim(np.random.default_rng(4))
    paper = sheet(text)
    part = paper[at[1] : at[1] + broken.shape[0], at[0] : at[0] + broken.shape[1]]
    part[:] = broken[: part.shape[0], : part.shape[1]]
    assert claim_text(paper) in ("", text)
