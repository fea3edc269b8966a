"""A camera's whole run, from start to stop, as its audit log tells it."""

from __future__ import annotations

import json

import pytest

from edge import config
from edge.audit import chain
from edge.clock import SystemClock
from edge.vision import build
from edge.vision.__main__ import run
from provisioning import deployment


@pytest.fixture
def made(tmp_path):
    """A deployment whose camera looks at two grey pictures."""
    made = deployment.create(tmp_path / "d")
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in "ab":
        (pictures / f"{name}.ppm").write_bytes(b"P6 160 120 255\n" + bytes([99]) * (160 * 120 * 3))
    deployment.configure(made, str(pictures), 8883)
    return made


def entries(made):
    for path in chain.segments(made.camera_folder / "state" / "audit"):
        content = chain.read(path)
        yield from (link.entry for link in chain.walk(content, chain.start(content).hash))


def test_a_run_is_accounted_for(made, capsys):
    deployment.grant_plates(made)
    assembly = build.assemble(config.load(made.config, config.Vision), SystemClock())
    run(assembly.pipeline)
    assembly.close()
    assert json.loads(capsys.readouterr().out)["frames"] == 2
    assert {path.name for path in (made.camera_folder / "run" / "notices").iterdir()} == {"card.json", "audit.cose"}
    said = list(entries(made))
    assert [entry.event for entry in said] == [
        "log-started", "boot", "config", "models", "clock", "trust", "grant-accepted", "grant-began", "hour", "stop",
    ]  # fmt: skip
    assert said[6].facts["grant"] == "demo-plates"
    again = build.assemble(config.load(made.config, config.Vision), SystemClock())
    again.pipeline.sender.close()
    again.close()
    assert [entry.event for entry in entries(made)][10:] == [
        "boot", "config", "models", "clock", "trust", "grant-began", "hour", "stop",
    ]  # fmt: skip
