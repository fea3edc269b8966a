"""The uplink process: what it says when it cannot start."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.uplink.__main__ import main
from tests.rig import CAMERA, Rig


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def failure(config: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["--config", str(config)]) == 2
    said = capsys.readouterr().err.strip()
    assert len([line for line in said.splitlines() if not line.startswith("20")]) == 1  # one paragraph
    assert "Traceback" not in said
    return said


def test_a_missing_configuration(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing.toml cannot be read" in failure(rig.folder / "nothing.toml", capsys)


@pytest.mark.parametrize("file", ["ca.pem", f"{CAMERA}.pem", f"{CAMERA}.key", f"{CAMERA}-signing.pem"])
def test_a_missing_key_or_certificate(rig: Rig, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / file).unlink()
    assert file in failure(rig.config(1), capsys)
    assert not rig.inbox.exists()


def test_a_key_that_is_none(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / f"{CAMERA}.key").write_text("rubbish")
    assert "cannot be used" in failure(rig.config(1), capsys)


def test_an_unusable_spool(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    (rig.folder / "spool.sqlite").mkdir()
    assert "spool.sqlite cannot be opened" in failure(rig.config(1), capsys)


def test_an_unusable_inbox(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.inbox.write_text("not a socket")
    assert "inbox cannot be opened" in failure(rig.config(1), capsys)
