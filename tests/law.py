"""A small deployment's law, for tests: signers, a trust file, grants, and a journal that remembers."""

from __future__ import annotations

import base64
from collections import Counter

import msgspec
import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.audit import events
from edge.grant import gate, trust
from edge.grant.document import Grant, ListedFace
from edge.vision.values import FaceTemplate, PlateText

NOW = 1_795_000_000
DAY = 86400
CAMERA = "cam-1"
AUTHORITY, OPERATOR, STRANGER, SUCCESSOR = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))
RECIPIENT = x25519.X25519PrivateKey.generate()
PLATE = PlateText("BG123AB", 0.99)


def person(name, role, key):
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return trust.Person(name, role, base64.b64encode(der).decode())


PEOPLE = (person("A. Authority", "authority", AUTHORITY), person("O. Operator", "operator", OPERATOR))
TRUST = trust.Trust(PEOPLE, NOW + 2000 * DAY)


def changed(record, **changes):
    return msgspec.structs.replace(record, **changes)


def make(**changes):
    """A grant for all plates, unless ``changes`` says otherwise."""
    fields = {
        "id": "plates-1", "serial": 1, "authority": "Court", "legal_basis": "Act 1", "purpose": "find a car",
        "reference": "K 1/26", "function": "plates", "cameras": (CAMERA,), "not_before": NOW - 10,
        "not_after": NOW + 3600, "recipients": (RECIPIENT.public_key().public_bytes_raw(),),
        "retention": 3600, "template_key": bytes(32), "scope": "open",
    }  # fmt: skip
    return Grant(**{**fields, **changes})


def quantised(vector, quality=80.0):
    vector = np.asarray(vector, np.float64) / np.linalg.norm(vector)
    scale = np.abs(vector).max() / 127
    return FaceTemplate(np.rint(vector / scale).astype(np.int8), float(scale), quality)


def template(seed):
    return quantised(np.random.default_rng(seed).standard_normal(128))


def entry(name, seed, threshold=0.9):
    face = template(seed)
    return ListedFace(name, face.vector.tobytes(), face.scale, threshold)


FACES = {"id": "faces-1", "function": "faces", "scope": "listed", "faces": (entry("p-1", 1), entry("p-2", 2))}


def digest(key, text=PLATE.text):
    return gate.plate_digest(key, text)


class Book:
    """A journal in memory, as strict as the audit log about what may be said."""

    whole = True

    def __init__(self):
        self.entries = []

    def append(self, event, **facts):
        self.entries.append((event, events.check(event, facts)))

    def names(self):
        return [event for event, _ in self.entries]

    def of(self, event):
        return [facts for name, facts in self.entries if name == event]


class Count(Counter):
    """A tally in memory."""

    def seen(self, what):
        self["seen", what] += 1

    def reported(self, what):
        self["reported", what] += 1

    def discarded(self, reason):
        self["discarded", reason] += 1


class FakeClock:
    def __init__(self, now=float(NOW)):
        self.now, self.elapsed = now, 1000.0

    def wall(self):
        return self.now

    def monotonic(self):
        return self.elapsed

    def pass_time(self, seconds):
        self.now += seconds
        self.elapsed += seconds
