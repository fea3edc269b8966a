"""The grants a camera holds, from their arrival to their end.

A document arrives in one of two folders. What people put into ``folder`` by hand stays there for as long as it
counts; removing the file withdraws the grant. What the uplink writes into ``incoming`` is verified like anything
from a stranger, and a grant that is accepted moves to ``folder``. The file is on the medium before the ledger
names it, and the ledger before anything is reported, so a power cut at any moment neither loses an accepted grant
nor brings back an older one.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge import durable
from edge.errors import VidikError
from edge.grant import intake, signed, trust
from edge.grant.document import Grant, GrantError
from edge.grant.gate import Reason, Terms, standing
from edge.grant.ledger import Ledger, NotKeptError, Over
from edge.grant.signed import Kind
from edge.grant.trust import Trust, TrustError
from edge.journal import Journal, NoJournal

LEDGER, TRUST = "grants.json", "trust.cose"
_EVENTS = {Reason.EXPIRED: "grant-expired", Reason.SUPERSEDED: "grant-superseded"}
_MOST_SAID = 1000
_RETRY = 1.0  # seconds until what could not be written down is tried again

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Held:
    terms: Terms
    path: Path
    digest: str
    began: bool = False


class GrantStore:
    """Verified grants of one camera. Every refusal is logged with its reason, once, and goes to ``journal``.

    ``trust`` is the trust file as provisioned; later versions arrive like grants. ``state`` holds what must
    survive a restart (by default: ``folder``). Whoever is in the list ``closed`` is told of every grant that
    ends, so that what was gathered under it can be wiped. Raises ``VidikError`` when its record cannot be kept.
    """

    def __init__(
        self,
        folder: Path,
        trust: Trust,
        camera: str,
        *,
        state: Path | None = None,
        incoming: Path | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._folder, self._camera, self._incoming = folder, camera, incoming
        self._state = state or folder
        self._journal = journal or NoJournal()
        self.closed: list[Callable[[Grant], None]] = []
        self._ledger = Ledger(self._state / LEDGER)
        self.trust = self._newest(trust)
        self._seen: list[intake.Listed] | None = None
        self._held: dict[str, _Held] = {}
        self._said: set[tuple[str, str]] = set()
        self._failed_at: float | None = None  # when something could not be written down

    @property
    def kept(self) -> bool:
        """Whether all that was taken back or is over is on record. If not, nothing may be reported."""
        return self._ledger.kept

    def terms(self, now: float) -> list[Terms]:
        """Every grant that is held, whether or not it holds at ``now`` (seconds since the epoch); what does not
        is logged. Call at every frame and before every decision: what is over at ``now`` is wiped first.
        """
        if self._failed_at is not None and 0 <= now - self._failed_at < _RETRY:
            return self._reviewed(now)
        self._failed_at = None
        if not self._ledger.kept:
            self._ledger.settle()
        if self._incoming is not None and (path := intake.first(self._incoming)) is not None:
            self._take(path, now)  # one at a time: a flood must not keep the camera from its work
        found = intake.listing(self._folder)
        if found != self._seen:
            self._read(found, now)
            self._seen = intake.listing(self._folder) if self._failed_at is None else None
            if not self._held:
                self._say("*", "no valid grant: nothing will be reported")
        return self._reviewed(now)

    def _reviewed(self, now: float) -> list[Terms]:
        for held in list(self._held.values()):
            self._review(held, now)
        return [held.terms for held in self._held.values()]

    def _take(self, path: Path, now: float) -> None:
        """Works off one file of the uplink's and removes it, unless what it says cannot be written down yet."""
        try:
            content = intake.read(path)
            if path.suffix == ".grant":
                self._admit(path, content, now, self._folder)
            else:
                self._obey(path, content)
        except GrantError as error:
            self._refuse(path, error)
        except NotKeptError as error:
            self._fail(path, error, now)
            return
        if not self._ledger.kept:
            self._failed_at = now
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            self._say(path.name, f"{_name(path)} cannot be removed: {error.strerror}")

    def _read(self, found: list[intake.Listed], now: float) -> None:
        """Looks at everything in the folder anew. ``found`` is in the order in which it has to be worked off."""
        paths = [self._folder / file.name for file in found]
        for held in list(self._held.values()):
            if held.path not in paths:
                self._close(held, Reason.WITHDRAWN)
        for path in paths:
            try:
                content = intake.read(path)
                if path.suffix == ".grant":
                    self._admit(path, content, now, None)
                else:
                    self._obey(path, content)
            except GrantError as error:
                self._refuse(path, error)
            except NotKeptError as error:
                self._fail(path, error, now)
        if not self._ledger.kept:
            self._failed_at = now

    def _fail(self, path: Path, error: NotKeptError, now: float) -> None:
        self._failed_at = now
        self._say(path.name, f"{_name(path)} waits: {error}")

    def _obey(self, path: Path, content: bytes) -> None:
        """Follows a change of trust or a revocation. Raises ``GrantError`` when it does not count."""
        if path.suffix == ".revocation":
            revocation = trust.verify_revocation(content, self.trust)
            if not self._ledger.revoke(revocation):
                return
            held = self._held.get(revocation.grant)
            if held is not None and held.terms.grant.serial <= revocation.serial:
                self._close(held, Reason.REVOKED, revocation.reason)
            else:
                self._journal.append("grant-revoked", grant=revocation.grant, serial=revocation.serial)
            return
        if trust.decode(signed.content(content, Kind.TRUST)).version == self.trust.version:
            return  # the one in use, still lying there
        following = trust.successor(content, self.trust)
        self._must_be_kept()
        self._store(self._state / TRUST, content)
        self.trust = following
        self._seen = None  # whatever was accepted under the old trust must hold under the new one too
        self._announce_trust(content)

    def _admit(self, path: Path, content: bytes, now: float, into: Path | None) -> None:
        """Accepts the grant in ``content``, which came as ``path``; moves it to the folder ``into``, if there is one.

        Raises ``GrantError`` when it does not count.
        """
        before = next((held for held in self._held.values() if held.path == path), None)
        try:
            grant, digest = self._verified(content, now)
            known = self._ledger.holds(grant, digest)
        except GrantError as error:
            if before is not None:  # its signer is no longer trusted, or the file was replaced
                self._close(before, Reason.WITHDRAWN)
            if isinstance(error, Over):
                self._erase(path)
            raise
        if before is not None and before.terms.grant.id != grant.id:
            self._close(before, Reason.WITHDRAWN)
        held = self._held.get(grant.id)
        if held is not None and held.digest == digest:
            held.terms.trust_expires = self.trust.expires
            return
        if into is not None:
            self._must_be_kept()
            path = into / f"{grant.id}.{grant.serial}.grant"
            self._store(path, content)
        if not known:
            self._accept(grant, digest)
        if held is not None:
            self._close(held, Reason.SUPERSEDED, erase=held.path != path)
        self._held[grant.id] = _Held(Terms(grant, self.trust.expires), path, digest)
        log.warning("grant %s serial %d accepted from %s", grant.id, grant.serial, _name(path))

    def _accept(self, grant: Grant, digest: str) -> None:
        """Puts the acceptance on record: rather in the journal twice than in force without being there. Raises
        ``NotKeptError``."""
        self._must_be_kept()
        self._journal.append("grant-accepted", until=grant.not_after, scope=grant.scope, **_facts(grant, digest))
        self._must_be_kept()
        self._ledger.accept(grant, digest)

    def _must_be_kept(self) -> None:
        if not self._journal.whole:
            raise NotKeptError("the audit log cannot be kept at the moment. Check the data partition.")

    def _verified(self, content: bytes, now: float) -> tuple[Grant, str]:
        if now >= self.trust.expires:
            raise TrustError("The trust file has expired. Install the next version.")
        grant = trust.verify(content, self.trust)
        digest = hashlib.sha256(signed.content(content, Kind.GRANT)).hexdigest()
        if self._camera not in grant.cameras:
            raise GrantError(f"Grant {grant.id} is for another camera, not for {self._camera}.")
        if now >= grant.not_after and not self._ledger.holds(grant, digest):
            raise GrantError(f"Grant {grant.id} has expired. Ask its authority for a new one.")
        return grant, digest

    def _review(self, held: _Held, now: float) -> None:
        """Ends what is over at ``now``; says what changed."""
        grant = held.terms.grant
        reason = Reason.TRUST if now >= self.trust.expires else standing(grant, self._camera, now)
        if reason in (Reason.EXPIRED, Reason.TRUST):
            self._close(held, reason)
        elif reason is None and not held.began:
            held.began = True
            self._journal.append("grant-began", **_facts(grant, held.digest))
        self._say(grant.id, f"grant {grant.id} ({grant.function}): {reason.value if reason else 'in force'}")

    def _close(self, held: _Held, reason: Reason, why: str = "", erase: bool = True) -> None:
        """Wipes a grant: from the medium, if it is over for good, and from memory."""
        grant, count = held.terms.grant, len(held.terms.entries) + len(held.terms.plates)
        del self._held[grant.id]
        held.terms.wipe(reason)
        for tell in self.closed:
            tell(grant)
        facts = _facts(grant, held.digest)
        event = _EVENTS.get(reason, "grant-revoked")
        self._journal.append(event, **facts, **({"reason": why or reason.value} if event == "grant-revoked" else {}))
        if reason is Reason.EXPIRED:
            self._ledger.spend(grant)
        if erase and reason not in (Reason.TRUST, Reason.WITHDRAWN):
            self._erase(held.path)
        self._journal.append("wiped", count=count, **facts)
        log.warning("grant %s serial %d: %s; list and keys wiped", grant.id, grant.serial, reason.value)

    def _erase(self, path: Path) -> None:
        try:
            durable.erase(path)
        except OSError as error:  # the ledger keeps it from coming back
            log.error("grant file %s cannot be erased: %s", _name(path), error.strerror)

    def _store(self, path: Path, content: bytes) -> None:
        try:
            durable.write(path, content)
        except OSError as error:
            raise NotKeptError(f"{path.name} cannot be stored: {error.strerror}. Check the data partition.") from error

    def _newest(self, provisioned: Trust) -> Trust:
        """The newer one of the trust file as provisioned and the last one accepted since."""
        path = self._state / TRUST
        try:
            content = path.read_bytes() if path.exists() else None
        except OSError as error:
            raise TrustError(f"The trust file {path} cannot be read: {error}. Provision the camera again.") from error
        stored = trust.reload(content) if content is not None else provisioned
        self.trust = max(stored, provisioned, key=lambda each: each.version)
        self._announce_trust(content or trust.encode(provisioned))
        return self.trust

    def _announce_trust(self, content: bytes) -> None:
        self._journal.append("trust", version=self.trust.version, digest=hashlib.sha256(content).hexdigest())
        log.warning("trust file version %d in use", self.trust.version)

    def _refuse(self, path: Path, error: VidikError) -> None:
        event = "trust-refused" if path.suffix == ".trust" else "grant-refused"
        reason = "".join(c if c.isprintable() else "?" for c in str(error))  # it may quote what a stranger wrote
        if self._say(path.name, f"{_name(path)} refused: {reason}"):
            self._journal.append(event, reason=reason)

    def _say(self, key: str, text: str) -> bool:
        """Logs ``text`` unless it was logged about ``key`` before; says whether it did."""
        if (key, text) in self._said:
            return False
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said.add((key, text))
        log.warning(text)
        return True


def _facts(grant: Grant, digest: str) -> dict[str, str | int]:
    return {"grant": grant.id, "serial": grant.serial, "function": grant.function, "digest": digest}


def _name(path: Path) -> str:
    """The name of a file as it may stand in the log, whoever chose it."""
    return ascii(path.name)[1:-1]
