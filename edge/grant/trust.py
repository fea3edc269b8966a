"""Whose signatures count: the roles of a deployment, and how many of each a grant needs."""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Meta

from edge.errors import VidikError
from edge.grant import document
from edge.grant.document import Grant, GrantError
from edge.seal import key_id

_DAY = 86400


class TrustError(VidikError):
    """The trust file cannot be used, so no grant can be either."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signer: ``key`` is the base64 of a P-256 public key in DER."""

    name: str
    role: Annotated[str, Meta(pattern="^(authority|operator)$")]
    key: str


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a grant of one function needs: signatures by role, and how long it may run."""

    authority: Annotated[int, Meta(ge=1)] = 1
    operator: Annotated[int, Meta(ge=0)] = 0
    days: Annotated[int, Meta(ge=1)] = 365


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deployment's trust file. Open face scope does not exist unless ``open_faces`` turns it on."""

    signer: tuple[Person, ...]
    plates: Rule = Rule()
    faces: Rule = Rule(authority=1, operator=1, days=30)
    open_faces: bool = False

    def keys(self) -> dict[bytes, tuple[Person, ec.EllipticCurvePublicKey]]:
        """The signers by key id. Raises ``TrustError`` on a key that is not P-256."""
        return {key_id(key): (person, key) for person in self.signer for key in [_public_key(person)]}


def load(path: Path) -> Trust:
    """The trust file at ``path``. Raises ``TrustError``."""
    try:
        trust = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Trust)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TrustError(f"The trust file {path} is of no use: {error}. Provision the camera again.") from error
    trust.keys()
    return trust


def verify(signed: bytes, trust: Trust) -> Grant:
    """The grant in ``signed`` when enough of the right people signed it. Raises ``GrantError`` with the reason."""
    keys = trust.keys()
    signed_by: dict[bytes, Person] = {}
    content = b""
    for signature in document.signatures(signed):
        if signature.kid not in keys:
            continue  # more signers than this deployment knows are welcome, but do not count
        person, key = keys[signature.kid]
        try:
            content = document.check(signature, key)
        except Exception as error:  # the COSE library raises many types; each means the same here
            raise GrantError(f"The signature of {person.name} does not hold: it was changed or forged.") from error
        signed_by[signature.kid] = person
    if not signed_by:
        raise GrantError("No signer of the grant is in this deployment's trust file.")
    grant = document.decode(content)
    _enough(grant, trust, Counter(person.role for person in signed_by.values()))
    return grant


def _enough(grant: Grant, trust: Trust, roles: Counter[str]) -> None:
    rule = trust.plates if grant.function == "plates" else trust.faces
    for role, needed in (("authority", rule.authority), ("operator", rule.operator)):
        if roles[role] < needed:
            raise GrantError(f"Grant {grant.id} has {roles[role]} of {needed} signatures needed from the role {role}.")
    if grant.function == "faces" and grant.scope == "open" and not trust.open_faces:
        raise GrantError(f"Grant {grant.id} asks for faces of everybody, which this deployment's trust file rules out.")
    if grant.not_after - grant.not_before > rule.days * _DAY:
        raise GrantError(f"Grant {grant.id} runs longer than the {rule.days} days allowed for {grant.function}.")


def _public_key(person: Person) -> ec.EllipticCurvePublicKey:
    try:
        key = load_der_public_key(base64.b64decode(person.key, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise TrustError(f"The trust file's key of {person.name} cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(f"The trust file's key of {person.name} is not a P-256 key.")
    return key
