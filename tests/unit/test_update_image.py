"""What an image is, and which of two versions is the newer."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.update import image, version
from edge.update.image import Image, ImageError
from edge.update.version import VersionError

GOOD = 'version = "2026.11.1"\nboard = "vidik-generic-amd64"\nchannel = "release"\nfloor = "2026.9"\n'


def test_versions_are_ordered_number_by_number() -> None:
    ordered = ["0", "1", "1.0.0.1", "2026.9", "2026.9.1", "2026.10", "2026.10.0.7", "2026.10.1", "2027"]
    parsed = [version.parse(text) for text in ordered]
    assert parsed == sorted(parsed)
    assert len(set(parsed)) == len(parsed)
    assert version.parse("2026.11") == version.parse("2026.11.0") == version.parse("2026.11.0.0")


@given(st.tuples(*[st.integers(0, 999_999_999)] * 4))
def test_what_a_version_says_it_is_parses_to_itself(numbers: tuple[int, int, int, int]) -> None:
    made = version.Version(numbers)
    assert version.parse(str(made)) == made


@pytest.mark.parametrize(
    "text", ["", "1.", ".1", "01", "1.02", "1.2.3.4.5", "1.2rc1", "v1", "1,2", "-1", "1\n", "१", "9" * 10]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(VersionError):
        version.parse(text)


def test_an_image_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "image.toml").write_text(GOOD)
    found = image.load(tmp_path / "image.toml")
    assert found == Image(version="2026.11.1", board="vidik-generic-amd64", channel="release", floor="2026.9")
    assert found.toml() == GOOD
    assert found.at_least < found.is_version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"release"', '"test"'), ('"2026.9"', '"2026.12"'), ('"2026.9"', '"old"'), ("floor", "least"),
        ("version", "extra = 1\nversion"), ('"vidik-generic-amd64"', '"Vidik\\u0000"'), ('"2026.9"', "2026.9"),
    ],
)  # fmt: skip
def test_an_image_that_says_anything_else_is_refused(tmp_path: Path, old: str, new: str) -> None:
    (tmp_path / "image.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ImageError, match=r"image\.toml"):
        image.load(tmp_path / "image.toml")


def test_a_machine_without_an_image_says_so(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="package manager"):
        image.load(tmp_path / "image.toml")
