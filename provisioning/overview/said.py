"""What cameras say of themselves, read without trust: whoever has a camera's certificate may write anything there.

No network, no clock. Memory is bounded, and what does not have the form of a statement is no statement.
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from cryptography import x509
from msgspec import Meta

from edge.card import Card
from edge.errors import VidikError
from edge.listen.trust import CAMERA_ID, check_signer
from provisioning import statements
from provisioning.access import ROOT

CHANNELS = ("status", "card", "health", "update")
LARGEST = 64 << 10  # bytes of a statement
MOST = 50_000  # cameras
_TOPIC = 4  # parts of a topic

Words = Annotated[str, Meta(max_length=500)]
Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Figure = Annotated[float, Meta(ge=-1e6, le=1e12)]


class Status(msgspec.Struct, frozen=True):
    """What the uplink states. ``dropped``: reports lost since the spool was made, by reason; ``spool``: that wait."""

    state: Literal["online", "offline"]
    since: Words = ""
    version: Words = ""
    signing_certificate: str = ""
    spool: Count = 0
    dropped: Annotated[dict[Words, Count], Meta(max_length=16)] = {}
    trouble: Words | None = None


class Health(msgspec.Struct, frozen=True):
    """What the vision process states. ``time``: seconds since the epoch."""

    time: Figure
    state: Literal["ok", "degraded", "failing"]
    causes: Annotated[tuple[Words, ...], Meta(max_length=64)] = ()
    fps: Figure | None = None
    temperature: Figure | None = None


class Update(msgspec.Struct, frozen=True):
    """How far a software update is."""

    state: Words
    version: Words = ""
    slot: Words = ""
    cause: Words = ""


@dataclass
class Said:
    """What one camera has said. ``wrong``: what of it cannot be believed, and why."""

    status: Status | None = None
    certificate_until: datetime | None = None
    card: Card | None = None
    health: Health | None = None
    update: Update | None = None
    wrong: dict[str, str] = field(default_factory=dict)


Statement = TypeVar("Statement", Status, Health, Update)


class Statements:
    """Takes messages from one thread and gives out what has changed to another. ``ca`` has issued the certificates."""

    def __init__(self, ca: x509.Certificate) -> None:
        self._ca = ca
        self._lock = threading.Lock()
        self._fresh: dict[tuple[str, str], bytes] = {}  # the latest of each channel, not read yet
        self._heard: set[str] = set()
        self.messages = 0

    def take(self, topic: str, payload: bytes) -> None:
        """Keeps a message until ``read``; anything but a statement of a camera is left out. Quick."""
        parts = topic.split("/")
        if len(parts) != _TOPIC or topic != f"{ROOT}/{parts[2]}/{parts[3]}" or parts[3] not in CHANNELS:
            return
        camera, channel = parts[2], parts[3]
        with self._lock:
            if camera not in self._heard and (len(self._heard) >= MOST or not CAMERA_ID.fullmatch(camera)):
                return
            self._heard.add(camera)
            self.messages += 1
            self._fresh[camera, channel] = payload if len(payload) <= LARGEST else b"too long"

    def read(self, known: dict[str, Said], now: datetime) -> set[str]:
        """Brings ``known`` up to date, and returns the cameras that have said something new."""
        with self._lock:
            fresh, self._fresh = self._fresh, {}
        for (camera, channel), payload in fresh.items():
            self._read(known.setdefault(camera, Said()), camera, channel, payload, now)
        return {camera for camera, _ in fresh}

    def _read(self, said: Said, camera: str, channel: str, payload: bytes, now: datetime) -> None:
        said.wrong.pop(channel, None)
        try:
            value = self._value(camera, channel, payload, now, said)
        except VidikError as error:
            value, said.wrong[channel] = None, str(error)
        setattr(said, channel, value)

    def _value(self, camera: str, channel: str, payload: bytes, now: datetime, said: Said) -> Any:
        if not payload:  # cleared
            return None
        match channel:
            case "status":
                status = _decoded(payload, Status)
                said.certificate_until = None
                said.certificate_until = self._certified(status.signing_certificate, camera, now)
                return status
            case "card":
                card = statements.check_card(payload, self._ca)
                if card.camera != camera:
                    raise VidikError(f"the card is that of {card.camera}")
                return card
            case "health":
                return _decoded(payload, Health)
            case _:
                return _decoded(payload, Update)

    def _certified(self, encoded: str, camera: str, now: datetime) -> datetime:
        """When the signing certificate in a status ends, if it is the camera's and of this deployment."""
        try:
            der = base64.b64decode(encoded, validate=True)
        except ValueError as error:
            raise VidikError("the status carries no certificate") from error
        named, _ = check_signer(der, self._ca, now)
        if named != camera:
            raise VidikError(f"the status carries the certificate of {named}")
        return x509.load_der_x509_certificate(der).not_valid_after_utc


def _decoded(payload: bytes, kind: type[Statement]) -> Statement:
    try:
        return msgspec.json.decode(payload, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise VidikError(f"not a statement of this form: {error}") from error
