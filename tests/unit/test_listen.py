"""What a subscriber makes of messages: nothing is believed without a signature under the deployment's CA."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from rich.console import Console
from typer.testing import CliRunner

from edge import seal
from edge.listen import opener as opener_module
from edge.listen.cli import app
from edge.listen.client import Connection, KeyFileError, Listener, read_ca, read_keys
from edge.listen.display import Board, Lines, as_json, plain
from edge.listen.opener import Opened, Opener, Rejected, Sealed, Status, Tried
from edge.records import FaceReport, Measure, PlateReport, Trigger
from provisioning import pki
from tests.rig import CAMERA, Rig

PLATE_TOPIC, STATUS_TOPIC = f"vidik/v1/{CAMERA}/plate", f"vidik/v1/{CAMERA}/status"


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("rig"))


@pytest.fixture
def opener(rig: Rig) -> Opener:
    return Opener(rig.ca.certificate, rig.keys)


def status(rig: Rig, certificate: str = f"{CAMERA}-signing", state: str = "online") -> bytes:
    der = pki.load(rig.folder, certificate).certificate.public_bytes(Encoding.DER)
    return json.dumps({"state": state, "signing_certificate": base64.b64encode(der).decode()}).encode()


def test_a_report_is_opened_once_its_signer_is_known(rig: Rig, opener: Opener) -> None:
    assert opener.take(STATUS_TOPIC, status(rig)) == [Status(CAMERA, {"state": "online"})]
    sealed = rig.sealed(5)
    (found,) = opener.take(PLATE_TOPIC, sealed)
    assert isinstance(found, Opened)
    assert (found.report.seq, found.size) == (5, len(sealed))


def test_reports_wait_for_the_certificate_and_come_in_order(rig: Rig, opener: Opener) -> None:
    for seq in range(3):
        assert opener.take(PLATE_TOPIC, rig.sealed(seq)) == []
    assert opener.waiting == 3
    _, *found = opener.take(STATUS_TOPIC, status(rig))
    assert [finding.report.seq for finding in found if isinstance(finding, Opened)] == [0, 1, 2]
    assert opener.waiting == 0


def test_the_certificate_of_the_last_will_counts_too(rig: Rig, opener: Opener) -> None:
    opener.take(PLATE_TOPIC, rig.sealed(1))
    assert len(opener.take(STATUS_TOPIC, status(rig, state="offline"))) == 2


def test_waiting_reports_are_bounded_and_the_oldest_is_rejected(
    rig: Rig, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opener_module, "_WAITING", 3)
    found = [finding for seq in range(5) for finding in opener.take(PLATE_TOPIC, rig.sealed(seq))]
    assert found == [Rejected(CAMERA, "plate", "its signer never became known")] * 2
    _, *opened = opener.take(STATUS_TOPIC, status(rig))
    assert [finding.report.seq for finding in opened if isinstance(finding, Opened)] == [2, 3, 4]


@pytest.mark.parametrize("certificate", [CAMERA, "cam-2-signing", "cam-2", "broker", "subscriber", "ca"])
def test_another_certificate_in_the_status_makes_no_signer(rig: Rig, opener: Opener, certificate: str) -> None:
    (found,) = opener.take(STATUS_TOPIC, status(rig, certificate))
    assert isinstance(found, Rejected)
    assert opener.take(PLATE_TOPIC, rig.sealed(1)) == []
    assert opener.waiting == 1


def test_the_key_of_the_uplink_cannot_sign_reports(rig: Rig, opener: Opener) -> None:
    opener.take(STATUS_TOPIC, status(rig))
    forger = seal.Sealer(pki.load(rig.folder, CAMERA).key)
    genuine = Opener(rig.ca.certificate, rig.keys)
    genuine.take(STATUS_TOPIC, status(rig))
    report = opened(genuine.take(PLATE_TOPIC, rig.sealed(1)))
    assert opener.take(PLATE_TOPIC, forger.seal(report, rig.recipient.public_key())) == []
    assert opener.waiting == 1


def test_test_reports_are_shown_to_people_and_left_out_for_programs(rig: Rig) -> None:
    output, warnings = io.StringIO(), io.StringIO()
    trial = Tried(CAMERA, 1.7e9, b"", 210, answered=True)
    with Lines(output, warnings) as lines:
        lines.show(trial)
        lines.show(replace(trial, camera="evil\x1b[2J", answered=False))
    assert output.getvalue() == ""
    assert f"test report of {CAMERA}: opened, and the camera told so" in warnings.getvalue()
    assert "opened; the camera was not told" in warnings.getvalue()
    assert "2 tried" in warnings.getvalue()
    assert "\x1b" not in warnings.getvalue()
    console = Console(width=120, file=io.StringIO())
    board = Board(Listener(rig.address("subscriber", 1), rig.ca.certificate, rig.keys), console)
    board.show(trial)
    console.print(board._render())
    assert "trial" in console.file.getvalue()
    assert "test report: opened, and the camera told so" in console.file.getvalue()


def opened(found: list) -> PlateReport | FaceReport:
    (finding,) = found
    assert isinstance(finding, Opened)
    return finding.report


def test_a_report_under_another_cameras_name_is_not_believed(rig: Rig, opener: Opener) -> None:
    for camera in (CAMERA, "cam-2"):
        opener.take(f"vidik/v1/{camera}/status", status(rig, f"{camera}-signing"))
    assert opener.take("vidik/v1/cam-2/plate", rig.sealed(1)) == []  # not signed by cam-2
    (found,) = opener.take("vidik/v1/cam-1/plate", rig.sealed(1, camera="cam-2"))  # signed by cam-1 for cam-2
    assert isinstance(found, Rejected)


def test_a_changed_byte_anywhere_is_never_opened(rig: Rig, opener: Opener) -> None:
    opener.take(STATUS_TOPIC, status(rig))
    sealed = rig.sealed(1)
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 0x10
        found = opener.take(PLATE_TOPIC, bytes(changed))
        assert not any(isinstance(finding, (Opened, Sealed)) for finding in found)
    assert isinstance(opener.take(PLATE_TOPIC, sealed)[0], Opened)


@pytest.mark.parametrize("payload", [b"", b"\xd2", b"\xff" * 1000, bytes(2000), b"\x9f" * 900, b"{}"])
def test_garbage_is_rejected(rig: Rig, opener: Opener, payload: bytes) -> None:
    for topic in (PLATE_TOPIC, STATUS_TOPIC):
        (found,) = opener.take(topic, payload)
        assert isinstance(found, Rejected)


def test_other_topics_are_none_of_our_business(opener: Opener) -> None:
    for topic in ("vidik/v1/cam-1/grant", "vidik/v1/cam-1", "x", "vidik/v1/cam-1/plate/more"):
        assert opener.take(topic, b"x") == []


def test_a_report_for_somebody_else_is_shown_as_sealed(rig: Rig) -> None:
    blind = Opener(rig.ca.certificate, {})
    blind.take(STATUS_TOPIC, status(rig))
    sealed = rig.sealed(1)
    assert blind.take(PLATE_TOPIC, sealed) == [Sealed(CAMERA, "plate", len(sealed))]
    assert blind.take(PLATE_TOPIC, sealed) == []
    assert blind.duplicates == 1


def test_a_report_is_shown_once_however_often_it_comes(rig: Rig, opener: Opener) -> None:
    opener.take(STATUS_TOPIC, status(rig))
    sealed = [rig.sealed(seq) for seq in range(3)] + [rig.sealed(1)]  # the last one sealed afresh
    found = [finding for payload in sealed * 2 for finding in opener.take(PLATE_TOPIC, payload)]
    assert len(found) == 3
    assert opener.duplicates == 5


def test_memory_of_cameras_is_bounded(rig: Rig, opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opener_module, "_CAMERAS", 1)
    monkeypatch.setattr(opener_module, "_KEYS", 2)
    opener.take(STATUS_TOPIC, status(rig))
    key = pki.load(rig.folder, "cam-2-signing").key.public_key()
    for name in ("a", "b", "c"):
        opener._learn(name, key)
    for _ in range(4):
        opener._learn("c", pki.issue_signing(rig.ca, "c").key.public_key())
    assert [len(keys) for keys in opener._signers.values()] == [2]


def plate(text: str = "BG1234AA") -> PlateReport:
    return PlateReport(camera=CAMERA, boot=1, seq=2, time=1.7e9, grant="g", track=3, box=(1, 2, 3, 4), text=text,
                       confidence=0.98, country="RS")  # fmt: skip


def face() -> FaceReport:
    return FaceReport(camera=CAMERA, boot=1, seq=2, time=1.7e9, grant="g", track=3, box=(1, 2, 3, 4),
                      vector=bytes([0, 1, 127, 128, 255] + [0] * 123), scale=0.01, quality=80.0, model=b"\x01" * 8,
                      entry="E-1", similarity=0.95)  # fmt: skip


def test_json_is_one_line_that_other_programs_can_read() -> None:
    line = as_json(plate("A\nB\x1b[31m"))
    assert "\n" not in line
    assert "\x1b" not in line
    content = json.loads(line)
    assert content["text"] == "A\nB\x1b[31m"
    assert (content["kind"], content["taken"], content["time"]) == ("plate", "2023-11-14T22:13:20.000Z", 1.7e9)


def test_json_of_a_face_has_signed_components() -> None:
    content = json.loads(as_json(face()))
    assert content["vector"][:5] == [0, 1, 127, -128, -1]
    assert (content["kind"], content["model"], content["entry"]) == ("face", "01" * 8, "E-1")


def test_lines_print_reports_only_and_warn_aside() -> None:
    out, warnings = io.StringIO(), io.StringIO()
    with Lines(out, warnings) as lines:
        lines.show(Connection(True, "MQTT 5"))
        lines.show(Opened(plate(), 200))
        lines.show(Sealed("cam-2", "face", 300))
        lines.show(Sealed("cam-2", "face", 300))
        lines.show(Rejected("cam-3", "plate", "the signature\x1b[2J does not hold"))
    assert [json.loads(line)["text"] for line in out.getvalue().splitlines()] == ["BG1234AA"]
    assert warnings.getvalue().count("sealed to a key") == 1
    assert "rejected from cam-3/plate" in warnings.getvalue()
    assert "\x1b" not in warnings.getvalue()
    assert "received 1 opened, 2 sealed, 1 rejected" in warnings.getvalue()


def test_the_board_shows_reports_and_never_a_rejected_one_as_valid(rig: Rig) -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=150)
    listener = Listener(rig.address("subscriber", 1), rig.ca.certificate, rig.keys)
    with Board(listener, console) as board:
        for finding in (
            Connection(True, "MQTT 5"), Status(CAMERA, {"state": "online"}), Opened(plate("[red]X[/red]\x1b[2J"), 200),
            Opened(face(), 400), Sealed("cam-2", "face", 300), Rejected("cam-3", "plate", "a bad signature"),
        ):  # fmt: skip
            board.show(finding)
    shown = output.getvalue()
    for expected in ("[red]X[/red]�[2J", "E-1", "sealed to somebody else", "REJECTED", "1 of 1 cameras online"):
        assert expected in shown


def test_plain_text_cannot_steer_a_terminal() -> None:
    assert plain("ŽČ 1\x1b]0;x\x07\u202e") == "ŽČ 1�]0;x��"


def test_recipient_keys_are_read_by_key_id(rig: Rig, tmp_path: Path) -> None:
    pem = rig.recipient.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "r.key").write_bytes(pem)
    (read,) = read_keys([tmp_path / "r.key"]).items()
    assert read[0] == seal.key_id(rig.recipient.public_key())
    assert isinstance(read[1], x25519.X25519PrivateKey)


def test_unusable_key_files_are_clear_errors(rig: Rig, tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="not an X25519 key"):
        read_keys([rig.folder / "subscriber.key"])
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_keys([tmp_path / "missing"])
    with pytest.raises(KeyFileError, match="cannot be read"):
        read_ca(rig.folder / "subscriber.key")


def test_the_command_names_what_is_missing(rig: Rig, tmp_path: Path) -> None:
    options = ["--ca", str(tmp_path / "none"), "--certificate", "x", "--key", "y"]
    result = CliRunner().invoke(app, options)
    assert isinstance(result.exception, KeyFileError)


def test_a_trigger_is_shown_with_its_value_and_unit():
    trigger = Trigger("limit-50", Measure.SPEED, 61.3, 1_795_000_000.5)
    shown = json.loads(as_json(msgspec.structs.replace(plate("BG1"), trigger=trigger)))
    assert shown["trigger"] == {
        "rule": "limit-50", "measure": "speed", "value": 61.3, "unit": "km/h", "time": 1_795_000_000.5,
        "at": "2026-11-18T11:06:40.500Z",
    }  # fmt: skip
    assert "trigger" not in json.loads(as_json(plate("BG1")))
