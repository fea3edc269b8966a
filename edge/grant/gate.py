"""The gate: one pure function that says whether what the camera saw may be reported. No I/O, no clock."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

import msgspec
import numpy as np
from numpy.typing import NDArray

from edge.grant import rotation
from edge.grant.document import Grant
from edge.records import Trigger
from edge.vision.values import FaceTemplate, PlateText

Description = PlateText | FaceTemplate
_DAY = 86400
_NO_KEY = bytes(32)
_NOTHING: Mapping[str, Trigger] = MappingProxyType({})


class Reason(Enum):
    """Why something seen is not reported."""

    NO_GRANT = "no grant"
    NOT_YET = "grant not yet valid"
    EXPIRED = "grant expired"
    REVOKED = "grant revoked"
    SUPERSEDED = "grant superseded"
    WITHDRAWN = "grant withdrawn"
    TRUST = "trust file expired"
    WRONG_CAMERA = "grant for another camera"
    HOURS = "outside the grant's hours"
    NOT_TRIGGERED = "no trigger of the grant"
    NOT_LISTED = "not listed"
    UNSURE = "unsure"
    POOR = "poor picture"
    REPEAT = "reported just before"
    CLOCK = "clock not trustworthy"
    ACCOUNT = "no account can be kept"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to report ``seen``: under which grant, which of its triggers was tripped first, and for listed faces which
    entry matched how well (cosine). A face template is rotated for this grant already."""

    grant: Grant
    seen: Description
    entry: str = ""
    similarity: float = 0.0
    trigger: Trigger | None = None


@dataclass(frozen=True, slots=True)
class Discard:
    """Refusal, with the reason that is counted and logged."""

    reason: Reason


class Terms:
    """A grant made ready for many decisions, with everything secret where it can be wiped.

    ``grant`` is without list and key. ``faces`` holds the listed templates, rotated for this grant, as rows
    ``float32 (n, 128)``; ``rotation`` is ``float32 (128, 128)``. ``trust_expires``: when the trust file under
    which the grant was accepted ends, seconds since the epoch.
    """

    def __init__(self, grant: Grant, trust_expires: float = math.inf) -> None:
        self.grant = msgspec.structs.replace(grant, template_key=_NO_KEY, faces=(), plates=())
        self.trust_expires = trust_expires
        self.closed: Reason | None = None
        self.key = bytearray(grant.template_key)
        self.plates = set(grant.plates)
        self.entries = tuple(face.entry for face in grant.faces)
        self.thresholds = np.array([face.threshold for face in grant.faces], np.float32)
        self.rotation: NDArray[np.float32] = np.zeros((0, 0), np.float32)
        self.faces: NDArray[np.float32] = np.zeros((0, rotation.DIMENSIONS), np.float32)
        if grant.function == "faces":
            self.rotation = rotation.matrix(grant.template_key)
            self.faces = _unrotated(grant) @ self.rotation.T

    def wipe(self, reason: Reason) -> None:
        """Forgets list, key and matrix; every decision from now on is a refusal with ``reason``.

        Arrays are overwritten. The grant's bytes objects are let go of; the interpreter reuses their memory, but
        cannot be made to overwrite it.
        """
        self.closed = reason
        self.key[:] = bytes(len(self.key))
        for secret in (self.faces, self.rotation, self.thresholds):
            secret.fill(0)
        self.faces, self.rotation, self.thresholds = self.faces[:0], self.rotation[:0], self.thresholds[:0]
        self.plates.clear()
        self.entries = ()


def decide(
    seen: Description, terms: Terms, camera: str, now: float, tripped: Mapping[str, Trigger] = _NOTHING
) -> Permit | Discard:
    """Whether ``seen`` may be reported by ``camera`` at ``now`` (seconds since the epoch) under ``terms``.

    ``tripped`` are the rules that the object has tripped, by name, in the order in which it did.
    """
    grant = terms.grant
    if grant.function != ("plates" if isinstance(seen, PlateText) else "faces"):
        return Discard(Reason.NO_GRANT)
    reason = terms.closed or standing(grant, camera, now) or (Reason.TRUST if now >= terms.trust_expires else None)
    if reason is not None:
        return Discard(reason)
    if awaits_trigger(grant, tripped):
        return Discard(Reason.NOT_TRIGGERED)
    trigger = next((tripped[rule] for rule in tripped if rule in grant.triggers), None)
    if isinstance(seen, PlateText):
        listed = grant.scope == "open" or plate_digest(terms.key, seen.text) in terms.plates
        return Permit(grant, seen, trigger=trigger) if listed else Discard(Reason.NOT_LISTED)
    entry, similarity = ("", 0.0) if grant.scope == "open" else _match(seen, terms)
    if grant.scope != "open" and not entry:
        return Discard(Reason.NOT_LISTED)
    return Permit(grant, rotation.rotated(seen, terms.rotation), entry, similarity, trigger)


def awaits_trigger(grant: Grant, tripped: Mapping[str, Trigger]) -> bool:
    """Whether ``grant`` is only about objects that tripped certain rules, and none of them is among ``tripped``."""
    return bool(grant.triggers) and not any(rule in tripped for rule in grant.triggers)


def standing(grant: Grant, camera: str, now: float) -> Reason | None:
    """Why ``grant`` does not hold for ``camera`` at ``now``; None when it does."""
    if camera not in grant.cameras:
        return Reason.WRONG_CAMERA
    if not now >= grant.not_before:  # so that a time that is no number is refused
        return Reason.NOT_YET
    if now >= grant.not_after:
        return Reason.EXPIRED
    minute = now % _DAY / 60
    if grant.hours and not any(begin <= minute < end for begin, end in grant.hours):
        return Reason.HOURS
    return None


def plate_digest(template_key: bytes | bytearray, text: str) -> bytes:
    """The form in which a grant lists a plate: 16 bytes of HMAC-SHA256 under the grant's key."""
    return hmac.new(template_key, text.encode(), hashlib.sha256).digest()[:16]


def _unrotated(grant: Grant) -> NDArray[np.float32]:
    rows = [np.frombuffer(face.vector, np.int8).astype(np.float32) * np.float32(face.scale) for face in grant.faces]
    return np.stack(rows) if rows else np.zeros((0, rotation.DIMENSIONS), np.float32)


def _match(seen: FaceTemplate, terms: Terms) -> tuple[str, float]:
    """The entry that ``seen`` matches best, and how well; an empty name when it matches none."""
    if not terms.entries:
        return "", 0.0
    # compared before the report's quantisation, which would cost up to 2e-3 of similarity
    cosines = terms.faces @ (terms.rotation @ (seen.vector.astype(np.float32) * np.float32(seen.scale)))
    best = int(np.argmax(cosines - terms.thresholds))
    if not cosines[best] >= terms.thresholds[best]:
        return "", 0.0
    return terms.entries[best], min(1.0, float(cosines[best]))
