"""The fixtures that most tests of real brokers start with; a module may have its own, wider or narrower."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.broker import Broker
from tests.brokers import SMALL, running
from tests.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture(params=sorted(SMALL))
def broker(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Broker]:
    with running(request.param, rig.broker_settings) as made:
        yield made
