"""What the uplink states of itself for the check of a new image."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from edge.update import signs
from edge.uplink.figures import Figures
from edge.uplink.statement import FILE, RENEW, Statement


def test_news_are_written_at_once_and_the_rest_now_and_then(tmp_path: Path) -> None:
    now = [100.0]
    statement, path = Statement(tmp_path, lambda: now[0]), tmp_path / FILE
    statement.take(Figures(connected=False, spool=1))
    assert json.loads(path.read_bytes())["connected"] is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o644  # the update process is another user
    statement.take(Figures(connected=True, spool=2))
    assert json.loads(path.read_bytes())["connected"] is True
    path.unlink()
    statement.take(Figures(connected=True, spool=3))
    assert not path.exists()
    now[0] += RENEW
    statement.take(Figures(connected=True, spool=3))
    stated = json.loads(path.read_bytes())
    assert (stated["connected"], stated["spool"]) == (True, 3)
    assert "uplink" not in "".join(signs.read(tmp_path, tmp_path, stated["time"]))


def test_a_folder_that_cannot_be_written_to_is_for_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    Statement(tmp_path / "file").take(Figures(connected=True))
    assert "statement-not-written" in caplog.text
    Statement(None).take(Figures())
