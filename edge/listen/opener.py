"""What to make of a message: who signed it, what it says, and whether it was here before. No network."""

from __future__ import annotations

import base64
import hashlib
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519

from edge import seal
from edge.errors import VidikError
from edge.listen.trust import TrustError, check_signer
from edge.records import Report

CHANNELS = ("plate", "face", "status")
_REMEMBERED = 100_000  # report ids, against duplicates
_CAMERAS = 10_000  # whose signing keys are remembered
_KEYS = 4  # signing keys of one camera; one that renews has two for a while
_WAITING = 1_000  # reports whose signer is not known yet


@dataclass(frozen=True, slots=True)
class Opened:
    """A genuine report that could be read. ``size``: bytes of the sealed report."""

    report: Report
    size: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A genuine report for somebody else: who sent it is certain, what it says is not ours to know."""

    camera: str
    channel: str
    size: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something that must not be believed, and why."""

    camera: str
    channel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """What a camera says about itself, or its Last Will. Signed by nobody: information, not evidence."""

    camera: str
    content: dict[str, object]


Finding = Opened | Sealed | Rejected | Status


@dataclass
class Opener:
    """Turns messages into findings; no network. Memory is bounded, however much arrives.

    ``ca`` must have issued the signing certificates; ``keys`` are the recipient's private keys by key id.
    """

    ca: x509.Certificate
    keys: Mapping[bytes, x25519.X25519PrivateKey]
    duplicates: int = 0
    _signers: OrderedDict[str, dict[bytes, seal.SignerKey]] = field(default_factory=OrderedDict)
    _seen: OrderedDict[object, None] = field(default_factory=OrderedDict)
    _waiting: deque[tuple[str, str, bytes]] = field(default_factory=deque)

    def take(self, topic: str, payload: bytes) -> list[Finding]:
        """What the message says. A report whose signer is not known yet waits for the camera's status."""
        parts = topic.split("/")
        if len(parts) != 4 or parts[3] not in CHANNELS:
            return []
        camera, channel = parts[2], parts[3]
        if channel == "status":
            return self._status(camera, payload)
        findings = self._report(camera, channel, payload)
        if findings is not None:
            return findings
        self._waiting.append((camera, channel, payload))
        if len(self._waiting) <= _WAITING:
            return []
        camera, channel, _ = self._waiting.popleft()
        return [Rejected(camera, channel, "its signer never became known")]

    @property
    def waiting(self) -> int:
        """How many reports wait for their signer's certificate."""
        return len(self._waiting)

    def _status(self, camera: str, payload: bytes) -> list[Finding]:
        try:
            content = msgspec.json.decode(payload, type=dict[str, object])
            der = base64.b64decode(str(content.pop("signing_certificate")), validate=True)
            named, key = check_signer(der, self.ca)
        except (msgspec.MsgspecError, KeyError, ValueError, RecursionError):
            return [Rejected(camera, "status", "not a status")]
        except TrustError as error:
            return [Rejected(camera, "status", str(error))]
        if named != camera:
            return [Rejected(camera, "status", f"it carries the signing certificate of {named}")]
        self._learn(camera, key)
        return [Status(camera, content), *self._retry(camera)]

    def _retry(self, camera: str) -> list[Finding]:
        findings: list[Finding] = []
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            found = self._report(*waiting) if waiting[0] == camera else None
            if found is None:
                self._waiting.append(waiting)
            else:
                findings += found
        return findings

    def _learn(self, camera: str, key: seal.SignerKey) -> None:
        keys = self._signers.setdefault(camera, {})
        keys[seal.key_id(key)] = key
        if len(keys) > _KEYS:
            del keys[next(iter(keys))]
        if len(self._signers) > _CAMERAS:
            self._signers.popitem(last=False)

    def _report(self, camera: str, channel: str, payload: bytes) -> list[Finding] | None:
        """The finding in a report, nothing for a duplicate, or None when its signer is not known."""
        try:
            report = seal.open_sealed(payload, camera, self._signers.get(camera, {}), self.keys)
        except seal.UnknownSigner:
            return None
        except seal.NotForUs:
            return [] if self._again(hashlib.sha256(payload).digest()) else [Sealed(camera, channel, len(payload))]
        except VidikError as error:
            return [Rejected(camera, channel, str(error))]
        return [] if self._again((report.camera, report.boot, report.seq)) else [Opened(report, len(payload))]

    def _again(self, identity: object) -> bool:
        """Whether ``identity`` was here before; remembers it."""
        known = identity in self._seen
        self.duplicates += known
        self._seen[identity] = None
        self._seen.move_to_end(identity)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return known
