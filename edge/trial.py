"""Whether somebody can receive and open what this camera sends: a test report by the way that reports go, before the
camera is sealed.

For each recipient of the deployment one test report is signed, sealed and handed to the uplink; whoever holds the key
opens it and answers (``edge.trial_form``). Nothing of plates or faces is in it, so it needs no grant::

    with Trial(Path("/data/camera")) as trial:
        trial.send()
        ...
        print(trial.state().says)
"""

from __future__ import annotations

import base64
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from msgspec import Meta

from edge import config, seal, trial_form
from edge.enrol.identity import CONFIG, CURRENT, DEPLOYMENT, IDENTITY
from edge.errors import VidikError
from edge.handover import TRIALS, Item, Key, Kind, Sender
from edge.trial_form import Asked, TrialError

RETENTION = 120  # seconds for which a test report is on its way at most
INBOX_SECONDS = 5.0  # for the uplink to take it
ANSWER_SECONDS = 30.0  # for a subscriber to answer it
_LARGEST = 256  # bytes of a confirmation
_MOST_READ = 64  # files that are looked at
_SEQ_BITS = 62


class _Deployment(msgspec.Struct):
    """Of what the office handed over at enrolment: recipients' raw public keys in base64, by name."""

    recipients: Annotated[dict[Annotated[str, Meta(max_length=64)], str], Meta(max_length=64)] = {}


@dataclass(frozen=True, slots=True)
class TrialState:
    """``state``: ``idle`` (nothing sent yet), ``waiting``, ``confirmed`` (by at least one recipient) or ``failed``.

    ``confirmed`` and ``missing`` name recipients. ``says``: for people, the cause and the next step if it failed.
    """

    state: Literal["idle", "waiting", "confirmed", "failed"]
    says: str
    confirmed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(slots=True)
class _Pending:
    name: str
    kid: bytes
    asked: Asked
    confirmed: bool = False


class Trial:
    """Test reports of the camera in ``folder``. ``clock``: monotonic seconds. Use from one thread."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._clock = folder, clock
        self._sender: Sender | None = None
        self._pending: list[_Pending] = []
        self._answers = folder
        self._sent = 0.0
        self._failure = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self) -> None:
        """Sends a fresh test report to every recipient, in place of earlier ones. ``state`` tells what comes of it."""
        self.close()
        self._pending, self._failure = [], ""
        try:
            self._send()
        except VidikError as error:
            self._failure = str(error)

    def state(self) -> TrialState:
        """What is known now. Call as often as you like; a confirmation that comes late still counts."""
        if self._failure:
            return TrialState("failed", self._failure)
        if not self._pending:
            return TrialState("idle", "No test report was sent yet.")
        self._look()
        confirmed = tuple(each.name for each in self._pending if each.confirmed)
        missing = tuple(each.name for each in self._pending if not each.confirmed)
        if confirmed:
            rest = f" Not yet by: {', '.join(missing)}." if missing else ""
            return TrialState("confirmed", f"Opened and confirmed by {', '.join(confirmed)}.{rest}", confirmed, missing)
        return self._without_answer(missing)

    def close(self) -> None:
        """Takes back what the uplink has not taken yet."""
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()

    def _send(self) -> None:
        settings = config.load(self._folder / CONFIG, config.Vision)
        if settings.incoming is None:
            raise TrialError('Confirmations have no way in: set incoming = "run/incoming" in [vision] and [uplink].')
        recipients = recipients_of(self._folder)
        sealer = seal.Sealer(_signing_key(settings.signing_key))
        self._answers = settings.incoming.with_name(config.CONFIRMATIONS)
        self._sender = Sender(settings.inbox)
        for name, key in recipients.items():
            asked = trial_form.new(settings.camera, time.time())
            sealed = sealer.seal_content(trial_form.encode(asked), key)
            # a number that no other test report has: the uplink takes two with the same one for the same
            item = Item(Kind.TRIAL, Key(TRIALS, secrets.randbits(_SEQ_BITS)), RETENTION, sealed)
            self._pending.append(_Pending(name, seal.key_id(key), asked))
            self._sender.offer(item)
        self._sent = self._clock()

    def _look(self) -> None:
        for untrusted in _files(self._answers):
            for each in self._pending:
                each.confirmed |= trial_form.confirms(untrusted, each.asked, each.kid)

    def _without_answer(self, missing: tuple[str, ...]) -> TrialState:
        waited = self._clock() - self._sent
        if self._sender is not None and self._sender.unacknowledged:
            if waited < INBOX_SECONDS:
                return TrialState("waiting", "Handing the test report to the uplink.", (), missing)
            said = "The uplink does not take the test report. Is the uplink process running? Its log says why not."
            return TrialState("failed", said, (), missing)
        if waited < ANSWER_SECONDS:
            return TrialState("waiting", f"The uplink has it. Waiting for {', '.join(missing)}.", (), missing)
        said = (
            f"The uplink took the test report, and for {waited:.0f} s nobody has confirmed it. Is the broker reached, "
            f"and does somebody listen with the key of {' or '.join(missing)} (vidik listen --recipient-key)? A late "
            "confirmation still counts."
        )
        return TrialState("failed", said, (), missing)


def recipients_of(folder: Path) -> Mapping[str, seal.RecipientKey]:
    """The deployment's recipients by name, as the office named them to the camera in ``folder`` at its enrolment.

    Raises ``TrialError``, also when there are none.
    """
    path = folder / IDENTITY / CURRENT / DEPLOYMENT
    try:
        named = msgspec.json.decode(path.read_bytes(), type=_Deployment).recipients
        found = {name: seal.public_key(base64.b64decode(key, validate=True)) for name, key in named.items()}
    except OSError as error:
        raise TrialError(f"The camera is in no deployment yet ({error.strerror}: {path}). Enrol it first.") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise TrialError(f"The recipients in {path} cannot be read: {error}. Enrol with a new claim.") from error
    if not found:
        raise TrialError(
            "The deployment has named nobody who may open reports. At the office: vidik provision recipient KEY.pub; "
            "then let the camera ask again (edge.enrol refresh)."
        )
    return found


def _signing_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrialError(f"The signing key {path} cannot be read: {error}. Enrol the camera first.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TrialError(f"The signing key {path} is not a P-256 key. Enrol the camera with a new claim.")
    return key


def _files(folder: Path) -> Iterator[bytes]:
    """What lies in ``folder``, which the uplink fills: plain files of sensible size only."""
    try:
        files = list(islice(folder.iterdir(), _MOST_READ))
    except OSError:
        return  # the uplink makes it with the first confirmation
    for path in files:
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    yield file.read(_LARGEST)
        except OSError:
            continue  # gone meanwhile, or no file
