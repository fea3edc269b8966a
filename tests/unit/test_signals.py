"""The uplink's side of signals: a line from the broker becomes a file that vision can read, and nothing else does."""

from __future__ import annotations

import pytest

from edge.uplink.downlink import Downlink
from edge.uplink.signals import MOST, Signals
from edge.vision.rules.signals import FromFile
from tests.rig import Rig

WALL = 1_795_000_000.0
PREFIX = "vidik/v1/cam-1/signal/"


class Wire:
    """Stands for the connection: notes what is asked of it."""

    def __init__(self):
        self.subscribed, self.acknowledged = [], []

    def subscribe(self, pattern):
        self.subscribed.append(pattern)

    def acknowledge(self, number):
        self.acknowledged.append(number)


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    return Rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def publisher(rig, tmp_path):
    inlets = [Signals(tmp_path / "signals")]
    made = Downlink("cam-1", "1", rig.address("cam-1", 1), b"DER", changed=lambda: None, inlets=inlets)
    made._link = Wire()
    return made


def test_what_comes_in_is_what_vision_reads(publisher, tmp_path):
    publisher.opened(5, 10)
    assert publisher._link.subscribed == [f"{PREFIX}+"]
    signal = FromFile(tmp_path / "signals" / "main-street", 3.0)
    for number, (line, closed) in enumerate([(b"closed 1795000000.25", True), (b"open 1795000000.5\n", False)]):
        publisher.received(f"{PREFIX}main-street", line, number, False)
        assert signal.closed(WALL + 1) is closed
    publisher.received(f"{PREFIX}main-street", b"closed 1794000000", 2, True)  # retained, long ago
    assert signal.closed(WALL + 1) is None
    assert publisher._link.acknowledged == [0, 1, 2]
    assert [path.name for path in (tmp_path / "signals").iterdir()] == ["main-street"]


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        (f"{PREFIX}../../state/boot", b"closed 1795000000"),
        (f"{PREFIX}.hidden", b"closed 1795000000"),
        (f"{PREFIX}", b"closed 1795000000"),
        (f"{PREFIX}" + "x" * 33, b"closed 1795000000"),
        (f"{PREFIX}main", b"closed"),
        (f"{PREFIX}main", b"closed 1795000000 and more"),
        (f"{PREFIX}main", b"x" * 1_000_000),
        (f"{PREFIX}main", b""),
        ("vidik/v1/cam-2/signal/main", b"closed 1795000000"),
        ("vidik/v1/cam-1/grant", b"closed 1795000000"),
    ],
)
def test_nothing_else_is_written(publisher, tmp_path, topic, payload):
    publisher.received(topic, payload, 1, False)
    assert [*tmp_path.rglob("*")] == []


def test_a_flood_of_names_ends(publisher, tmp_path):
    for number in range(3 * MOST):
        publisher.received(f"{PREFIX}s{number}", b"open 1795000000", number, False)
    assert len([*(tmp_path / "signals").iterdir()]) == MOST
    publisher.received(f"{PREFIX}s0", b"closed 1795000000", 1, False)
    assert FromFile(tmp_path / "signals" / "s0", 3.0).closed(WALL) is True


def test_a_folder_that_cannot_be_written_stops_nothing(publisher, tmp_path, caplog):
    (tmp_path / "signals").write_text("a file")
    for number in range(3):
        publisher.received(f"{PREFIX}main", b"open 1795000000", number, False)
    assert publisher._link.acknowledged == [0, 1, 2]
    assert caplog.text.count("signal-not-kept") == 1
