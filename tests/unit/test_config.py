"""The configuration names what is wrong with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from edge import config
from edge.config import ConfigError
from edge.grant import trust

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
        assert defaults[name] == value
    for name in ("port", "spool_bytes"):
        assert defaults[name] == example["uplink"][name]


def test_the_example_of_a_trust_file_says_the_defaults(tmp_path):
    example = tomllib.loads(TRUST)
    rules = trust.Trust.__struct_defaults__
    defaults = dict(zip(trust.Trust.__struct_fields__[-len(rules) :], rules, strict=True))
    for name in ("faces", "change"):
        assert msgspec.to_builtins(defaults[name]) == example[name]
    assert defaults["open_faces"] == example["open_faces"]
