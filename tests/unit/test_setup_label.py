"""The label: made at the first start, and once more for an empty file that asks for it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edge.errors import VidikError
from edge.setup import __main__ as program
from edge.setup import certificate, code, label
from edge.setup.label import LabelError

FORM = re.compile(
    r"address      https://169\.254\.10\.20:8443\n"
    r"code         ([0-9A-Z]{4}-[0-9A-Z]{4})\ncertificate  ((?:[0-9A-F]{4} ?){5})\n"
)


def read(text: str) -> tuple[str, str]:
    found = FORM.fullmatch(text)
    assert found is not None, text
    return found[1], found[2]


def nothing() -> None:
    pass


def test_the_first_label_opens_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(["--folder", str(tmp_path), "--label"]) == 0
    printed, fingerprint = read(capsys.readouterr().out)
    assert code.check(tmp_path, printed)
    assert certificate.shown(tmp_path) == fingerprint


def test_a_power_cut_before_the_code_is_there_leaves_a_first_start(tmp_path: Path) -> None:
    """The next start makes a label exactly when there is no code."""
    (tmp_path / "setup").mkdir()
    (tmp_path / "setup" / "page.key.new").mkdir()
    with pytest.raises(VidikError):
        label.make(tmp_path)
    assert not (tmp_path / code.FILE).exists()


def test_an_empty_file_gets_a_label_with_a_new_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, fingerprint = read(label.make(tmp_path))
    asked = tmp_path / "vidik-label.txt"
    asked.touch()
    command = ["--folder", str(tmp_path), "--label", "--onto", str(asked)]
    assert program.main(command) == 0
    printed, same = read(asked.read_text())
    assert (printed == before, same) == (False, fingerprint)  # whoever has the page open still sees this certificate
    assert (code.check(tmp_path, printed), code.check(tmp_path, before)) == (True, False)
    [event] = (tmp_path / "events").glob("*.event")
    assert json.loads(event.read_bytes())["facts"]["state"] == "label-made"
    assert program.main(command) == 0  # what is filled asks for nothing
    assert read(asked.read_text())[0] == printed
    assert printed not in capsys.readouterr().out


def test_a_camera_without_any_label_gets_its_certificate_too(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.touch()
    assert label.onto(tmp_path, asked, nothing)
    assert read(asked.read_text())[1] == certificate.shown(tmp_path)


def test_what_is_no_empty_plain_file_changes_nothing(tmp_path: Path) -> None:
    printed, _ = read(label.make(tmp_path))
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    for name in ("link", "missing", "."):
        with pytest.raises(LabelError, match="empty file"):
            label.onto(tmp_path, tmp_path / name, nothing)
    assert code.check(tmp_path, printed)


def test_what_cannot_be_put_on_record_is_not_done(tmp_path: Path) -> None:
    printed, _ = read(label.make(tmp_path))
    asked = tmp_path / "asked"
    asked.touch()

    def refuse() -> None:
        raise VidikError("the disk is full")

    with pytest.raises(VidikError, match="full"):
        label.onto(tmp_path, asked, refuse)
    assert (asked.read_text(), code.check(tmp_path, printed)) == ("", True)
