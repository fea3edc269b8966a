"""The configuration names what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import config
from edge.config import ConfigError
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
