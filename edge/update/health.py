"""After a start: a new image proves itself and becomes the one to be started from now on, or the old one comes back.

An image that is not under trial is confirmed at once: a camera whose broker is away must not fall back to an older
image for that. An image under trial has until a deadline to show every sign of life; a power cut meanwhile counts as
failure, since the boot loader starts the other slot.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from edge.update import policy
from edge.update.slots import Slots
from edge.update.state import State
from edge.update.unit import End, Unit

DEADLINE = 900.0  # seconds
_EVERY = 2.0  # seconds between two looks
_FELL_BACK = "it did not come up, or the power went before it had proved itself; the old image runs again"
_STRAYED = "the image that was confirmed does not come up any more; the one before it runs"
_log = logging.getLogger("vidik.update")

Signs = Callable[[], Sequence[str]]  # what a new image still lacks, in clauses


def check(
    unit: Unit, signs: Signs, deadline: float = DEADLINE, *, clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> End:  # fmt: skip
    """Call at every start. Returns once the slot that runs is confirmed, or given up. Raises ``VidikError``."""
    with unit.alone():
        state, due = settle(unit)
        slots = unit.installer.slots()
        if due is not None or state.pending is None:
            return due or End.DONE
        pending = state.pending
        unit.say(unit.said("trying", f"{pending.version} has to prove itself"))
        began = clock()
        while True:
            missing = signs()
            match policy.verdict(missing, clock() - began, deadline):
                case "good":
                    return _confirm(unit, state)
                case "failed":
                    return _reject(unit, state, slots, f"it did not prove itself: {'; '.join(missing)}")
            sleep(_EVERY)


def settle(unit: Unit) -> tuple[State, End | None]:
    """Draws the conclusions of the last start. Returns the state, and ``End`` when nothing else may be done now.

    A trial is left to ``check``, and stays pending; so does an image that waits for the new start.
    """
    state, slots = unit.store.load(), unit.installer.slots()
    after = policy.after_boot(state, slots, unit.boot)
    if state.pending is None:
        return _come_back(unit, state, slots) if after == "strayed" else (_at_home(unit, state, slots), None)
    if after in ("trial", "reboot"):
        unit.say(state.said)
        return state, End.REBOOT if after == "reboot" else None
    version, cause, enough = state.pending.version, state.pending.cause, True
    match after:
        case "interrupted":
            enough = state.tries.get(state.pending.digest, 0) >= policy.TRIES
            cause = f"the installation of {version} was interrupted"
        case "fell-back":
            cause = f"{version}: {_FELL_BACK}"
        case "rejected":
            cause = f"{version}: {cause}; the old image runs again"
        case "stuck":
            cause = f"{version}: {cause}; and no other image comes up"
    state = give_up(unit, state.but(home=slots.booted), cause, enough)
    if after != "stuck":
        unit.installer.mark_good()
    return state, None


def give_up(unit: Unit, state: State, cause: str, enough: bool = True) -> State:
    """Ends the update under way without success; it is tried again unless that is ``enough``."""
    pending = state.pending
    assert pending is not None
    unit.record("failed", pending.version, cause)
    if enough:
        state = state.failing(pending.digest, pending.offer)
        state = state.telling(pending.offer, "failed", pending.version, cause)
    return unit.keep(state.but(pending=None), unit.said("failed", cause))


def _at_home(unit: Unit, state: State, slots: Slots) -> State:
    """Confirms the image that runs, to which nothing is being done."""
    unit.installer.mark_good()
    now = policy.raised(unit.image, state).but(home=slots.booted, returns=0)
    lasting = state.said.state in ("failed", "refused")
    said = unit.said(state.said.state, state.said.cause) if lasting else unit.said("current")
    if now.but(said=said) != state:
        return unit.keep(now, said)
    unit.say(said)
    return state


def _come_back(unit: Unit, state: State, slots: Slots) -> tuple[State, End | None]:
    """Sends the unit back to the slot that was confirmed last, or takes the one that runs if that does not help."""
    unit.installer.mark_good()
    if state.returns >= policy.RETURNS:
        unit.record("failed", unit.image.version, _STRAYED)
        return unit.keep(state.but(home=slots.booted, returns=0), unit.said("failed", _STRAYED)), None
    unit.record("returns", unit.image.version, "the image that was confirmed did not come up: it is started once more")
    state = unit.keep(state.but(returns=state.returns + 1), unit.said("trying", "the confirmed image is started again"))
    unit.installer.prefer_other()
    return state, End.REBOOT


def _confirm(unit: Unit, state: State) -> End:
    pending = state.pending
    assert pending is not None
    unit.installer.mark_good()
    unit.record("good", unit.image.version, "the new image has proved itself")
    tries = {name: count for name, count in state.tries.items() if name != pending.digest}
    home = unit.installer.slots().booted
    done = policy.raised(unit.image, state.but(pending=None, tries=tries, home=home, returns=0))
    unit.keep(done.telling(pending.offer, "good", pending.version), unit.said("current"))
    return End.DONE


def _reject(unit: Unit, state: State, slots: Slots, cause: str) -> End:
    pending = state.pending
    assert pending is not None
    if not slots.other_is_good():
        state = state.but(home=slots.booted)
        give_up(unit, state, f"{pending.version}: {cause}; it stays, since there is no other image to start")
        unit.installer.mark_good()
        return End.DONE
    unit.record("rejected", pending.version, cause)
    rejected = pending.but(stage="rejected", cause=cause[:300], rejections=pending.rejections + 1)
    unit.keep(state.but(pending=rejected), unit.said("failed", f"{pending.version}: {cause}"))
    unit.installer.mark_bad()
    return End.REBOOT
