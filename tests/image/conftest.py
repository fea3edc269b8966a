"""Machines of the image tests. They build images and start them without KVM, so ``make test-image`` runs them alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from tests.image.host import Host
from tests.image.ntp import TimeServer

CAMERAS = ("cam-amd64", "cam-arm64", "cam-release", "cam-long")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    tiers = os.environ.get("VIDIK_TEST_IMAGE", "").split()
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.timeout(7200))
        tier = "long" if "long" in item.keywords else "arm64" if "arm64" in item.path.name else "amd64"
        if tier not in tiers:
            item.add_marker(pytest.mark.skip(reason=f"starts images: make test-image (VIDIK_TEST_IMAGE={tier})"))


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The city, for all machines."""
    made = Host(tmp_path_factory.mktemp("host"), CAMERAS)
    clock = TimeServer()
    clock.start()
    made.start()
    yield made
    made.stop()
    clock.stop()


@pytest.fixture(scope="session")
def clip() -> Path:
    """The demonstration's clip, 1280x720: vision sees it as a camera would."""
    from provisioning.demo.cli import default_clip

    return default_clip(Console(stderr=True))
