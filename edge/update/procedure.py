"""An update from its offer to the new start, step by step. Whatever is interrupted goes on, or is taken back.

At every moment the camera starts one of its two slots, and it knows which bundle it was about to install: the intention
is on the medium before RAUC is asked, and what came of it before the bundle is removed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge.enrol.errors import EnrolError, TryLater
from edge.errors import VidikError
from edge.update import bundle, fetch, health, policy, signer
from edge.update import version as versions
from edge.update.bundle import BundleError
from edge.update.office import Source
from edge.update.policy import Refuse, Wait
from edge.update.slots import RaucError
from edge.update.state import Failure, Pending, State
from edge.update.unit import End, Unit

_log = logging.getLogger("vidik.update")


def pull(unit: Unit, connect: Callable[[], Source]) -> End:
    """Asks the office, and installs what it offers. Raises ``VidikError``; ``TryLater`` when that helps."""
    with unit.alone():
        state, due = health.settle(unit)
        if due is not None:
            return due
        office = connect()
        try:
            state = _report(unit, state, office)
            offer = office.offer(unit.image)
            if offer is None:
                fetch.tidy(unit.store.folder)
                unit.say(state.said)
                return End.DONE
            wanted = _Wanted(offer.digest, offer.offer, offer.version)
            match policy.decide(offer, unit.image, state, unit.now()):
                case Wait(reason):
                    _log.info("waits offer=%d version=%s %s", offer.offer, offer.version, reason)
                    fetch.tidy(unit.store.folder)
                    unit.say(state.said)
                    return End.DONE
                case Refuse(cause):
                    return _refuse(unit, state, wanted, cause)
            unit.say(unit.said("downloading", f"{offer.version} from the office"))
            try:
                path = fetch.download(office, offer, unit.store.folder)
            except BundleError as error:
                return _refuse(unit, state, wanted, str(error))
            except TryLater:
                raise
            except EnrolError as error:  # the rollout was stopped meanwhile: the next request tells
                raise TryLater(f"The offer of {offer.version} may have ended. {error}") from error
        finally:
            office.close()
        end = _install(unit, state, path, wanted)
    _tell(unit, connect)
    return end


def stick(unit: Unit, place: Path, again: bool = False) -> End:
    """Installs the bundle ``place``, or the newest for this board in the folder ``place``.

    A bundle that failed here before is tried once more only with ``again``: a stick that was left in the unit must not
    install it after every fall-back. Raises ``VidikError``.
    """
    with unit.alone():
        state, due = health.settle(unit)
        if due is not None:
            return due
        path = fetch.copy(_chosen(place, unit), unit.store.folder)
        wanted = _Wanted(path.stem, None)
        if Failure(wanted.digest, None) in state.failed and not again:
            _log.info("waits: this bundle failed here before; --again tries it once more")
            unit.say(state.said)
            fetch.tidy(unit.store.folder)
            return End.DONE
        return _install(unit, state, path, wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be installed. ``offer``: the office's number for it; ``version``: as far as it is known."""

    digest: str
    offer: int | None
    version: str = "?"


def _install(unit: Unit, state: State, path: Path, wanted: _Wanted) -> End:
    try:
        found = bundle.read(path)
        signer.check(found.signer, unit.installer.keyring(), unit.image.channel)
        unit.installer.verify(path)
        wanted = replace(wanted, version=found.version)  # from here on it is what the signer said
        match policy.examine(found.board, found.version, unit.image, state):
            case Refuse(cause):
                return _refuse(unit, state, wanted, cause)
            case Wait(reason):
                _log.info("waits version=%s %s", found.version, reason)
                unit.say(state.said)
                fetch.tidy(unit.store.folder)
                return End.DONE
        bundle.check_content(found)
    except BundleError as error:
        return _refuse(unit, state, wanted, str(error))
    except OSError as error:
        raise VidikError(f"The bundle {path} cannot be read: {error}. Check the data partition.") from error
    version = found.version
    unit.note("installing", version, "from a stick" if wanted.offer is None else "from the office")
    pending = Pending(
        digest=wanted.digest, version=version, offer=wanted.offer, stage="installing",
        home=unit.installer.slots().booted, boot=unit.boot,
    )  # fmt: skip
    tries = state.tries.get(wanted.digest, 0) + 1
    state = state.but(pending=pending, tries={wanted.digest: tries})
    state = unit.keep(state, unit.said("installing", version))
    try:
        unit.installer.install(path)
    except RaucError as error:
        health.give_up(unit, state, f"{version} could not be installed: {error}", enough=tries >= policy.TRIES)
        return End.FAILED
    unit.record("installed", version, "waits for the new start")
    state = state.but(pending=pending.but(stage="installed")).telling(wanted.offer, "installed", version)
    unit.keep(state, unit.said("installed", f"{version} waits for the new start"))
    fetch.tidy(unit.store.folder)
    return End.REBOOT


def _refuse(unit: Unit, state: State, wanted: _Wanted, cause: str) -> End:
    unit.record("refused", wanted.version, cause)
    state = state.failing(wanted.digest, wanted.offer).telling(wanted.offer, "refused", wanted.version, cause)
    unit.keep(state, unit.said("refused", f"{wanted.version}: {cause}"))
    fetch.tidy(unit.store.folder)
    return End.REFUSED


def _report(unit: Unit, state: State, office: Source) -> State:
    """Tells the office what it does not know yet."""
    for outcome in state.outcomes:
        try:
            office.report(outcome)
        except TryLater:
            raise
        except EnrolError as error:  # asking again would not help, and must not be in the way of the next update
            _log.error("outcome-not-taken offer=%d %s", outcome.offer, error)
        state = state.but(outcomes=state.outcomes[1:])
        unit.store.save(state)
    return state


def _tell(unit: Unit, connect: Callable[[], Source]) -> None:
    """The same once more, if it can be done now: the office should hear before the new start that it is due."""
    try:
        office = connect()
        try:
            with unit.alone():
                _report(unit, unit.store.load(), office)
        finally:
            office.close()
    except VidikError as error:
        _log.info("the office is told later: %s", error)


def _chosen(place: Path, unit: Unit) -> Path:
    """The bundle to take from a stick. What cannot be read as one is the last choice, so that its cause gets stated."""
    if place.is_file():
        return place
    found = sorted(path for path in place.glob(f"*{fetch.SUFFIX}") if path.is_file())
    if not found:
        raise VidikError(f"There is no bundle (*{fetch.SUFFIX}) in {place}. Put one on the stick, not in a folder.")
    return max(found, key=lambda path: _worth(path, unit))


def _worth(path: Path, unit: Unit) -> tuple[bool, tuple[int, ...]]:
    try:
        stated = bundle.read(path)
        return stated.board == unit.image.board, versions.parse(stated.version).numbers
    except (VidikError, OSError):
        return False, ()
