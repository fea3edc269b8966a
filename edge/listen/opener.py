"""What to make of a message: who signed it, what it says, and whether it was here before. No network."""

from __future__ import annotations

import base64
import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519

from edge import gaps, seal, trial_form
from edge.errors import VidikError
from edge.gaps import Gap
from edge.listen.checkpoint import Checkpoint, Id
from edge.listen.trust import TrustError, check_signer
from edge.records import Report

CHANNELS = ("plate", "face", "status", gaps.CHANNEL, trial_form.CHANNEL)
_CAMERAS = 10_000  # whose signing keys are kept at hand
_KEYS = 4  # signing keys of one camera; one that renews has two for a while
_WAITING = 1_000  # reports whose signer is not known yet
_WAITING_SECONDS = 300.0  # how long such a report waits at most
_NO_SIGNER = "its signer never became known"


@dataclass(frozen=True, slots=True)
class Opened:
    """A genuine report that could be read. ``size``: bytes of the sealed report."""

    report: Report
    size: int


@dataclass(frozen=True, slots=True)
class Tried:
    """A genuine test report that could be opened, made at ``time`` (seconds since the epoch). Nothing is in it.

    ``confirmation`` is what tells the camera so; ``answered``: whether it was sent.
    """

    camera: str
    time: float
    confirmation: bytes
    size: int
    answered: bool = False


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


Finding = Opened | Sealed | Rejected | Status | Gap | Tried


class _Waiting(NamedTuple):
    """A report whose signer is not known yet. ``until``: when it is given up (monotonic seconds)."""

    camera: str
    channel: str
    payload: bytes
    number: int
    until: float


@dataclass
class Opener:
    """Turns messages into findings; no network. Memory is bounded, however much arrives.

    ``ca`` must have issued the signing certificates; ``keys`` are the recipient's private keys by key id;
    ``checkpoint`` remembers what was here before. ``settled`` collects the numbers of the messages that need
    nothing any more but that their findings are dealt with.
    """

    ca: x509.Certificate
    keys: Mapping[bytes, x25519.X25519PrivateKey]
    checkpoint: Checkpoint = field(default_factory=Checkpoint)
    clock: Callable[[], float] = time.monotonic
    duplicates: int = 0
    settled: list[int] = field(default_factory=list)
    _signers: OrderedDict[str, dict[bytes, seal.SignerKey]] = field(default_factory=OrderedDict)
    _waiting: deque[_Waiting] = field(default_factory=deque)

    def take(self, topic: str, payload: bytes, number: int = 0) -> list[Finding]:
        """What the message ``number`` says. A report whose signer is not known yet waits for the camera's status."""
        parts = topic.split("/")
        if len(parts) != 4 or parts[3] not in CHANNELS:
            self.settled.append(number)
            return []
        camera, channel = parts[2], parts[3]
        findings = self._make_of(camera, channel, payload)
        if findings is not None:
            self.settled.append(number)
            return findings
        self._waiting.append(_Waiting(camera, channel, payload, number, self.clock() + _WAITING_SECONDS))
        return self.give_up()

    def give_up(self) -> list[Finding]:
        """Rejects reports that have waited for their signer for too long, or are too many."""
        findings: list[Finding] = []
        while self._waiting and (len(self._waiting) > _WAITING or self._waiting[0].until < self.clock()):
            waited = self._waiting.popleft()
            self.settled.append(waited.number)
            findings.append(Rejected(waited.camera, waited.channel, _NO_SIGNER))
        return findings

    def _make_of(self, camera: str, channel: str, payload: bytes) -> list[Finding] | None:
        match channel:
            case "status":
                return self._status(camera, payload)
            case gaps.CHANNEL:
                return self._gap(camera, payload)
            case trial_form.CHANNEL:
                return self._trial(camera, payload)
            case _:
                return self._report(camera, channel, payload)

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
        self.checkpoint.learn(camera, der)
        return [Status(camera, content), *self._retry(camera)]

    def _gap(self, camera: str, payload: bytes) -> list[Finding]:
        try:
            gap = gaps.decode(payload, camera)
        except gaps.GapError as error:
            return [Rejected(camera, gaps.CHANNEL, str(error))]
        return [] if self._again(hashlib.sha256(payload).digest()) else [gap]

    def _retry(self, camera: str) -> list[Finding]:
        findings: list[Finding] = []
        for _ in range(len(self._waiting)):
            waiting = self._waiting.popleft()
            found = self._make_of(camera, waiting.channel, waiting.payload) if waiting.camera == camera else None
            if found is None:
                self._waiting.append(waiting)
            else:
                self.settled.append(waiting.number)
                findings += found
        return findings

    def _learn(self, camera: str, key: seal.SignerKey) -> None:
        keys = self._signers.setdefault(camera, {})
        keys[seal.key_id(key)] = key
        if len(keys) > _KEYS:
            del keys[next(iter(keys))]
        if len(self._signers) > _CAMERAS:
            self._signers.popitem(last=False)

    def _known_signers(self, camera: str) -> Mapping[bytes, seal.SignerKey]:
        """The keys of ``camera``, also those that the checkpoint remembers, if their certificates still hold."""
        if camera not in self._signers:
            for der in self.checkpoint.certificates(camera):
                with suppress(TrustError):
                    named, key = check_signer(der, self.ca)
                    if named == camera:
                        self._learn(camera, key)
        return self._signers.get(camera, {})

    def _report(self, camera: str, channel: str, payload: bytes) -> list[Finding] | None:
        """The finding in a report, nothing for a duplicate, or None when its signer is not known."""
        try:
            report = seal.open_sealed(payload, camera, self._known_signers(camera), self.keys)
        except seal.UnknownSigner:
            return None
        except seal.NotForUs:
            return [] if self._again(hashlib.sha256(payload).digest()) else [Sealed(camera, channel, len(payload))]
        except VidikError as error:
            return [Rejected(camera, channel, str(error))]
        again = self._again(Id(report.camera, report.boot, report.seq))
        return [] if again else [Opened(report, len(payload))]

    def _trial(self, camera: str, payload: bytes) -> list[Finding] | None:
        """The same for a test report."""
        known = hashlib.sha256(payload).digest()
        try:
            content, kid = seal.open_content(payload, self._known_signers(camera), self.keys)
            asked = trial_form.decode(content)
            seal.check_name(asked.camera, camera)
        except seal.UnknownSigner:
            return None
        except seal.NotForUs:
            return [] if self._again(known) else [Sealed(camera, trial_form.CHANNEL, len(payload))]
        except VidikError as error:
            return [Rejected(camera, trial_form.CHANNEL, str(error))]
        again = self._again(known)
        return [] if again else [Tried(camera, asked.time, trial_form.confirm(asked, kid), len(payload))]

    def _again(self, identity: Id | bytes) -> bool:
        """Whether ``identity`` was here before; remembers it."""
        known = not self.checkpoint.note(identity)
        self.duplicates += known
        return known
