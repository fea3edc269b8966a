"""Whose signatures count: the roles of a deployment, how many of each a document needs, and how that may change.

The first trust file is a TOML file that provisioning puts on the camera. Every later one is a signed document that
enough signers of its predecessor and enough of its own have signed, with a version one higher, as TUF does for its
root of trust (The Update Framework, section 5.3). It expires, so nobody can hold a camera back at an old one for
ever.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import cbor2
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from msgspec import Meta

from edge import cbor, toml
from edge.errors import VidikError
from edge.grant import document, signed
from edge.grant.document import Grant, Line, Revocation, Time
from edge.grant.signed import GrantError, Kind
from edge.seal import key_id

_DAY = 86400
Needed = Annotated[int, Meta(ge=0, le=16)]


class TrustError(GrantError):
    """The trust file cannot be used, so no grant can be either."""


class Person(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signer: ``key`` is the base64 of a P-256 public key in DER."""

    name: Annotated[Line, Meta(min_length=1)]
    role: Literal["authority", "operator"]
    key: Annotated[str, Meta(max_length=400)]


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many signatures of each role a document needs."""

    authority: Annotated[int, Meta(ge=1, le=16)] = 1
    operator: Needed = 0


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a grant of one function needs, by scope, and how many days it may run."""

    days: Annotated[int, Meta(ge=1, le=3660)] = 365
    listed: Rule = Rule()
    open: Rule = Rule()


_BOTH = Rule(authority=1, operator=1)
_FACE_DAYS = 30


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deployment's trust file. ``expires``: seconds since the epoch; nothing is reported from then on.

    ``change`` is what the next version needs. Open face scope does not exist unless ``open_faces`` turns it on.
    ``lowest_threshold`` bounds the thresholds of listed faces: lower ones would make a list of one a list of many.
    """

    signer: Annotated[tuple[Person, ...], Meta(min_length=1, max_length=64)]
    expires: Time
    version: Annotated[int, Meta(ge=1, le=2**31)] = 1
    plates: Rules = Rules()
    faces: Rules = Rules(_FACE_DAYS, _BOTH, _BOTH)
    change: Rule = _BOTH
    open_faces: bool = False
    lowest_threshold: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.9

    def keys(self) -> dict[bytes, tuple[Person, ec.EllipticCurvePublicKey]]:
        """The signers by key id. Raises ``TrustError`` on a key that is not P-256."""
        return {key_id(key): (person, key) for person in self.signer for key in [_public_key(person)]}

    def rules(self, function: str) -> Rules:
        """The rules for ``function``: plates or faces."""
        return self.plates if function == "plates" else self.faces


def load(path: Path) -> Trust:
    """The trust file at ``path``, as provisioning writes it (TOML). Raises ``TrustError``."""
    try:
        fields = toml.read(path)
        if isinstance(expires := fields.get("expires"), dt.datetime) and expires.tzinfo is not None:
            fields["expires"] = int(expires.timestamp())
        return _sound(msgspec.convert(_completed(fields), Trust))
    except (toml.TomlError, msgspec.ValidationError, OverflowError, ValueError) as error:
        raise TrustError(f"The trust file {path} is of no use: {error}. Provision the camera again.") from error


def encode(trust: Trust) -> bytes:
    """The unsigned content of a later version."""
    return bytes(cbor2.dumps(msgspec.to_builtins(trust), canonical=True))


def decode(content: bytes) -> Trust:
    """The trust file in ``content``. Raises ``TrustError``."""
    try:
        return _sound(msgspec.convert(_completed(cbor.loads(content, items=1000)), Trust))
    except (VidikError, msgspec.ValidationError) as error:
        raise TrustError(f"The trust file breaks its schema: {error}. Ask the operator for a new one.") from error


def sign(trust: Trust, keys: Sequence[ec.EllipticCurvePrivateKey]) -> bytes:
    """``trust`` as a document signed by each of ``keys``."""
    document = signed.draft(encode(trust), Kind.TRUST)
    for key in keys:
        document = signed.add(document, Kind.TRUST, key)
    return document


def successor(untrusted: bytes, current: Trust) -> Trust:
    """The trust file in ``untrusted`` when it may take the place of ``current``. Raises ``GrantError``."""
    by_old = _signed_by(untrusted, Kind.TRUST, current)
    _enough("The trust file", current.change, by_old)
    following = decode(signed.content(untrusted, Kind.TRUST))  # the same bytes that were just checked
    _enough("The trust file", following.change, _signed_by(untrusted, Kind.TRUST, following))
    if following.version != current.version + 1:
        raise TrustError(
            f"The trust file has version {following.version}, but {current.version + 1} comes next. "
            "Install the versions one after the other."
        )
    return following


def reload(stored: bytes) -> Trust:
    """The trust file in ``stored``, which ``successor`` accepted before. Raises ``GrantError``."""
    trust = decode(signed.content(stored, Kind.TRUST))
    _enough("The stored trust file", trust.change, _signed_by(stored, Kind.TRUST, trust))
    return trust


def verify(untrusted: bytes, trust: Trust) -> Grant:
    """The grant in ``untrusted`` when enough of the right people signed it. Raises ``GrantError`` with the reason."""
    roles = _signed_by(untrusted, Kind.GRANT, trust)
    if not roles:
        raise GrantError("No signer of the grant is in this deployment's trust file.")
    grant = document.decode(signed.content(untrusted, Kind.GRANT))
    rules = trust.rules(grant.function)
    _enough(f"Grant {grant.id}", rules.open if grant.scope == "open" else rules.listed, roles)
    if grant.function == "faces" and grant.scope == "open" and not trust.open_faces:
        raise GrantError(f"Grant {grant.id} asks for faces of everybody, which this deployment's trust file rules out.")
    if grant.not_after - grant.not_before > rules.days * _DAY:
        raise GrantError(f"Grant {grant.id} runs longer than the {rules.days} days allowed for {grant.function}.")
    if any(face.threshold < trust.lowest_threshold for face in grant.faces):
        raise GrantError(f"Grant {grant.id} has a threshold below {trust.lowest_threshold}, the lowest allowed.")
    return grant


def verify_revocation(untrusted: bytes, trust: Trust) -> Revocation:
    """The revocation in ``untrusted``. One signature of either role is enough. Raises ``GrantError``."""
    if not _signed_by(untrusted, Kind.REVOCATION, trust):
        raise GrantError("No signer of the revocation is in this deployment's trust file.")
    return document.decode_revocation(signed.content(untrusted, Kind.REVOCATION))


def _signed_by(untrusted: bytes, kind: Kind, trust: Trust) -> Counter[str]:
    """How many of ``trust``'s signers of each role signed. Others are welcome, but do not count."""
    keys = trust.keys()
    roles: Counter[str] = Counter()
    for signature in signed.signatures(untrusted, kind):
        if signature.kid not in keys:
            continue
        person, key = keys[signature.kid]
        try:
            signed.check(signature, key)
        except Exception as error:  # the COSE library raises many types; each means the same here
            raise GrantError(f"The signature of {person.name} does not hold: it was changed or forged.") from error
        roles[person.role] += 1
    return roles


def _enough(what: str, rule: Rule, roles: Counter[str]) -> None:
    for role, needed in _parts(rule):
        if roles[role] < needed:
            raise GrantError(f"{what} has {roles[role]} of {needed} signatures needed from the role {role}.")


def _completed(fields: Any) -> Any:
    """``fields`` of a trust file, what it leaves out of the rules for faces filled in: those of plates ask for less."""
    faces = fields.get("faces") if isinstance(fields, dict) else None
    if not isinstance(faces, dict):
        return fields
    whole: dict[Any, Any] = {"days": _FACE_DAYS, "listed": {}, "open": {}} | faces
    for scope in ("listed", "open"):
        if isinstance(whole[scope], dict):
            whole[scope] = {"operator": _BOTH.operator} | whole[scope]
    return fields | {"faces": whole}


def _sound(trust: Trust) -> Trust:
    """``trust``, when it can be lived with. Raises ``TrustError``."""
    names = {person.name for person in trust.signer}
    if min(len(names), len(trust.keys())) < len(trust.signer):
        raise TrustError("The trust file names a signer or a key twice. Each person has one key.")
    if not all(rule.operator for rule in (trust.faces.listed, trust.faces.open)):
        raise TrustError("The trust file lets an authority alone allow faces. At least one operator must sign too.")
    there = Counter[str](person.role for person in trust.signer)
    rules = [trust.plates.listed, trust.plates.open, trust.faces.listed, trust.change]
    for rule in [*rules, trust.faces.open] if trust.open_faces else rules:
        for role, needed in _parts(rule):
            if there[role] < needed:
                raise TrustError(f"The trust file asks for {needed} of the role {role} and names {there[role]}.")
    return trust


def _parts(rule: Rule) -> Iterator[tuple[str, int]]:
    yield "authority", rule.authority
    yield "operator", rule.operator


def _public_key(person: Person) -> ec.EllipticCurvePublicKey:
    try:
        key: Any = load_der_public_key(base64.b64decode(person.key, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise TrustError(f"The trust file's key of {person.name} cannot be read: {error}.") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(f"The trust file's key of {person.name} is not a P-256 key.")
    return key
