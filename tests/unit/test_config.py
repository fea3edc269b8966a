"""The configuration names what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from edge import config
from edge.behaviour import Signal
from edge.config import ConfigError
from edge.grant import trust
from edge.handover import LARGEST
from edge.uplink.books import cost

GOOD = """
[vision]
camera = "cam-1"
source = "clip.mp4"
inbox = "run/inbox"
trust = "trust.toml"
grants = "grants"
state = "state"
signing_key = "signing.key"
signing_certificate = "signing.pem"
"""


def write(tmp_path, text):
    path = tmp_path / "camera.toml"
    path.write_text(text)
    return path


def test_paths_are_relative_to_the_file(tmp_path):
    settings = config.load(write(tmp_path, GOOD), config.Vision)
    assert settings.inbox == tmp_path / "run" / "inbox"
    assert settings.look.cover_seconds == 0.7


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda t: t.replace('camera = "cam-1"', 'camera = "Cam 1"'), "camera"),
        (lambda t: t + "sauce = 1\n", "sauce"),
        (lambda t: t.replace('trust = "trust.toml"\n', ""), "trust"),
        (lambda t: t + "[vision.look]\ntile = 10\n", "tile"),
        (lambda t: t.replace('trust = "trust.toml"', "trust = 3"), "trust"),
        (lambda t: "[uplink]\n", r"no table \[vision\]"),
        (lambda t: "vision = 3\n", r"no table \[vision\]"),
        (lambda t: "[vision\n", "cannot be read"),
        (lambda t: t + "\x00", "cannot be read"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, cause):
    with pytest.raises(ConfigError, match=cause):
        config.load(write(tmp_path, change(GOOD)), config.Vision)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read"):
        config.load(tmp_path / "none.toml", config.Uplink)


BEHAVIOUR = """
privacy = [[[0, 0], [0.2, 0], [0.2, 0.5]]]

[vision.behaviour.lines]
stop = [[0.2, 0.7], [0.8, 0.7]]

[vision.behaviour.zones]
junction = [[0.2, 0.1], [0.8, 0.1], [0.8, 0.5], [0.2, 0.5]]

[vision.behaviour.signals]
main = { file = "run/signals/main" }
side = { chip = "/dev/gpiochip0", line = 17, closed = 0, pull = "up" }

[[vision.behaviour.rules]]
kind = "line"
name = "way-out"
line = "stop"
direction = "left"
objects = ["faces"]

[[vision.behaviour.rules]]
kind = "wrong-way"
name = "against"
zone = "junction"
along = [[0.5, 0.5], [0.5, 0.1]]

[[vision.behaviour.rules]]
kind = "speed"
name = "limit-50"
over = 53
points = [[0.2, 0.2], [0.8, 0.2], [0.9, 0.9], [0.1, 0.9]]
metres = [[0, 20], [3.5, 20], [3.5, 0], [0, 0]]
camera_height = 5.5

[[vision.behaviour.rules]]
kind = "red-light"
name = "runs-red"
line = "stop"
direction = "left"
zone = "junction"
signal = "main"
"""


def test_behaviour_is_read(tmp_path):
    settings = config.load(write(tmp_path, GOOD + BEHAVIOUR), config.Vision)
    assert settings.privacy == (((0, 0), (0.2, 0), (0.2, 0.5)),)
    assert settings.behaviour.signals["main"].file == tmp_path / "run" / "signals" / "main"
    assert settings.behaviour.signals["side"] == Signal(chip=Path("/dev/gpiochip0"), line=17, closed=0, pull="up")
    line, _, speed, light = settings.behaviour.rules
    assert (line.name, line.objects, line.direction) == ("way-out", ("faces",), "left")
    assert (speed.camera_height, speed.plate_height, light.grace_seconds) == (5.5, 0.5, 0.5)
    assert config.load(write(tmp_path, GOOD), config.Vision).behaviour.rules == ()


@pytest.mark.parametrize(
    ("old", "new", "cause"),
    [
        ("[0.2, 0.5]]]", "[0.1, 0.0004]]]", "privacy zone 1 has hardly any area"),
        ("[0.2, 0.5]]]", "[0, 0]]]", "privacy zone 1 names a corner twice"),
        ("[[[0, 0], [0.2, 0], [0.2, 0.5]]]", "[[[0, 0], [1, 1], [1, 0], [0, 1]]]", "privacy zone 1 crosses itself"),
        ("[[[0, 0], ", "[[[0, -0.1], ", "privacy"),
        ("[[[0, 0], ", "[[[nan, 0], ", "privacy"),
        ("[[[0, 0], [0.2, 0], [0.2, 0.5]]]", "[[[0, 0], [0.2, 0]]]", "privacy"),
        ("stop = [[0.2, 0.7], [0.8, 0.7]]", "stop = [[0.2, 0.7], [0.2, 0.7]]", "line stop has two ends in"),
        ("stop = [[0.2, 0.7], ", "stop = [[0.2, 1.7], ", "lines"),
        ("[0.8, 0.1], [0.8, 0.5], [0.2", "[0.8, 0.5], [0.8, 0.1], [0.2", "zone junction crosses itself"),
        ('line = "stop"\ndirection = "left"\nobjects', 'line = "stpo"\ndirection = "left"\nobjects',
         "rule way-out uses the line stpo, which is not defined .lines here: stop."),
        ('zone = "junction"\nalong', 'zone = "bay"\nalong', "the zone bay, .* .zones here: junction."),
        ('signal = "main"', 'signal = "light"', "the signal light, .* .signals here: main, side."),
        ('name = "against"', 'name = "way-out"', "two rules have the name way-out"),
        ('name = "against"', 'name = "Against"', "rules"),
        ('name = "against"', 'name = "a-name-of-17-chars"', "rules"),
        ("[[0.5, 0.5], [0.5, 0.1]]", "[[0.5, 0.5], [0.5, 0.5]]", "along of rule against has two ends"),
        ("[0.9, 0.9], [0.1, 0.9]]", "[0.1, 0.9], [0.9, 0.9]]", "rule limit-50: points must go around"),
        ("[3.5, 0], [0, 0]]", "[0, 10], [0, 0]]", "rule limit-50: three of the four metres lie on one line"),
        ("[[0.2, 0.2], [0.8, 0.2], ", "[[0.2, 0.9], [0.8, 0.9], ", "three of the four points lie on one"),
        ("over = 53", "over = -3", "over"),
        ("over = 53", 'over = 53\nobjects = ["faces"]', "rules"),
        ('file = "run/signals/main"', 'file = "a", chip = "b"', "a signal needs either a file, or chip and line"),
        ('file = "run/signals/main"', "fresh_seconds = 2.0", "a signal needs either a file"),
        ('kind = "wrong-way"', 'kind = "wrong"', "rules"),
        ('objects = ["faces"]', 'objects = ["bicycles"]', "rules"),
        ('direction = "left"\nobjects', 'towards = "left"\nobjects', "towards"),
    ],
)  # fmt: skip
def test_a_mistake_in_behaviour_is_named(tmp_path, old, new, cause):
    assert BEHAVIOUR.count(old) == 1
    with pytest.raises(ConfigError, match=cause) as raised:
        config.load(write(tmp_path, GOOD + BEHAVIOUR.replace(old, new)), config.Vision)
    assert "camera.toml" in str(raised.value)
DOCS = Path(__file__).parent.parent.parent / "docs"
EXAMPLES = {
    path.name: re.findall(r"```toml\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)
    for path in DOCS.glob("*.md")
}
CAMERA, TRUST = EXAMPLES["configuration.md"][:2]


def fields_of(table, seen=()):
    """The names of all fields of a table and of the tables in it."""
    for field in msgspec.structs.fields(table):
        yield table.__name__, field.name
        for inner in structs_in(field.type):
            if inner not in seen:
                yield from fields_of(inner, (*seen, table))


def structs_in(kind):
    """The tables that a field's type names, however deep."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
    for part in getattr(kind, "__args__", ()):
        yield from structs_in(part)


@pytest.mark.parametrize("table", config._TABLES, ids=config._TABLES.get)
def test_every_field_is_in_an_example_of_the_documentation(table):
    written = "\n".join(example for examples in EXAMPLES.values() for example in examples)
    key, inline, heading = r"^#? *([a-z_0-9]+) *=", r"[{,] *([a-z_0-9]+) *=", r"^\[+[a-z_.]*?([a-z_]+)\]+"
    known = {name for names in re.findall(f"{key}|{inline}|{heading}", written, re.MULTILINE) for name in names}
    assert [field for field in fields_of(table) if field[1] not in known] == []


@pytest.mark.parametrize("table", [config.Vision, config.Uplink])
def test_the_example_of_the_documentation_is_read(tmp_path, table):
    settings = config.load(write(tmp_path, CAMERA), table)
    assert settings.camera == "cam-0042"


def test_what_the_example_calls_a_default_is_one(tmp_path):
    tables = (config.Look, config.Uplink)
    defaults = {field.name: field.default for table in tables for field in msgspec.structs.fields(table)}
    example = tomllib.loads(CAMERA)
    for name, value in example["vision"]["look"].items():
        assert msgspec.json.encode(defaults[name]) == msgspec.json.encode(value)
    for name in ("port", "spool_bytes"):
        assert defaults[name] == example["uplink"][name]


def test_the_example_of_a_trust_file_says_the_defaults(tmp_path):
    example = tomllib.loads(TRUST)
    rules = trust.Trust.__struct_defaults__
    defaults = dict(zip(trust.Trust.__struct_fields__[-len(rules) :], rules, strict=True))
    for name in ("faces", "change"):
        assert msgspec.to_builtins(defaults[name]) == example[name]
    assert defaults["open_faces"] == example["open_faces"]


UPLINK = """
[uplink]
camera = "cam-1"
host = "broker"
ca = "ca.pem"
certificate = "c.pem"
key = "c.key"
signing_certificate = "s.pem"
inbox = "run/inbox"
spool = "spool"
"""


def test_the_default_spool_holds_a_day_of_the_largest_reports(tmp_path):
    settings = config.load(write(tmp_path, UPLINK), config.Uplink)
    assert 86_400 * cost(LARGEST) < settings.spool_bytes


def test_the_default_waits_for_subscribers(tmp_path):
    assert config.load(write(tmp_path, UPLINK), config.Uplink).wait_for_subscribers


def test_further_brokers(tmp_path):
    text = UPLINK + '[[uplink.fallback]]\nhost = "b2"\n[[uplink.fallback]]\nhost = "b3"\nport = 1\n'
    found = config.load(write(tmp_path, text), config.Uplink).fallback
    assert [(broker.host, broker.port) for broker in found] == [("b2", 8883), ("b3", 1)]


def test_the_documented_configuration_is_valid_and_shows_the_defaults(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
    text = page.split("```toml\n")[1].split("```")[0]
    shown = config.load(write(tmp_path, text), config.Uplink)
    default = config.load(write(tmp_path, UPLINK), config.Uplink)
    for name in ("spool_bytes", "keepalive", "wait_for_subscribers", "settle_seconds", "answer_seconds", "drain_rate",
                 "commit_seconds", "port"):  # fmt: skip
        assert getattr(shown, name) == getattr(default, name)
