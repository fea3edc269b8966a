"""The configuration names what is wrong with it."""

from __future__ import annotations

import pytest

from edge import config
from edge.config import ConfigError

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
