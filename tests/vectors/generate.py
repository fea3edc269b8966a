"""Writes ``vectors.json``: documents, reports and derivations that implementations in other languages can check
themselves against. ``python -m tests.vectors.generate``; signatures and encryption differ at every run.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cbor2
import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge import records, seal, trial_form
from edge.grant import document, gate, rotation, signed, trust
from edge.grant.document import Grant, ListedFace, Revocation
from edge.hybrid import HybridPrivateKey
from edge.records import FaceReport, Measure, PlateReport, Trigger
from edge.trial_form import Asked
from edge.vision.values import FaceTemplate

PATH = Path(__file__).parent / "vectors.json"
NOW = 1_795_000_000
KEY = bytes(range(32))
SCALARS = {"authority": 1001, "operator": 1002, "camera": 1003}
SIGNERS = {name: ec.derive_private_key(scalar, ec.SECP256R1()) for name, scalar in SCALARS.items()}
RECIPIENTS = [x25519.X25519PrivateKey.from_private_bytes(bytes([0x40 + i]) * 32) for i in range(2)]
HYBRID = HybridPrivateKey(bytes(range(96)))
VECTOR = bytes((7 * i + 3) % 251 for i in range(128))
SCALE = float(1 / np.linalg.norm(np.frombuffer(VECTOR, np.int8).astype(float)))
HEADER = {
    "camera": "cam-1", "boot": 7, "seq": 42, "time": 1_795_000_000.123, "grant": "plates-1", "track": 5,
    "box": (100, 200, 300, 40),
}  # fmt: skip


def documents():
    """A grant for plates, a grant for faces, a revocation and a trust file."""
    common = {
        "serial": 3, "authority": "High Court", "legal_basis": "Act 1, section 2", "purpose": "Find a stolen car",
        "reference": "K 1/26", "cameras": ("cam-1", "cam-2"), "not_before": NOW, "not_after": NOW + 86400,
        "recipients": (RECIPIENTS[0].public_key().public_bytes_raw(),), "retention": 3600, "template_key": KEY,
        "scope": "listed",
    }  # fmt: skip
    plates = Grant(
        id="plates-1", function="plates", plates=(gate.plate_digest(KEY, "BG123AB"),), hours=((0, 60), (480, 1440)),
        triggers=("wrong-way",), **common,
    )  # fmt: skip
    faces = Grant(id="faces-1", function="faces", faces=(ListedFace("p-1", VECTOR, SCALE, 0.94),), **common)
    revocation = Revocation(grant="plates-1", serial=3, reason="The car was found", time=NOW + 60)
    people = [
        trust.Person(name, name, base64.b64encode(_der(SIGNERS[name])).decode()) for name in ("authority", "operator")
    ]
    return plates, faces, revocation, trust.Trust(tuple(people), NOW + 400 * 86400, version=2)


def reports():
    """A plate and a face, and each with a trigger."""
    plate = PlateReport(text="BG123AB", confidence=0.987, country="RS", alternates=(("8G123AB", 0.004),), **HEADER)
    face = FaceReport(
        vector=VECTOR, scale=SCALE, quality=88.0, model=bytes(range(8)), entry="p-1", similarity=0.953,
        **HEADER,
    )  # fmt: skip
    speed = Trigger("limit-50", Measure.SPEED, 61.3, 1_795_000_000.790)
    line = Trigger("way-out", Measure.LINE, -84.2, 1_794_999_999.900)
    return plate, face, msgspec.structs.replace(plate, trigger=speed), msgspec.structs.replace(face, trigger=line)


def make() -> dict[str, object]:
    """The vectors."""
    plates, faces, revocation, trusted = documents()
    keys = [SIGNERS["authority"], SIGNERS["operator"]]
    good = [
        ("grant", plates, document.encode(plates), document.sign(plates, keys[:1])),
        ("grant", faces, document.encode(faces), document.sign(faces, keys)),
        ("revocation", revocation, document.encode(revocation), document.sign_revocation(revocation, keys[1:])),
        ("trust", trusted, trust.encode(trusted), trust.sign(trusted, keys)),
    ]
    return {
        "note": "hex unless it is text; see docs/*.cddl. The keys are for these vectors only.",
        "signers": {name: {"scalar": SCALARS[name], "spki": _der(key).hex()} for name, key in SIGNERS.items()},
        "recipients": [
            {"private": key.private_bytes_raw().hex(), "kid": seal.key_id(key.public_key()).hex()} for key in RECIPIENTS
        ],
        "hybrid": {
            "private": HYBRID.raw.hex(),
            "public": HYBRID.public_key().raw.hex(),
            "kid": HYBRID.public_key().kid.hex(),
        },
        "documents": [
            {"kind": kind, "says": _plain(says), "content": content.hex(), "signed": whole.hex()}
            for kind, says, content, whole in good
        ],
        "refused": _refused(plates, good[0][3]),
        "reports": [_report(report) for report in reports()],
        "trial": _trial(),
        "derived": _derived(),
    }


def trial() -> Asked:
    """A test report."""
    return Asked(camera="cam-1", time=NOW, id=bytes(range(8)), nonce=bytes(range(100, 132)))


def _trial() -> dict[str, object]:
    asked, recipient = trial(), RECIPIENTS[0].public_key()
    content = trial_form.encode(asked)
    return {
        "says": _plain(asked),
        "content": content.hex(),
        "sealed to the first recipient": seal.Sealer(SIGNERS["camera"]).seal_content(content, recipient).hex(),
        "confirmation": trial_form.confirm(asked, seal.key_id(recipient)).hex(),
    }


def _report(report: records.Report) -> dict[str, object]:
    sealer = seal.Sealer(SIGNERS["camera"])
    publics = [key.public_key() for key in RECIPIENTS]
    return {
        "says": _plain(report),
        "content": records.encode(report).hex(),
        "sealed to the first recipient": sealer.seal(report, publics[0]).hex(),
        "sealed to both recipients": sealer.seal(report, *publics).hex(),
        "sealed to the hybrid key": sealer.seal(report, HYBRID.public_key()).hex(),
    }


def _derived() -> dict[str, object]:
    matrix = rotation.matrix(KEY)
    rotated = rotation.rotated(FaceTemplate(np.frombuffer(VECTOR, np.int8), SCALE, 80.0), matrix)
    return {
        "template_key": KEY.hex(),
        "digest of BG123AB": gate.plate_digest(KEY, "BG123AB").hex(),
        "digest of NŠ001ĆĐ": gate.plate_digest(KEY, "NŠ001ĆĐ").hex(),
        "matrix, start of the first row": [round(float(x), 6) for x in matrix[0, :4]],
        "matrix, end of the last row": [round(float(x), 6) for x in matrix[-1, -4:]],
        "template": VECTOR.hex(),
        "template rotated": rotated.vector.tobytes().hex(),
    }


def _refused(grant: Grant, whole: bytes) -> list[dict[str, str]]:
    """Grants that a camera refuses although somebody who may sign has signed them, or that nobody has."""
    fields = cbor2.loads(document.encode(grant))
    said = {
        "an unknown field": cbor2.dumps({**fields, "extra": 0}),
        "a missing field": cbor2.dumps({key: value for key, value in fields.items() if key != "recipients"}),
        "the end before the beginning": document.encode(msgspec.structs.replace(grant, not_after=NOW)),
        "hours out of order": document.encode(msgspec.structs.replace(grant, hours=((480, 1440), (0, 60)))),
        "a list in an open scope": document.encode(msgspec.structs.replace(grant, scope="open")),
        "a recipient of low order": document.encode(msgspec.structs.replace(grant, recipients=(bytes(32),))),
        "text where bytes belong": cbor2.dumps({**fields, "template_key": "A" * 44}),
        "an indefinite length": b"\xbf" + cbor2.dumps(fields)[1:] + b"\xff",
        "bytes after the end": cbor2.dumps(fields) + b"\0",
        "a key twice": bytes([cbor2.dumps(fields)[0] + 1]) + cbor2.dumps(fields)[1:] + cbor2.dumps("serial") + b"\x09",
        "a tag": cbor2.dumps({**fields, "serial": cbor2.CBORTag(2, b"\x03")}),
    }
    key = SIGNERS["authority"]
    kind = signed.Kind.GRANT
    found = {why: signed.add(signed.draft(content, kind), kind, key) for why, content in said.items()}
    broken = whole[:-1] + bytes([whole[-1] ^ 1])
    found |= {"a broken signature": broken, "no signature": signed.draft(document.encode(grant), kind)}
    return [{"why": why, "signed": content.hex()} for why, content in found.items()]


def _plain(record: object) -> object:
    """``record`` as JSON has it, bytes in hex."""
    fields = msgspec.to_builtins(record, builtin_types=(bytes,))
    return json.loads(json.dumps(fields, default=lambda raw: raw.hex()))


def _der(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


if __name__ == "__main__":
    PATH.write_text(json.dumps(make(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
