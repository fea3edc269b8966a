"""What the finger drew, in and out of the configuration."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config
from edge.config import ConfigError
from edge.setup import drawing
from edge.setup.drawing import Drawing, DrawingError, Fence, Zone

BEFORE = """# Written at enrolment.
[vision]
camera = "cam-1"  # its name
source = "/dev/video0"
inbox = "run/inbox"
trust = "trust.toml"
grants = "grants"
state = "state"
signing_key = "k"
signing_certificate = "c"

[vision.look]
cover_seconds = 0.9
{more}
[link]
url = "rtsp://user:secret@camera.local/1"  # a password
socket = "run/link"

[uplink]
camera = "cam-1"
host = "broker.example"
ca = "ca"
certificate = "c"
key = "k"
signing_certificate = "s"
inbox = "run/inbox"
spool = "spool"
"""
RULES = """
[vision.behaviour.lines]
stop-line = [[0.1, 0.5], [0.9, 0.5]]

[vision.behaviour.zones]
junction = [[0.2, 0.1], [0.8, 0.1], [0.8, 0.4], [0.2, 0.4]]
a-zone-with-a-very-long-name = [[0.2, 0.1], [0.8, 0.1], [0.8, 0.4]]

[vision.behaviour.signals]
main = { chip = "/dev/gpiochip0", line = 4 }

[[vision.behaviour.rules]]
kind = "line"  # the first
name = "stop-line"
line = "stop-line"
direction = "left"
objects = ["plates"]

[[vision.behaviour.rules]]
kind = "red-light"
name = "red"
line = "stop-line"
direction = "right"
zone = "junction"
signal = "main"

[[vision.behaviour.rules]]
kind = "dwell"
name = "junction"
zone = "junction"
seconds = 12.5
"""
SQUARE = ((0.1, 0.1), (0.5, 0.1), (0.5, 0.5), (0.1, 0.5))
DRAWN = Drawing(
    zones=(Zone(name="zone-1", points=SQUARE, rule="entry"), Zone(name="park", points=SQUARE, rule="stop", seconds=60)),
    lines=(Fence(name="line-1", points=((0.1, 0.2), (0.9, 0.3)), rule="right"),),
    privacy=(SQUARE,),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "camera.toml"
    made.write_text(BEFORE.format(more=""))
    made.chmod(0o640)
    return made


def table(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


def test_it_is_stored_as_the_camera_reads_it_and_comes_back(path: Path) -> None:
    drawing.store(path, DRAWN)
    settings = config.load(path, config.Vision)
    assert settings.privacy == (SQUARE,)
    assert settings.behaviour.zones == {"zone-1": SQUARE, "park": SQUARE}
    assert [(rule.name, type(rule).__name__) for rule in settings.behaviour.rules] == [
        ("zone-1", "Entry"), ("park", "Stop"), ("line-1", "Crossing"),
    ]  # fmt: skip
    assert drawing.of(settings) == DRAWN
    drawing.store(path, DRAWN)
    assert drawing.of(config.load(path, config.Vision)) == DRAWN


def test_the_rest_of_the_file_stays_as_it_was(path: Path) -> None:
    before = path.read_text()
    drawing.store(path, DRAWN)
    after = path.read_text()
    for line in before.splitlines():
        assert line in after.splitlines(), line
    assert path.stat().st_mode & 0o777 == 0o640
    drawing.store(path, Drawing())
    assert table(path) == tomllib.loads(before)
    assert sorted(p.name for p in path.parent.iterdir()) == ["camera.toml"]


def test_rules_that_the_page_cannot_draw_are_kept(path: Path) -> None:
    path.write_text(BEFORE.format(more=RULES))
    shown = drawing.of(config.load(path, config.Vision))
    assert shown.zones == (
        Zone(name="junction", points=((0.2, 0.1), (0.8, 0.1), (0.8, 0.4), (0.2, 0.4)), rule="dwell", seconds=12.5),
    )
    assert shown.lines[0].rule == "left"
    before = table(path)
    drawing.store(path, shown)
    assert table(path) == before
    assert "# the first" in path.read_text()


def test_a_rule_goes_with_its_place_and_another_that_needs_it_forbids_that(path: Path) -> None:
    path.write_text(BEFORE.format(more=RULES))
    shown = drawing.of(config.load(path, config.Vision))
    kept = path.read_bytes()
    with pytest.raises(DrawingError, match="rule red uses the zone junction, which is not defined"):
        drawing.store(path, Drawing(lines=shown.lines))
    assert path.read_bytes() == kept
    without_rule = Drawing(zones=(Zone(name="junction", points=SQUARE),), lines=shown.lines)
    drawing.store(path, without_rule)
    assert [rule["name"] for rule in table(path)["vision"]["behaviour"]["rules"]] == ["stop-line", "red"]
    assert table(path)["vision"]["behaviour"]["rules"][0]["objects"] == ["plates"]
    assert "a-zone-with-a-very-long-name" in table(path)["vision"]["behaviour"]["zones"]


@pytest.mark.parametrize(
    ("shape", "cause"),
    [
        ({"zones": [{"name": "bow", "points": [[0, 0], [1, 1], [1, 0], [0, 1]]}]}, "zone bow crosses itself"),
        ({"privacy": [[[0, 0], [0, 0], [1, 1]]]}, "privacy zone 1 names a corner twice"),
        ({"lines": [{"name": "dot", "points": [[0.5, 0.5], [0.5, 0.5]]}]}, "line dot has two ends in the same place"),
        ({"zones": [{"name": "a", "points": [[0, 0], [1, 0], [1, 1.01]]}]}, "1.0"),
        ({"zones": [{"name": "Č", "points": [[0, 0], [1, 0], [1, 1]]}]}, "name"),
        ({"zones": [{"name": "a", "points": [[0, 0], [1, 0]]}]}, "length"),
        ({"zones": [{"name": "a", "points": [[0, 0], [1, 0], [1, 1]], "rule": "speed"}]}, "speed"),
        ({"zones": [{"name": "a", "points": [[0, 0], [1, 0], [1, 1]], "rule": "dwell", "seconds": 0}]}, "seconds"),
        ({"source": "/etc/passwd"}, "unknown field"),
        ({"zones": [{"name": f"z{n}", "points": [[0, 0], [1, 0], [1, 1]]} for n in range(17)]}, "length"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_changed(path: Path, shape: dict[str, Any], cause: str) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=cause):
        drawing.store(path, drawing.parse(json.dumps(shape).encode()))
    assert path.read_bytes() == before
    assert sorted(p.name for p in path.parent.iterdir()) == ["camera.toml"]


@pytest.mark.parametrize("untrusted", [b"", b"{", b"[]", b"null", b"\xff", b"[" * 60_000, b'{"zones": 1e999}', b"NaN"])
def test_nonsense_is_refused(untrusted: bytes) -> None:
    with pytest.raises(DrawingError):
        drawing.parse(untrusted)


fractions = st.floats(0, 1)
names = st.from_regex(r"\A[a-z0-9][a-z0-9-]{0,15}\Z")
corners = st.lists(st.tuples(fractions, fractions), min_size=3, max_size=8)
shapes = st.fixed_dictionaries(
    {
        "zones": st.lists(
            st.fixed_dictionaries({"name": names, "points": corners, "rule": st.sampled_from(["", "entry", "dwell"])}),
            max_size=4,
        ),
        "lines": st.lists(
            st.fixed_dictionaries(
                {"name": names, "points": st.lists(st.tuples(fractions, fractions), min_size=2, max_size=2)}
            ),
            max_size=3,
        ),
        "privacy": st.lists(corners, max_size=3),
    }
)


@settings(max_examples=60)  # each writes a file through to the medium
@given(shapes)
def test_whatever_is_stored_can_be_read(tmp_path_factory: pytest.TempPathFactory, shape: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("drawn") / "camera.toml"
    path.write_text(BEFORE.format(more=RULES))
    before = path.read_bytes()
    try:
        drawing.store(path, drawing.parse(json.dumps(shape).encode()))
    except ConfigError:
        assert path.read_bytes() == before
    config.load(path, config.Vision)
    assert config.load(path, config.Link).url.startswith("rtsp://user:secret@")
