"""The tools of authorities and operators: the five commands of docs/grants.md as printed, and every refusal."""

from __future__ import annotations

import base64
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.errors import VidikError
from edge.grant import document, gate, signed, trust, words
from edge.grant.gate import Permit
from edge.grant.signed import Kind
from edge.grant.store import GrantStore
from edge.vision.values import FaceTemplate, PlateText
from provisioning import grant_cli, grant_draft, grant_files, keyfile

ROOT = Path(__file__).parent.parent.parent
GUIDE = (ROOT / "docs" / "grants.md").read_text(encoding="utf-8")
PASSPHRASE = "correct horse battery staple"


def template(seed):
    vector = np.random.default_rng(seed).standard_normal(128)
    whole = np.rint(vector / np.abs(vector).max() * 127).astype(np.int8)
    return FaceTemplate(whole, 1 / float(np.linalg.norm(whole.astype(float))), 80.0)


def face_lines(seed):
    """The guide's photo, as the template that a model would make of it."""
    face = template(seed)
    encoded = base64.b64encode(face.vector.tobytes()).decode()
    return f'vector = "{encoded}"\nscale = {face.scale!r}\nthreshold = 0.94\n'


def guide_toml():
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    text = re.sub(r"hours = \[.*\n", "", text, count=1)
    return re.sub(r"photo = .*\n", face_lines(1), text)


def commands_of(text):
    """The command lines that start with vidik grant, in their order."""
    return [line.strip() for line in re.findall(r"^ *vidik grant .*$", text, re.MULTILINE)]


def photograph(path):
    """A portrait that is free to use."""
    from skimage import data

    from edge.vision.image import cv2  # the test writes pictures; the product has no such function

    cv2.imwrite(str(path), data.astronaut()[:, :, ::-1])


def vidik(folder, command, *more, **variables):
    """Runs a command line as printed, in a process of its own."""
    program, *arguments = shlex.split(command)
    assert program == "vidik"
    # offline means that not even a socket is made
    guard = "import os, sys; sys.addaudithook(lambda event, _: os._exit(99) if event.startswith('socket.') else None)"
    code = f"{guard}; from edge.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments, *more], cwd=folder, capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "VIDIK_PASSPHRASE": PASSPHRASE, **variables},
    )  # fmt: skip


@pytest.mark.slow
def test_from_nothing_to_a_running_grant_in_five_commands(tmp_path):
    """From an empty folder, exactly as the README says, with the file of the guide and a photo."""
    commands = commands_of((ROOT / "README.md").read_text(encoding="utf-8"))
    assert len(commands) == 5
    assert commands_of(GUIDE) == commands
    (text,) = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "sought.toml").write_text(re.sub(r"hours = \[.*\n", "", text, count=1), encoding="utf-8")
    photograph(tmp_path / "child-1.jpg")
    for command in commands:
        agreed = ["--yes"] if " key new " not in command else []
        done = vidik(tmp_path, command, *agreed)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    assert "This is enough for the deployment." in done.stdout
    store = GrantStore(tmp_path / "camera" / "grants", trust.load(tmp_path / "trust.toml"), "cam-0042")
    now = time.time()
    (terms,) = store.terms(now)
    enrolled = grant_draft.load(tmp_path / "sought.toml").faces[0]
    same = FaceTemplate(np.frombuffer(enrolled.vector, np.int8), enrolled.scale, 90.0)
    assert isinstance(gate.decide(same, terms, "cam-0042", now), Permit)
    assert not isinstance(gate.decide(template(2), terms, "cam-0042", now), Permit)
    revoked = vidik(
        tmp_path, "vidik grant revoke sought.grant --key city.key --reason found --trust trust.toml --yes",
        "--install", "camera/grants",
    )  # fmt: skip
    assert revoked.returncode == 0, revoked.stderr
    assert store.terms(now) == []


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """Keys, a trust file and a draft; keys are made once, since each costs many rounds."""
    folder = tmp_path_factory.mktemp("office")
    secret = folder / "secret"
    secret.write_text(PASSPHRASE)
    for name, role in (("court", "authority"), ("city", "operator"), ("stranger", "operator")):
        more = ["--trust", folder / "trust.toml"] if name != "stranger" else []
        code, output = run("key", "new", folder / name, "--role", role, "--passphrase-file", secret, *more)
        assert code == 0, output
    assert run("key", "new", folder / "desk", "--role", "recipient")[0] == 0
    return folder


@pytest.fixture
def desk(office, tmp_path):
    """A fresh desk with the office's files on it and a draft for a listed person."""
    for path in office.iterdir():
        shutil.copy2(path, tmp_path)
    (tmp_path / "sought.toml").write_text(guide_toml(), encoding="utf-8")
    return tmp_path


def run(*arguments):
    done = CliRunner().invoke(grant_cli.app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, (VidikError, SystemExit)):
        raise done.exception
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


def sign(desk, name, *more):
    key = ("--key", desk / f"{name}.key", "--passphrase-file", desk / "secret")
    return run("sign", desk / "sought.grant", *key, *more)


@pytest.mark.parametrize("order", [("court", "city"), ("city", "court")])
def test_two_people_sign_in_either_order(desk, order):
    assert run("new", desk / "sought.toml")[0] == 0
    first = sign(desk, order[0], "--yes", "--trust", desk / "trust.toml")
    assert "Not enough yet" in first[1]
    second = sign(desk, order[1], "--yes", "--trust", desk / "trust.toml")
    assert "This is enough" in second[1]
    assert run("verify", desk / "sought.grant", "--trust", desk / "trust.toml", "--camera", "cam-0042")[0] == 0
    assert "other cameras" in run("verify", desk / "sought.grant", "--trust", desk / "trust.toml", "--camera", "x")[1]


def test_signing_twice_counts_once(desk):
    run("new", desk / "sought.toml")
    for _ in range(2):
        assert sign(desk, "court", "--yes")[0] == 0
    assert len(signed.signatures((desk / "sought.grant").read_bytes(), Kind.GRANT)) == 1


def test_people_see_what_they_sign_before_they_do(desk):
    run("new", desk / "sought.toml")
    before = (desk / "sought.grant").read_bytes()
    code, output = sign(desk, "court")
    assert code != 0
    assert "Nobody is at the terminal" in output
    for text in ("Recognise the faces of the sought persons", "child-1", "cam-0042", "(7 days)", "missing child"):
        assert text in output
    assert (desk / "sought.grant").read_bytes() == before


def test_nothing_is_signed_without_consent(desk, monkeypatch):
    run("new", desk / "sought.toml")
    monkeypatch.setattr("provisioning.passphrase.sys.stdin.isatty", lambda: True, raising=False)
    done = CliRunner().invoke(
        grant_cli.app, ["sign", str(desk / "sought.grant"), "--key", str(desk / "court.key")], input="n\n"
    )
    assert done.exit_code != 0
    assert signed.signatures((desk / "sought.grant").read_bytes(), Kind.GRANT) == []


def test_a_stranger_s_signature_does_not_count(desk):
    run("new", desk / "sought.toml")
    sign(desk, "court", "--yes")
    code, output = sign(desk, "stranger", "--yes", "--trust", desk / "trust.toml", "--install", desk / "grants")
    assert code != 0
    assert "0 of 1 signatures needed from the role operator" in output
    assert "which the trust file does not name" in output
    assert not (desk / "grants").exists()


def test_a_changed_file_shows(desk):
    run("new", desk / "sought.toml", "--key", desk / "court.key", "--passphrase-file", desk / "secret", "--yes")
    content = (desk / "sought.grant").read_bytes()
    (desk / "sought.grant").write_bytes(content.replace(b"cam-0042", b"cam-0043"))
    output = run("inspect", desk / "sought.grant", "--trust", desk / "trust.toml")[1]
    assert "NOT court: a signature in their name does not hold" in output
    code, output = run("verify", desk / "sought.grant", "--trust", desk / "trust.toml")
    assert (code, "was changed or forged" in output) == (1, True)


def test_the_wrong_passphrase_is_said(desk):
    run("new", desk / "sought.toml")
    (desk / "secret").write_text("something else")
    assert "wrong passphrase" in sign(desk, "court", "--yes")[1]
    assert "wrong passphrase, or not a private key" in run(
        "sign", desk / "sought.grant", "--key", desk / "court.pub", "--yes"
    )[1]  # fmt: skip
    assert "not a signer's" in run("sign", desk / "sought.grant", "--key", desk / "desk.key", "--yes")[1]


def test_a_key_file_is_encrypted_and_never_overwritten(desk):
    content = (desk / "court.key").read_bytes()
    assert content.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert (desk / "court.key").stat().st_mode & 0o077 == 0
    assert "exists already" in run("key", "new", desk / "court", "--role", "authority")[1]
    assert (desk / "court.key").read_bytes() == content
    again = ("key", "new", desk / "x", "--role", "authority", "--name", "court", "--trust", desk / "trust.toml")
    assert "names court already" in run(*again, "--passphrase-file", desk / "secret")[1]
    (desk / "secret").write_text("short")
    made = run("key", "new", desk / "y", "--role", "operator", "--passphrase-file", desk / "secret")
    assert "Use 12 or more" in made[1]
    assert not (desk / "y.key").exists()


def test_openssl_opens_the_key(desk):
    done = subprocess.run(
        ["openssl", "pkey", "-in", desk / "court.key", "-passin", f"pass:{PASSPHRASE}", "-noout", "-text"],
        capture_output=True, check=True,
    )  # fmt: skip
    assert b"P-256" in done.stdout
    shape = subprocess.run(
        ["openssl", "asn1parse", "-in", desk / "court.key"], capture_output=True, text=True, check=True
    ).stdout
    assert f":{keyfile.ROUNDS:06X}" in shape
    assert "aes-256-cbc" in shape


PLATES = {
    "id": "plates-1", "authority": "A", "legal_basis": "B", "purpose": "C", "reference": "D", "function": "plates",
    "cameras": ["cam-1"], "recipients": ["desk.pub"], "retention_hours": 1, "days": 1, "plates": ["bg 123-ab", "NŠ456"],
}  # fmt: skip


def toml(fields):
    import json

    return "\n".join(
        f"{key} = {value if key in ('from', 'until') else json.dumps(value, ensure_ascii=False)}"
        for key, value in fields.items()
    )


def test_plates_become_keyed_hashes(desk):
    (desk / "p.toml").write_text(toml(PLATES), encoding="utf-8")
    grant = grant_draft.load(desk / "p.toml")
    assert gate.plate_digest(grant.template_key, "BG123AB") in grant.plates
    terms = gate.Terms(grant, grant.not_after)
    assert isinstance(gate.decide(PlateText("NŠ456", 0.99), terms, "cam-1", grant.not_before), Permit)
    assert grant_draft.load(desk / "p.toml").template_key != grant.template_key
    assert b"123" not in document.encode(grant).replace(grant.template_key, b"").split(b"plates")[-1]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"days": None}, "must end"),
        ({"until": "2030-01-01T00:00:00Z"}, "only one of them"),
        ({"days": None, "until": "2030-01-01T00:00:00"}, "timezone"),
        ({"days": None, "until": "2020-01-01T00:00:00Z"}, "ends before it begins"),
        ({"recipients": ["nobody.pub"]}, "cannot be read"),
        ({"recipients": ["desk.key"]}, "private key, which must never leave"),
        ({"recipients": ["court.pub"]}, "cannot be used"),
        ({"recipients": []}, "length"),
        ({"plates": ["BG?123"]}, "no licence plate"),
        ({"plate": ["BG123"]}, "unknown field"),
        ({"hours": ["22:00-06:00"]}, "overlap or are out of order"),
        ({"hours": ["07:75-08:00"]}, "no time of day"),
        ({"cameras": ["CAM 1"]}, "regex"),
        ({"function": "emotions"}, "Invalid enum"),
        ({"retention_hours": 0.001}, ">= 60"),
        ({"scope": "open"}, "list although its scope is open"),
        ({"purpose": "a\u202eb"}, "regex"),
    ],
)
def test_a_bad_draft_is_refused_with_the_cause(desk, changes, cause):
    fields = {key: value for key, value in {**PLATES, **changes}.items() if value is not None}
    (desk / "p.toml").write_text(toml(fields), encoding="utf-8")
    code, output = run("new", desk / "p.toml")
    assert code != 0
    assert cause in output
    assert not (desk / "p.grant").exists()


def test_an_expired_grant_is_not_signed(desk):
    fields = {**PLATES, "from": "2026-01-01T00:00:00Z"}
    (desk / "p.toml").write_text(toml(fields), encoding="utf-8")
    run("new", desk / "p.toml")
    (desk / "p.grant").rename(desk / "sought.grant")
    output = sign(desk, "court", "--yes")[1]
    assert "ended on 2026-01-02 00:00 UTC" in output


def test_nothing_is_overwritten_by_a_new_grant(desk):
    assert run("new", desk / "sought.toml")[0] == 0
    assert "exists already" in run("new", desk / "sought.toml")[1]


_FACES = """
[faces]
days = 7
listed = { authority = 1, operator = 1 }
open = { authority = 1, operator = 1 }
"""


def test_the_next_trust_file_is_signed_like_a_grant(desk):
    current = trust.load(desk / "trust.toml")
    (desk / "next.toml").write_text((desk / "trust.toml").read_text() + _FACES)
    assert run("trust", desk / "next.toml", "--current", desk / "trust.toml")[0] == 0
    for name in ("court", "city"):
        key = ("--key", desk / f"{name}.key", "--passphrase-file", desk / "secret")
        done = run("sign", desk / "next.trust", *key, "--yes")
        assert done[0] == 0, done[1]
        assert "Everybody's faces" in done[1]
    following = trust.successor((desk / "next.trust").read_bytes(), current)
    assert (following.version, following.faces.days) == (2, 7)


def test_installing_needs_the_trust_file(desk):
    run("new", desk / "sought.toml")
    assert "name the trust file" in sign(desk, "court", "--yes", "--install", desk / "grants")[1]


GRANT = document.Grant(
    id="g-1", serial=1, authority="Sud", legal_basis="Z", purpose="P", reference="R", function="faces",
    cameras=tuple(f"cam-{n}" for n in range(40)), not_before=1_795_000_000, not_after=1_795_000_000 + 40 * 86400,
    recipients=(b"\x09" + bytes(31), b"\x0a" + bytes(31)), retention=86400, template_key=bytes(32),
    hours=((360, 1320),), faces=(document.ListedFace("p-1", bytes(128), 0.01, 0.5),),
)  # fmt: skip


@pytest.mark.parametrize("language", words.LANGUAGES)
def test_words_name_everything_a_grant_allows(language):
    text = words.table(words.describe(GRANT, language))
    for part in ("40", "cam-11", "28", "p-1", "06:00-22:00 UTC", "2026-11-18 11:06 UTC", "Sud", "0.5"):
        assert part in text
    assert "cam-12," not in text
    everybody = msgspec.structs.replace(GRANT, scope="open", faces=())
    assert {"en": "EVERYBODY", "sr": "SVIH"}[language] in words.table(words.describe(everybody, language))


def test_both_languages_have_the_same_words():
    assert words._WORDS["en"].keys() == words._WORDS["sr"].keys()
    for key, english in words._WORDS["en"].items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", words._WORDS["sr"][key]))


@given(st.integers(60, 400 * 86400))
def test_a_duration_never_sounds_shorter_than_it_is(seconds):
    count, unit = words.duration(seconds).split()
    assert int(count) * {"day": 86400, "hour": 3600, "minute": 60}[unit.removesuffix("s")] >= seconds


@given(st.text(st.sampled_from("a \x1b\r\n\t\u202e\u2066\u200fŠ"), max_size=50))
def test_words_cannot_play_tricks_on_a_screen(text):
    assert not set(words.plain(text)) & set("\x1b\r\n\t\u202e\u2066\u200f")


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_garbage_is_no_document(content):
    with pytest.raises(signed.GrantError):
        grant_files.parse(content)


VALUES = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(allow_nan=False), st.lists(st.text(max_size=5), max_size=2)
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from(sorted(grant_draft.Draft.__struct_encode_fields__)), VALUES))
def test_garbage_drafts_are_refused_in_words(tmp_path_factory, changes):
    folder = tmp_path_factory.mktemp("draft")
    key = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    (folder / "desk.pub").write_bytes(key)
    with suppress(msgspec.ValidationError, VidikError):  # and nothing else
        grant_draft.make(msgspec.convert({**PLATES, **changes}, grant_draft.Draft), folder)


def test_a_raw_recipient_key_works_too(tmp_path):
    key = x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()
    (tmp_path / "raw.pub").write_bytes(key)
    assert grant_draft.recipient(tmp_path / "raw.pub") == key
    (tmp_path / "raw.pub").write_bytes(key[:-1])
    with pytest.raises(grant_draft.DraftError, match="cannot be used"):
        grant_draft.recipient(tmp_path / "raw.pub")


def test_the_guard_against_networks_works(tmp_path):
    program = "import os, sys; sys.addaudithook(lambda e, _: os._exit(99) if e.startswith('socket.') else None)"
    done = subprocess.run([sys.executable, "-c", f"{program}; import socket; socket.socket()"], check=False)
    assert done.returncode == 99


def test_a_trust_file_of_the_tools_is_what_cameras_read(desk):
    made = trust.load(desk / "trust.toml")
    assert {person.role for person in made.signer} == {"authority", "operator"}
    assert made.open_faces is False
    assert tomllib.loads((desk / "court.pub").read_text())["signer"][0]["name"] == "court"
    key = keyfile.load(desk / "court.key", desk / "secret")
    assert isinstance(key, ec.EllipticCurvePrivateKey)
