"""Fixtures that all tests share."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from hypothesis import settings

from tests import cameras

ROOT = Path(__file__).parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="", help="a camera for the source contract, as in [vision] source")


def pytest_configure(config: pytest.Config) -> None:
    # the same examples every time, so that a change is judged by itself; EXPLORE=1 looks for new ones. No example has a
    # deadline: on a busy machine any would miss it, and time is for benchmarks
    settings.register_profile("steady", derandomize=not os.environ.get("EXPLORE"), deadline=None)
    settings.load_profile("steady")
    cameras.device.spec = config.getoption("--device")  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real photos and labels; the test is skipped, loudly, where there is none."""
    folder = Path(os.environ.get("VIDIK_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        warnings.warn(f"no real photos at {folder}: set VIDIK_SHARED; tests on real data are skipped", stacklevel=1)
        pytest.skip("needs the shared photos (VIDIK_SHARED)")
    return folder
