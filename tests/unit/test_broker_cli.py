"""``vidik provision broker``: what it writes, and what it refuses."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from provisioning.access import CAMERA
from provisioning.broker_cli import ProvisionError
from provisioning.office.cli import app
from tests.rig import ROOT


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    for name in ("ca.pem", "broker.pem", "broker.key"):
        (tmp_path / name).write_text("")
    (tmp_path / "cameras").write_text("cam-1\ncam-10\n")
    return [str(tmp_path / "out"), "--ca", str(tmp_path / "ca.pem"), "--certificate", str(tmp_path / "broker.pem"),
            "--key", str(tmp_path / "broker.key")]  # fmt: skip


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["broker", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_mosquitto(options: list[str], tmp_path: Path) -> None:
    assert run(*options, "--subscriber", "archive", "--office", "court", "--port", "9999").split() == [
        str(tmp_path / "out" / "mosquitto.conf"), str(tmp_path / "out" / "acl"), str(tmp_path / "out" / "start"),
    ]  # fmt: skip
    assert "listener 9999 0.0.0.0" in (tmp_path / "out" / "mosquitto.conf").read_text()
    rules = (tmp_path / "out" / "acl").read_text()
    archive, court = (rules.partition(f"user {name}\n")[2].partition("\n\n")[0] for name in ("archive", "court"))
    assert {"topic read vidik/v1/+/plate", "topic write vidik/v1/+/confirm"} < set(archive.splitlines())
    assert {"topic write vidik/v1/+/grant", "topic read vidik/v1/+/status"} < set(court.splitlines())
    assert "topic read vidik/v1/+/plate" not in court
    assert "read vidik/v1/+/grant" not in rules


def test_rabbitmq_names_every_camera_and_matches_it_alone(options: list[str], tmp_path: Path) -> None:
    run(*options, "--kind", "rabbitmq", "--cameras", str(tmp_path / "cameras"))
    content = json.loads((tmp_path / "out" / "definitions.json").read_text())
    assert [user["name"] for user in content["users"]] == ["cam-1", "cam-10", "subscriber", "office"]
    rules = {entry["user"]: entry for entry in content["topic_permissions"]}
    assert re.search(rules["cam-1"]["write"], "vidik.v1.cam-1.plate")
    for key in ("vidik.v1.cam-10.plate", "vidik.v1.cam-1.grant", "vidik.v1.cam-1.plate.x", "x.vidik.v1.cam-1.plate"):
        assert not re.search(rules["cam-1"]["write"], key)
    assert not re.search(rules["subscriber"]["write"], "vidik.v1.cam-1.plate")


def test_nats_gives_each_camera_its_subjects(options: list[str], tmp_path: Path) -> None:
    routes = [word for i in range(3) for word in ("--route", f"node-{i}:6222")]
    run(*options, "--kind", "nats", "--cameras", str(tmp_path / "cameras"), "--node", "n1", *routes)
    text = (tmp_path / "out" / "nats.conf").read_text()
    assert 'user: "CN=cam-10,OU=Vidik connection"' in text
    assert '"vidik.v1.cam-10.plate"' in text
    assert 'routes: ["nats-route://node-1:6222", "nats-route://node-2:6222"]' in text


def test_the_published_channels_are_those_that_cameras_may_use() -> None:
    """What AsyncAPI's own parser makes of the document is tested by ``make test-node``."""
    text = (ROOT / "docs" / "asyncapi.yaml").read_text(encoding="utf-8")
    published = set(re.findall(r"^    address: vidik/v1/\{camera\}/(\S+)$", text, re.MULTILINE))
    assert published == {channel.replace("+", "{name}") for channel in (*CAMERA.writes, *CAMERA.reads)}


def test_what_it_refuses(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(ProvisionError, match="by name"):
        run(*options, "--kind", "nats")
    with pytest.raises(ProvisionError, match="three nodes"):
        run(*options, "--kind", "nats", "--cameras", str(tmp_path / "cameras"))
    (tmp_path / "cameras").write_text('cam-1\nCam"2\n')
    with pytest.raises(ProvisionError, match="no camera id"):
        run(*options, "--kind", "rabbitmq", "--cameras", str(tmp_path / "cameras"))
    with pytest.raises(ProvisionError, match="cannot be read"):
        run(*options, "--kind", "rabbitmq", "--cameras", str(tmp_path / "none"))
