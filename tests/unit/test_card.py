"""The public card: what it says and does not say, who can forge it, its page and its sticker."""

from __future__ import annotations

import base64
import html.parser
import json
import re
import subprocess
import time

import cv2
import msgspec
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge import card
from edge.audit.head import HeadError
from edge.card import CardError
from edge.grant.document import Grant, ListedFace
from edge.grant.gate import Reason
from edge.signing import KeySigner
from edge.vision.aim.barcode import claim_text
from provisioning import audit_cli, card_cli, card_page, card_sticker, pki, statements
from tests.audit_fakes import CA, CAMERA, ISSUED, NOW, SIGNER, filled, open_log

SECRET = b"\x5a" * 32
GRANT = Grant(
    id="sought-1", serial=3, authority="High Court <b>in</b> Belgrade", legal_basis="Act 1", purpose="Find a person",
    reference="Kv 1/26", function="faces", cameras=(CAMERA,), not_before=int(NOW) - 10, not_after=int(NOW) + 3600,
    recipients=(b"\x07" * 32,), retention=3600, template_key=SECRET, hours=((360, 1320),),
    faces=(ListedFace("secret-name", bytes(range(128)), 0.001, 0.94),),
)  # fmt: skip
COUNTERS = card.Counters(
    begin="2026-11-17T00:00:00Z", end="2026-11-18T00:00:00Z", seen={"face": 900}, reported={"face": 1},
    discarded={"not listed": 899},
)  # fmt: skip


def built(now=NOW, **changes):
    fields = {
        "software": "vidik 0.1.0", "models": {"face-embedder": "ab" * 32}, "grants": [GRANT],
        "audit": (7, b"\x01" * 32), "counters": COUNTERS, **changes,
    }  # fmt: skip
    return card.build(CAMERA, now, **fields)


def test_comes_back_whole_and_says_what_the_law_wants_known():
    stated = statements.check_card(card.sign(built(), SIGNER), CA.certificate)
    assert stated == built()
    assert stated.functions == ("faces",)
    (grant,) = stated.grants
    assert (grant.authority, grant.purpose, grant.reference, grant.legal_basis) == (
        GRANT.authority, "Find a person", "Kv 1/26", "Act 1",
    )  # fmt: skip
    assert grant.not_after == card.timestamp(GRANT.not_after)


def test_says_nothing_of_list_keys_and_recipients():
    signed = card.sign(built(), SIGNER)
    payload = base64.urlsafe_b64decode(json.loads(signed)["payload"] + "==")
    for form in (SECRET, b"\x07" * 32, bytes(range(128))):
        for spelling in (form, form.hex().encode(), base64.b64encode(form), base64.urlsafe_b64encode(form)):
            assert spelling.rstrip(b"=") not in payload
    assert b"secret-name" not in payload


def test_without_a_grant_nothing_is_on():
    stated = built(grants=[])
    assert stated.functions == ()
    assert "reports nothing" in card_page.render(stated)


def test_every_flipped_bit_is_found():
    signed = card.sign(built(), SIGNER)
    for position in range(len(signed)):
        broken = bytearray(signed)
        broken[position] ^= 1 << position % 7
        with pytest.raises(CardError):
            statements.check_card(bytes(broken), CA.certificate)


def test_another_deployment_and_another_camera_are_refused():
    stranger = pki.make_ca("Stranger")
    with pytest.raises(CardError, match="not by this camera of this deployment"):
        statements.check_card(card.sign(built(), SIGNER), stranger.certificate)
    other = pki.issue_signing(CA, "cam-2")
    with pytest.raises(CardError, match="signed by cam-2"):
        statements.check_card(card.sign(built(), KeySigner(other.key, other.certificate)), CA.certificate)
    connection = pki.issue_connection(CA, CAMERA)
    with pytest.raises(CardError, match="not for signing"):
        statements.check_card(card.sign(built(), KeySigner(connection.key, connection.certificate)), CA.certificate)


def test_a_head_of_another_deployment_is_refused(tmp_path):
    with pytest.raises(HeadError, match="not by this camera"):
        statements.check_head(filled(tmp_path), pki.make_ca("Stranger").certificate)


def test_openssl_agrees(tmp_path):
    jws = json.loads(card.sign(built(), SIGNER))
    raw = base64.urlsafe_b64decode(jws["signature"] + "==")
    der = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ISSUED.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for name, content in (("s", der), ("k", public), ("d", f"{jws['protected']}.{jws['payload']}".encode())):
        (tmp_path / name).write_bytes(content)
    done = subprocess.run(
        ["openssl", "dgst", "-sha256", "-verify", "k", "-signature", "s", "d"], cwd=tmp_path, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.stdout.strip() == b"Verified OK"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["payload", "protected", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=300), JSON.map(lambda value: json.dumps(value).encode())))
def test_garbage_is_no_card(content):
    with pytest.raises(CardError):
        card.read(content)


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=40), st.integers(0, 10**6))
def test_hostile_certificates_never_crash_the_reader(patch, place):
    certificate = bytearray(SIGNER.certificate)
    place %= len(certificate)
    certificate[place : place + len(patch)] = patch

    class Forger:
        def __init__(self):
            self.certificate = bytes(certificate)

        def sign(self, content):
            return SIGNER.sign(content)

    signed = card.sign(built(), Forger())
    if bytes(certificate) != SIGNER.certificate:
        with pytest.raises(CardError):
            statements.check_card(signed, CA.certificate)


class Tags(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("language", ["en", "sr"])
def test_the_page_escapes_everything_and_runs_nothing(language):
    attack = '"><script>alert(1)</script><img src=x onerror=alert(1)>\u202e'
    hostile = {name: f"{name}{attack}" for name in ("authority", "legal_basis", "purpose", "reference")}
    allowed = msgspec.structs.replace(built().grants[0], **hostile)
    stated = card.Card(
        camera=CAMERA, issued=card.timestamp(NOW), software=attack, models=(card.Model(attack, "ab" * 32),),
        functions=("faces",), grants=(allowed,), audit=card.AuditState(1, "00" * 32),
        counters=card.Counters(begin=COUNTERS.begin, end=COUNTERS.end, seen={attack: 1}, reported={}, discarded={}),
    )  # fmt: skip
    page = card_page.render(stated, language, card_address='https://x"onclick="alert(1)')
    tags = Tags()
    tags.feed(page)
    assert not {tag for tag, _ in tags.seen} & {"script", "img", "iframe", "object", "link", "form", "b", "svg"}
    assert not any(name.startswith("on") or name == "src" for _, attrs in tags.seen for name in attrs)
    assert "\u202e" not in page
    assert "<a " not in page
    assert "authority&quot;&gt;&lt;script&gt;" in page


def test_the_page_says_who_why_and_until_when():
    page = card_page.render(built(), "sr", "https://example.org/cam-1/card.json")
    for text in ("High Court &lt;b&gt;in&lt;/b&gt; Belgrade", "Kv 1/26", "06:00-22:00 UTC", "899", 'lang="sr-Latn"'):
        assert text in page
    assert '<a href="https://example.org/cam-1/card.json">' in page


def test_every_reason_has_its_serbian_words():
    assert card_page._REASONS.keys() == {reason.value for reason in Reason}
    assert "odbačeno: nije na spisku" in card_page.render(built(), "sr")
    assert card_page._WORDS["en"].keys() == card_page._WORDS["sr"].keys()


def test_the_sticker_leads_where_it_should(tmp_path):
    address = "https://example.org/kamere/cam-1"
    picture = cv2.imdecode(np.frombuffer(card_sticker.png(address), np.uint8), cv2.IMREAD_GRAYSCALE)
    assert claim_text(picture) == address
    drawn = card_sticker.svg(address, "cam-1").decode()
    assert drawn.startswith("<?xml")
    assert "Kamera cam-1" in drawn
    import xml.etree.ElementTree as ET

    (path,) = (part for part in ET.fromstring(drawn) if part.tag.endswith("path"))
    squares = [(int(x), int(y)) for x, y in re.findall(r"M(\d+) (\d+)h1v1h-1z", path.get("d"))]
    side = max(map(max, squares)) + 5
    drawing = np.full((side, side), 255, np.uint8)
    for x, y in squares:
        drawing[y, x] = 0
    assert claim_text(drawing.repeat(8, 0).repeat(8, 1)) == address


@pytest.mark.parametrize("address", ["http://example.org", "https://exa mple.org", 'https://x"/', "javascript:a()"])
def test_no_sticker_leads_anywhere_else(address):
    with pytest.raises(card_sticker.StickerError):
        card_sticker.png(address)


def run(app, *arguments):
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return done.exit_code, done.output + (str(done.exception) if done.exception else "")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "ca.pem").write_bytes(CA.certificate.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "card.json").write_bytes(card.sign(built(time.time()), SIGNER))
    return tmp_path


def test_the_commands_verify_render_and_draw(files):
    code, output = run(card_cli.app, "verify", files / "card.json", "--ca", files / "ca.pem")
    assert code == 0, output
    assert "Genuine: signed by the camera cam-1" in output
    assert run(card_cli.app, "html", files / "card.json", "--ca", files / "ca.pem", "--out", files / "p.html")[0] == 0
    assert "Street camera cam-1" in (files / "p.html").read_text()
    sticker = ("qr", "https://example.org/cam-1", "--out")
    assert run(card_cli.app, *sticker, files / "s.svg", "--camera", "cam-1")[0] == 0
    assert run(card_cli.app, *sticker, files / "s.png")[0] == 0
    assert (files / "s.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_refuses_old_future_and_misplaced_cards(files):
    check = ("verify", files / "card.json", "--ca", files / "ca.pem")
    assert "not of cam-9" in run(card_cli.app, *check, "--camera", "cam-9")[1]
    (files / "card.json").write_bytes(card.sign(built(time.time() - 50 * 3600), SIGNER))
    issued_before = run(card_cli.app, *check)[1]
    assert "certificate" in issued_before or "hours old" in issued_before
    (files / "card.json").write_bytes(card.sign(built(time.time() + 3600), SIGNER))
    assert "future" in run(card_cli.app, *check)[1]


def test_audit_verify_speaks_plainly(files):
    folder = files / "audit"
    log = open_log(folder)
    log._clock.now = time.time()
    log.append("boot", boot=1, software="1.0")
    log.append("stop", reason="x")
    (files / "head").write_bytes(log.head())
    log.close()
    check = ("verify", folder, "--head", files / "head", "--ca", files / "ca.pem")
    code, output = run(audit_cli.app, *check)
    assert (code, "The log is whole" in output) == (0, True), output
    path = next(folder.glob("*.audit"))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"boot", b"toob", 1))
    code, output = run(audit_cli.app, *check)
    assert code == 1
    assert "entry 2 does not follow from the one before" in output
    assert "NOT whole" in output
    assert "boot=1" not in run(audit_cli.app, "show", folder, "--jsonl")[1]
    assert "Name the deployment's CA" in run(audit_cli.app, "verify", folder, "--head", files / "head")[1]
    assert "no audit log" in run(audit_cli.app, "verify", files)[1]
