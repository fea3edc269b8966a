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
    pending = state.pending
    match policy.after_boot(state, slots, unit.boot):
        case "nothing":
            unit.installer.mark_good()
            raised = policy.raised(unit.image, state)
            transient = raised.said.state in ("installed", "installing", "trying", "downloading", "current")
            said = unit.said("current") if transient else unit.said(raised.said.state, raised.said.cause)
            if raised != state or said != state.said:
                return unit.keep(raised, said), None
            unit.say(said)
            return state, None
        case "reboot":
            unit.say(state.said)
            return state, End.REBOOT
        case "trial":
            return state, None
        case "interrupted":
            assert pending is not None
            enough = state.tries.get(pending.digest, 0) >= policy.TRIES
            state = give_up(unit, state, f"the installation of {pending.version} was interrupted", enough=enough)
        case "fell-back":
            assert pending is not None
            state = give_up(unit, state, f"{pending.version}: {_FELL_BACK}")
        case "rejected":
            assert pending is not None
            state = give_up(unit, state, f"{pending.version}: {pending.cause}; the old image runs again")
        case "stuck":
            assert pending is not None
            return give_up(unit, state, f"{pending.version}: {pending.cause}; and no other image comes up"), None
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


def _confirm(unit: Unit, state: State) -> End:
    pending = state.pending
    assert pending is not None
    unit.installer.mark_good()
    unit.record("good", unit.image.version, "the new image has proved itself")
    tries = {name: count for name, count in state.tries.items() if name != pending.digest}
    done = policy.raised(unit.image, state.but(pending=None, tries=tries))
    unit.keep(done.telling(pending.offer, "good", pending.version), unit.said("current"))
    return End.DONE


def _reject(unit: Unit, state: State, slots: Slots, cause: str) -> End:
    pending = state.pending
    assert pending is not None
    if not slots.other_is_good():
        give_up(unit, state, f"{pending.version}: {cause}; it stays, since there is no other image to start")
        unit.installer.mark_good()
        return End.DONE
    unit.record("rejected", pending.version, cause)
    rejected = pending.but(stage="rejected", cause=cause[:300], rejections=pending.rejections + 1)
    unit.keep(state.but(pending=rejected), unit.said("failed", f"{pending.version}: {cause}"))
    unit.installer.mark_bad()
    return End.REBOOT
