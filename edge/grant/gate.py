"""The gate: one pure function that says whether what the camera saw may be reported. No I/O, no clock."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from edge.grant.document import Grant
from edge.vision.values import FaceTemplate, PlateText

Description = PlateText | FaceTemplate


class Reason(Enum):
    """Why something seen is not reported."""

    NO_GRANT = "no grant"
    NOT_YET = "grant not yet valid"
    EXPIRED = "grant expired"
    WRONG_CAMERA = "grant for another camera"
    NOT_LISTED = "not listed"
    UNSURE = "unsure"
    POOR = "poor picture"
    REPEAT = "reported just before"
    CLOCK = "clock not trustworthy"


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to report ``seen``: under which grant, and for listed faces which entry matched how well (cosine)."""

    grant: Grant
    seen: Description
    entry: str = ""
    similarity: float = 0.0


@dataclass(frozen=True, slots=True)
class Discard:
    """Refusal, with the reason that is counted and logged."""

    reason: Reason


class Terms:
    """A grant made ready for many decisions: its list as a matrix ``(n, 128)``."""

    def __init__(self, grant: Grant) -> None:
        self.grant = grant
        self.entries = tuple(face.entry for face in grant.faces)
        self.thresholds = np.array([face.threshold for face in grant.faces], np.float32)
        rows = [np.frombuffer(face.vector, np.int8).astype(np.float32) * face.scale for face in grant.faces]
        self.faces: NDArray[np.float32] = np.stack(rows) if rows else np.zeros((0, 128), np.float32)


def decide(seen: Description, terms: Terms, camera: str, now: float) -> Permit | Discard:
    """Whether ``seen`` may be reported by ``camera`` at ``now`` (seconds since the epoch) under ``terms``."""
    grant = terms.grant
    if grant.function != ("plates" if isinstance(seen, PlateText) else "faces"):
        return Discard(Reason.NO_GRANT)
    if (reason := standing(grant, camera, now)) is not None:
        return Discard(reason)
    if grant.scope == "open":
        return Permit(grant, seen)
    if isinstance(seen, PlateText):
        listed = plate_digest(grant.template_key, seen.text) in grant.plates
        return Permit(grant, seen) if listed else Discard(Reason.NOT_LISTED)
    return _match(seen, terms)


def standing(grant: Grant, camera: str, now: float) -> Reason | None:
    """Why ``grant`` does not hold for ``camera`` at ``now``; None when it does."""
    if camera not in grant.cameras:
        return Reason.WRONG_CAMERA
    if now < grant.not_before:
        return Reason.NOT_YET
    if now >= grant.not_after:
        return Reason.EXPIRED
    return None


def plate_digest(template_key: bytes, text: str) -> bytes:
    """The form in which a grant lists a plate: 16 bytes of HMAC-SHA256 under the grant's key."""
    return hmac.new(template_key, text.encode(), hashlib.sha256).digest()[:16]


def _match(seen: FaceTemplate, terms: Terms) -> Permit | Discard:
    if not terms.entries:
        return Discard(Reason.NOT_LISTED)
    cosines = terms.faces @ (seen.vector.astype(np.float32) * seen.scale)
    best = int(np.argmax(cosines - terms.thresholds))
    if cosines[best] < terms.thresholds[best]:
        return Discard(Reason.NOT_LISTED)
    return Permit(terms.grant, seen, terms.entries[best], min(1.0, float(cosines[best])))
