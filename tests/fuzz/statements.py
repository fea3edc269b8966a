"""Fuzz targets beside documents and reports: what cameras state, what subscribers hear, and files of people.

A target is how to parse, what to start from, and how to spoil it; it raises nothing but ``VidikError``.
"""

from __future__ import annotations

import atexit
import base64
import io
import itertools
import json
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import cbor2
import msgspec
from cryptography.hazmat.primitives.serialization import Encoding
from rich.console import Console

from edge import card, config, gaps, trial_form
from edge.audit import AuditError, chain, head, verify
from edge.audit.head import Head
from edge.errors import VidikError
from edge.gaps import Gap, Place
from edge.grant import trust
from edge.grant.ledger import Ledger
from edge.listen.opener import Opener, Rejected
from edge.listen.trust import check_signer
from edge.uplink.documents import Documents
from provisioning import grant_draft, grant_files, statements
from provisioning.overview import board, judge, said
from provisioning.overview.board import View
from provisioning.overview.said import Statements
from tests.audit_fakes import CA, CAMERA, ISSUED, NOW, SIGNER, open_log
from tests.fuzz.mutate import mutated, mutated_bytes, mutated_text
from tests.law import TRUST, make
from tests.vectors import generate

MEMORY = Path("/dev/shm")  # where there is one, files cost no disk
HOME = Path(tempfile.mkdtemp(prefix="vidik-fuzz-", dir=MEMORY if MEMORY.is_dir() else None))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
HEAD = Head(CAMERA, 12, bytes(32), int(NOW * 1000))
CARD = card.build(
    CAMERA, NOW, software="1", models={"m": "ab" * 32}, grants=[make()], audit=(12, bytes(32)),
    counters=card.Counters(
        begin=card.timestamp(0), end=card.timestamp(1), seen={"plate": 3}, reported={}, discarded={}
    ),
)  # fmt: skip
STATUS = {
    "camera": CAMERA, "state": "online", "since": "2026-01-01T00:00:00Z", "version": "1", "spool": 3,
    "signing_certificate": base64.b64encode(ISSUED.certificate.public_bytes(Encoding.DER)).decode(),
}  # fmt: skip
HEALTH = json.dumps({"camera": CAMERA, "time": NOW, "state": "ok", "causes": ["warm"], "fps": 14.0}).encode()
CONFIG = """[vision]
camera = "cam-1"
source = "clip.mp4"
inbox = "run/inbox"
trust = "trust.toml"
grants = "grants"
state = "state"
signing_key = "k"
signing_certificate = "c"
pace = true
[vision.look]
tile = 432
overlap = 0.25
[uplink]
camera = "cam-1"
host = "localhost"
port = 8883
ca = "ca.pem"
certificate = "c"
key = "k"
signing_certificate = "c"
inbox = "i"
spool = "s"
spool_bytes = 268435456
"""
DRAFT = """id = "g-1"
authority = "Court"
legal_basis = "Act"
purpose = "p"
reference = "r"
function = "plates"
cameras = ["cam-1"]
until = 2030-12-01T08:00:00+01:00
hours = ["05:00-21:00"]
recipients = ["desk.pub"]
retention_hours = 24
plates = ["BG 123-AB", "NS 456-CD"]
"""
NUMBERS = itertools.count()


def file(content, suffix):
    path = HOME / f"fuzzed{suffix}"
    path.write_bytes(content)
    return path


def trust_toml():
    people = "".join(
        f'[[signer]]\nname = "{person.name}"\nrole = "{person.role}"\nkey = "{person.key}"\n' for person in TRUST.signer
    )
    return f"expires = 2030-01-01T00:00:00Z\nversion = 1\n{people}[plates]\ndays = 30\n".encode()


def resigned_head(content):
    """A head with any content, signed by a genuine camera."""
    protected = cbor2.dumps({1: -7, 3: head.TYPE, 33: SIGNER.certificate})
    signature = SIGNER.sign(head._to_sign(protected, content))
    statements.check_head(cbor2.dumps(cbor2.CBORTag(18, [protected, {}, content, signature])), CA.certificate)


def resigned_card(payload):
    """A card with any content, signed by a genuine camera."""
    certificate = base64.b64encode(SIGNER.certificate).decode()
    header = msgspec.json.encode({"alg": "ES256", "typ": card.TYPE, "x5c": [certificate]})
    protected, body = card._to_base64url(header), card._to_base64url(payload)
    signature = card._to_base64url(SIGNER.sign(f"{protected}.{body}".encode()))
    whole = json.dumps({"protected": protected, "payload": body, "signature": signature}).encode()
    statements.check_card(whole, CA.certificate)


def audit_log():
    """The one segment of a short log."""
    folder = HOME / "log"
    log = open_log(folder)
    for number in range(3):
        log.append("boot", boot=number, software="1")
    log.append("hour", seconds=3600, seen={"plate": 3}, reported={}, discarded={"unsure": 2}, lost={})
    log.close()
    (path,) = chain.segments(folder)
    return path.read_bytes()


def audited(content):
    """A segment as the verifier reads it, and as the camera does at its start, which goes on after any damage."""
    folder = HOME / f"audit-{next(NUMBERS)}"
    folder.mkdir()
    (folder / chain.name(1)).write_bytes(content)
    try:
        found = verify.examine(folder)
        log = open_log(folder)
        log.append("stop", reason="fuzz")
        log.close()
        assert log  # the camera goes on
        if found.problems or content != SEGMENT:
            raise AuditError("not whole, or not what it was")
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def heard(channel):
    """A subscriber that gets ``content``: it says what it makes of it, whatever it is."""

    def target(content):
        opener = Opener(CA.certificate, {})
        findings = opener.take(f"vidik/v1/{CAMERA}/{channel}", content)
        if not findings or isinstance(findings[0], Rejected):
            raise VidikError("rejected")

    return target


def confirmed(content):
    """A camera that looks at what came as the confirmation of its test report."""
    if not trial_form.confirms(content, generate.trial(), bytes(8)):
        raise VidikError("not confirmed")


def overseen(content):
    """The fleet view, with the same bytes in every place of a camera: whatever they are, the camera has its line."""
    heard_of = Statements(CA.certificate)
    for channel in said.CHANNELS:
        heard_of.take(f"vidik/v1/{CAMERA}/{channel}", content)
    known, now = {}, datetime.fromtimestamp(NOW, UTC)
    heard_of.read(known, now)
    (line,) = judge.lines(known, None, now)
    console = Console(width=150, file=io.StringIO(), color_system=None)
    console.print(board.table(View([line], [line], now), "Fuzz", 150, 5))
    assert all(character.isprintable() or character == "\n" for character in console.file.getvalue())
    if len(known[CAMERA].wrong) == len(said.CHANNELS):
        raise VidikError("no statement at all")


def told(content):
    """The uplink's look at a document from the broker."""
    Documents(HOME / "incoming").take("", content)
    kept = list((HOME / "incoming").iterdir()) if (HOME / "incoming").exists() else []
    for path in kept:
        path.unlink()
    if len(kept) != 1 or kept[0].suffix not in (".grant", ".revocation", ".trust"):
        raise VidikError("not kept")


def configured(content):
    path = file(content, ".toml")
    for table in (config.Vision, config.Uplink):
        config.load(path, table)


SEGMENT = audit_log()
GAP = Gap(
    camera=CAMERA, id="00112233aabbccdd", reason="full", count=3, first=Place(1, 5), last=Place(1, 9), time=int(NOW)
)  # fmt: skip
(HOME / "desk.pub").write_bytes(generate.RECIPIENTS[0].public_key().public_bytes_raw())
SIGNED_GRANT = generate.document.sign(make(), [generate.SIGNERS["authority"]])
HEAD_CONTENT = cbor2.dumps({1: CAMERA, 2: 12, 3: bytes(32), 4: int(NOW * 1000)})
TARGETS = {
    "certificate": (lambda c: check_signer(c, CA.certificate), [SIGNER.certificate], mutated_bytes),
    "audit head": (lambda c: statements.check_head(c, CA.certificate), [head.sign(HEAD, SIGNER)], mutated),
    "audit head, signed": (resigned_head, [HEAD_CONTENT], mutated),
    "audit segment": (audited, [SEGMENT], mutated_bytes),
    "card": (lambda c: statements.check_card(c, CA.certificate), [card.sign(CARD, SIGNER)], mutated_text),
    "card, signed": (resigned_card, [msgspec.json.encode(CARD)], mutated_text),
    "trial": (trial_form.decode, [trial_form.encode(generate.trial())], mutated),
    "confirmation of a trial": (confirmed, [trial_form.confirm(generate.trial(), bytes(8))], mutated_bytes),
    "fleet view": (overseen, [json.dumps(STATUS).encode(), card.sign(CARD, SIGNER), HEALTH], mutated_text),
    "status": (heard("status"), [json.dumps(STATUS).encode()], mutated_text),
    "gap announcement": (lambda c: gaps.decode(c, CAMERA), [gaps.encode(GAP)], mutated_text),
    "gap announcement, heard": (heard("gap"), [gaps.encode(GAP)], mutated_text),
    "document from the broker": (told, [SIGNED_GRANT], mutated),
    "trust file, TOML": (lambda c: trust.load(file(c, ".toml")), [trust_toml()], mutated_text),
    "configuration": (configured, [CONFIG.encode()], mutated_text),
    "grant, TOML": (lambda c: grant_draft.load(file(c, ".toml")), [DRAFT.encode()], mutated_text),
    "document, any": (grant_files.parse, [SIGNED_GRANT], mutated),
    "record of grants": (
        lambda c: Ledger(file(c, ".json")), [b'{"g-1":{"serial":3,"digest":"ab","function":"plates"}}'], mutated_text
    ),
}  # fmt: skip
