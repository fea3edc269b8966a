"""The published CDDL is what the code writes and reads: an independent validator judges both."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cbor2
import pytest
from pycddl import Schema, ValidationError

from edge import cbor, records, trial_form
from edge.audit import chain
from edge.grant import document, signed, trust
from edge.grant.document import Revocation
from tests import law
from tests.audit_fakes import filled
from tests.law import make
from tests.vectors import generate

DOCS = Path(__file__).parent.parent.parent / "docs"
VECTORS = json.loads(generate.PATH.read_text(encoding="utf-8"))
PLATES, FACES, REVOCATION, TRUST = generate.documents()


def schema(file, rule):
    """The schema of ``rule`` in a document: all of a .cddl file, the CDDL blocks of a text."""
    text = (DOCS / file).read_text(encoding="utf-8")
    if file.endswith(".md"):
        text = "\n".join(re.findall(r"```cddl\n(.*?)```", text, re.DOTALL))
    text = re.sub(r" \.cbor [a-z-]+", "", text)  # the validator cannot; what is inside is judged by itself
    return Schema(f"start = {rule}\n{text}")


def accepts(of, content):
    try:
        of.validate_cbor(content)
    except ValidationError:
        return False
    return True


SCHEMAS = {
    "grant": schema("grant.cddl", "grant"),
    "revocation": schema("grant.cddl", "revocation"),
    "trust": schema("trust.cddl", "trust"),
}
DECODERS = {"grant": document.decode, "revocation": document.decode_revocation, "trust": trust.decode}
REPORT = schema("report.cddl", "report")


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=lambda vector: f"{vector['kind']}")
def test_documents_are_as_the_schema_says(vector):
    assert accepts(SCHEMAS[vector["kind"]], bytes.fromhex(vector["content"]))


@pytest.mark.parametrize("report", VECTORS["reports"], ids=["plate", "face", "plate, triggered", "face, triggered"])
def test_reports_are_as_the_schema_says(report):
    assert accepts(REPORT, bytes.fromhex(report["content"]))


def test_a_trial_and_its_confirmation_are_as_the_schema_says():
    trial, answer = schema("trial.cddl", "trial"), schema("trial.cddl", "confirmation")
    content, confirmation = (bytes.fromhex(VECTORS["trial"][name]) for name in ("content", "confirmation"))
    assert accepts(trial, content)
    assert accepts(answer, confirmation)
    assert not accepts(REPORT, content)
    for spoiled in ({0: 2}, {1: 1}, {30: b"short"}, {31: "text"}, {99: 0}, {5: -1}):
        raw = cbor2.dumps({**cbor2.loads(content), **spoiled}, canonical=True)
        assert not accepts(trial, raw), spoiled
        with pytest.raises(trial_form.TrialError):
            trial_form.decode(raw)


def test_optional_parts_of_a_grant():
    full = make(hours=((0, 60), (600, 1440)), triggers=("wrong-way",), scope="listed", plates=(bytes(16),))
    assert accepts(SCHEMAS["grant"], document.encode(full))
    fields = cbor2.loads(document.encode(full))
    for optional in ("hours", "scope", "faces", "plates", "triggers"):
        without = {name: value for name, value in fields.items() if name != optional}
        assert accepts(SCHEMAS["grant"], cbor2.dumps(without)), optional
        assert document.decode(cbor2.dumps(without, canonical=True))


def spoilt(content):
    """Documents with one thing wrong in form: a field gone, one too many, or a value of another kind or size."""
    fields = cbor2.loads(content)
    yield "one too many", {**fields, "extra": 1}
    for name, value in fields.items():
        yield f"{name} of another kind", {**fields, name: 1.5 if not isinstance(value, float) else "x"}
        if isinstance(value, bytes):
            yield f"{name} too short", {**fields, name: value[:-1]}
        if isinstance(value, int) and not isinstance(value, bool):
            yield f"{name} too large", {**fields, name: 2**64 - 1}
            yield f"{name} negative", {**fields, name: -1}


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("grant", document.encode(PLATES)),
        ("grant", document.encode(FACES)),
        ("revocation", document.encode(REVOCATION)),
        ("trust", trust.encode(TRUST)),
    ],
    ids=["plates", "faces", "revocation", "trust"],
)
def test_schema_and_code_refuse_the_same(kind, content):
    seen = 0
    for what, fields in spoilt(content):
        raw = cbor2.dumps(fields, canonical=True)
        read = True
        try:
            DECODERS[kind](raw)
        except signed.GrantError:
            read = False
        assert not read, what
        assert not accepts(SCHEMAS[kind], raw), what
        seen += 1
    assert seen > 5
    fields = cbor2.loads(content)
    for name in fields:
        raw = cbor2.dumps({other: value for other, value in fields.items() if other != name}, canonical=True)
        try:
            DECODERS[kind](raw)
            read = True
        except signed.GrantError:
            read = False
        assert accepts(SCHEMAS[kind], raw) == read, f"without {name}"


@pytest.mark.parametrize("kind", ["plate", "face"])
def test_no_report_is_read_that_the_schema_refuses(kind):
    """The other way round the validator is no judge: it takes bytes for text of a size."""
    form = schema("report.cddl", f"{kind}-report")
    report = generate.reports()[kind == "face"]
    fields = cbor2.loads(records.encode(report))
    refused = 0
    changes = [{**fields, key: value} for key in fields for value in (b"\x00", [], -1, {}, 10**6, "x", 1.5)]
    changes += [{other: value for other, value in fields.items() if other != key} for key in fields]
    changes += [{**fields, 99: 1}, {**fields, "extra": 1}]
    for changed in changes:
        raw = cbor2.dumps(changed)
        try:
            records.decode(raw)
        except records.RecordError:
            refused += not accepts(form, raw)
        else:
            assert accepts(form, raw) or changed.get(9) == [], {k: v for k, v in changed.items() if v != fields.get(k)}
    assert refused > len(changes) / 2


def test_the_form_of_a_signed_document():
    envelope = Schema(
        "start = #6.98([protected: bstr, {}, content: bstr, [*16 signer]])\n"
        "signer = [protected: bstr, {}, signature: bstr .size 64]\n"
    )
    for vector in VECTORS["documents"]:
        assert accepts(envelope, bytes.fromhex(vector["signed"]))


def test_audit_entries_and_heads(tmp_path):
    head = filled(tmp_path, 5)
    entry, whole, stated = (schema("audit.md", rule) for rule in ("content", "head", "stated"))
    assert accepts(whole, head)
    parts = cbor.loads(head, tag=18)
    assert accepts(stated, parts[2])
    assert accepts(schema("audit.md", "header"), parts[0])
    (path,) = chain.segments(tmp_path)
    content = path.read_bytes()
    links = list(chain.walk(content, chain.GENESIS))
    assert len(links) == 5
    for link in links:
        assert accepts(entry, content[link.offset + 2 : link.end - 32])
    assert not accepts(entry, cbor2.dumps([1, 2, "boot", {"plate": b"BG"}]))


def test_what_a_person_might_write_is_still_a_revocation():
    said = Revocation(grant="a", serial=1, reason="č" * 500, time=law.NOW)
    assert accepts(SCHEMAS["revocation"], document.encode(said))
