"""What to make of what a camera says, and of what the inventory knows: one line for each camera. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from edge.card import Card, moment
from edge.errors import VidikError
from edge.grant.words import plain
from provisioning.office.table import Row as Entry
from provisioning.overview.said import Said, Status


class State(StrEnum):
    """How a camera is, the worst first."""

    FAILING = "failing"
    OFFLINE = "offline"
    UNHEARD = "unheard"  # enrolled, and nothing of it at the broker
    DEGRADED = "degraded"
    WELL = "well"
    NEW = "new"  # not enrolled yet
    REVOKED = "revoked"


class Order(StrEnum):
    """What lines can be sorted by."""

    STATE = "state"
    NAME = "name"
    CERTIFICATE = "certificate"
    FPS = "fps"


STATES = list(State)
ALARMS = frozenset({State.FAILING, State.OFFLINE, State.UNHEARD})
_OLD_HEALTH = 300.0  # seconds: it is written anew every 30
_OLD_CARD = timedelta(hours=48)  # a camera makes a new one every day
_LATE = 21  # days left of a certificate at which its renewal is overdue: a third of its life is for that
_WORDS = 120  # characters of any text that is shown
_MOST_CAUSES = 6
_BAD_UPDATES = ("failed", "refused", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """A grant in force, as the camera's card says. ``until``: UTC."""

    function: str
    id: str
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One camera. All texts are safe to show.

    ``online`` is None when it was never heard of. ``lost``: reports that the camera gave up, since its spool was made;
    ``waiting``: that are not delivered yet. ``certificate_days`` is negative when one is over.
    """

    camera: str
    state: State
    label: str = ""
    place: str = ""
    online: bool | None = None
    since: str = ""
    version: str = ""
    fps: float | None = None
    permits: tuple[Permit, ...] = ()
    certificate_days: int | None = None
    update: str = ""
    waiting: int = 0
    lost: int = 0
    causes: tuple[str, ...] = ()


def line(camera: str, said: Said | None, entry: Entry | None, now: datetime, *, listed: bool) -> Line | None:
    """The line of ``camera``, None when it is out of service. ``entry``: what the inventory has of it; ``listed``:
    whether there is an inventory at all."""
    recorded = entry.camera.state if entry is not None else ""
    heard = said if said is not None else Said()
    if recorded == "retired":
        return None
    alarms, worries = _alarms(heard, recorded), _worries(heard, now)
    if listed and entry is None:
        worries.append("not in the inventory")
    days = _certificate_days(heard, entry, now)
    if days is not None and days <= _LATE:
        (alarms if days < 0 else worries).append(f"a certificate ends in {days} days: its renewal is overdue")
    status = heard.status
    return Line(
        camera=camera,
        state=_state(heard, recorded, alarms, worries),
        label=_safe(entry.camera.label) if entry is not None else "",
        place=_safe(entry.camera.place) if entry is not None else "",
        online=None if status is None else status.state == "online",
        since=_safe(status.since) if status is not None else "",
        version=_version(status, heard.card),
        fps=heard.health.fps if heard.health is not None and status is not None and status.state == "online" else None,
        permits=_permits(heard.card, now),
        certificate_days=days,
        update=_update(heard),
        waiting=status.spool if status is not None else 0,
        lost=sum(status.dropped.values()) if status is not None else 0,
        causes=tuple(_safe(cause) for cause in [*alarms, *worries][:_MOST_CAUSES]),
    )


def lines(said: Mapping[str, Said], entries: Mapping[str, Entry] | None, now: datetime) -> list[Line]:
    """The lines of all cameras that were heard of or are in the inventory, the worst first."""
    known = entries or {}
    found = (
        line(camera, said.get(camera), known.get(camera), now, listed=entries is not None)
        for camera in sorted(said.keys() | known.keys())
    )
    return ordered([each for each in found if each is not None], Order.STATE)


def ordered(given: Iterable[Line], by: Order) -> list[Line]:
    """``given`` in another order; what is unknown comes last."""
    keys: dict[Order, Callable[[Line], Any]] = {
        Order.STATE: lambda each: (STATES.index(each.state), each.camera),
        Order.NAME: lambda each: (each.camera,),
        Order.CERTIFICATE: lambda each: (each.certificate_days is None, each.certificate_days or 0, each.camera),
        Order.FPS: lambda each: (each.fps is None, each.fps or 0.0, each.camera),
    }
    return sorted(given, key=keys[by])


def chosen(given: Iterable[Line], only: Sequence[State], match: str) -> list[Line]:
    """Those in one of the states ``only``, if any are named, whose id, label or place contains ``match``."""
    wanted = match.casefold()
    return [
        each for each in given
        if (not only or each.state in only) and wanted in f"{each.camera}\n{each.label}\n{each.place}".casefold()
    ]  # fmt: skip


def counts(given: Iterable[Line]) -> dict[str, int]:
    """How many are in each state, the worst first, none of those that are empty."""
    found = Counter(each.state for each in given)
    return {state: found[state] for state in STATES if found[state]}


def _alarms(said: Said, recorded: str) -> list[str]:
    found = [f"status not believed: {said.wrong['status']}"] if "status" in said.wrong else []
    if said.health is not None and said.health.state == "failing" and not _offline(said):
        found += said.health.causes or ("it is failing",)
    if said.status is not None and said.status.trouble:
        found.append(f"spool: {said.status.trouble}")
    if recorded == "revoked" and said.status is not None and said.status.state == "online":
        found.append("it is revoked, and connected all the same: does the broker have the new list?")
    return found


def _worries(said: Said, now: datetime) -> list[str]:
    found = [f"{channel} not believed: {why}" for channel, why in said.wrong.items() if channel != "status"]
    if _offline(said):
        return found
    if said.health is not None:
        age = now.timestamp() - said.health.time
        if age > _OLD_HEALTH:
            found.append(f"its health is {age / 60:.0f} minutes old: does the vision process run?")
        if said.health.state == "degraded":
            found += said.health.causes
    if said.card is not None and (age_of := now - moment(said.card.issued)) > _OLD_CARD:
        found.append(f"its card is {age_of.days} days old")
    if said.update is not None and said.update.state in _BAD_UPDATES:
        found.append(f"update {said.update.state}: {said.update.cause or 'no cause given'}")
    return found


def _state(said: Said, recorded: str, alarms: Sequence[str], worries: Sequence[str]) -> State:
    if alarms:
        return State.FAILING
    if recorded in ("new", "revoked") and (said.status is None or said.status.state == "offline"):
        return State.NEW if recorded == "new" else State.REVOKED
    if said.status is None:
        return State.UNHEARD
    if said.status.state == "offline":
        return State.OFFLINE
    return State.DEGRADED if worries else State.WELL


def _offline(said: Said) -> bool:
    return said.status is None or said.status.state == "offline"


def _permits(card: Card | None, now: datetime) -> tuple[Permit, ...]:
    found = []
    for grant in card.grants if card is not None else ():
        try:
            begin, until = moment(grant.not_before), moment(grant.not_after)
        except VidikError:
            continue
        if begin <= now <= until:
            found.append(Permit(function=_safe(grant.function), id=_safe(grant.id), until=until))
    return tuple(found)


def _certificate_days(said: Said, entry: Entry | None, now: datetime) -> int | None:
    ends = [said.certificate_until] if said.certificate_until is not None else []
    if entry is not None and entry.certificate_until is not None:
        ends.append(datetime.fromtimestamp(entry.certificate_until, UTC))
    return (min(ends) - now).days if ends else None


def _version(status: Status | None, card: Card | None) -> str:
    if status is not None and status.version:
        return _safe(status.version)[:32]
    return _safe(card.software)[:32] if card is not None else ""


def _update(said: Said) -> str:
    if said.update is None:
        return ""
    return _safe(" ".join(part for part in (said.update.state, said.update.version, said.update.slot) if part))[:48]


def _safe(text: str) -> str:
    """``text`` without anything that could steer a terminal, and not too long."""
    shown = plain(text)
    return shown if len(shown) <= _WORDS else shown[: _WORDS - 1] + "…"
