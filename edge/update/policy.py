"""What to do about an update: pure functions of what is known. Nothing here reads, asks or waits.

``decide`` judges an offer before anything is downloaded, ``examine`` a bundle that is there, ``after_boot`` what the
boot says about an update under way, ``verdict`` whether a new image has proved itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from edge import clock
from edge.update import version
from edge.update.image import Board, Image, Text
from edge.update.slots import Slots
from edge.update.state import Digest, Failure, State

LARGEST = 2 << 30  # bytes of a bundle
TRIES = 3  # installations begun and not finished, after which a bundle counts as failed
RETURNS = 2  # starts that the confirmed image gets after the boot loader has passed it over
REJECTIONS = 3  # boots that a rejected image gets because nothing else comes up


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What the office would have the camera install. ``offer``: its number; a new one is a new offer."""

    offer: Annotated[int, Meta(ge=1)]
    version: Text
    board: Board
    size: Annotated[int, Meta(ge=1)]
    digest: Digest


@dataclass(frozen=True, slots=True)
class Install:
    """The update is to be installed."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing is to be done now. ``reason``: one clause."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The update is not to be installed. ``cause``: one clause."""

    cause: str


Decision = Install | Wait | Refuse


def decide(offer: Offer, image: Image, state: State, now: float) -> Decision:
    """Whether to download and install ``offer``. ``now``: seconds since the epoch, UTC."""
    if state.pending is not None:
        return Wait(f"the update to {state.pending.version} is under way")
    if not clock.trustworthy(now):
        return Wait("the time is not known yet, and signatures are judged by it")
    if Failure(offer.digest, offer.offer) in state.failed:
        return Wait(f"{offer.version} failed here; it is not tried again before the office offers it anew")
    if offer.size > LARGEST:
        return Refuse(f"it has {offer.size} bytes, and at most {LARGEST} are taken")
    return examine(offer.board, offer.version, image, state)


def examine(board: str, stated: str, image: Image, state: State) -> Decision:
    """Whether an update for ``board`` to the version ``stated`` may be installed on ``image``."""
    if board != image.board:
        return Refuse(f"it is for the board {board[:64]}, and this is {image.board}")
    try:
        parsed = version.parse(stated)
    except version.VersionError:
        return Refuse(f"its version {stated[:40]!r} is none")
    floor = max(image.at_least, version.parse(state.floor))
    if parsed < floor:
        return Refuse(f"its version {stated} is older than the floor {floor}")
    if parsed == image.is_version:
        return Wait(f"{stated} is what runs already")
    return Install()


def raised(image: Image, state: State) -> State:
    """``state`` with the floor of ``image``, which has proved itself, if that is higher."""
    return state.but(floor=image.floor) if image.at_least > version.parse(state.floor) else state


After = Literal["nothing", "strayed", "reboot", "interrupted", "trial", "fell-back", "rejected", "stuck"]


def after_boot(state: State, slots: Slots, boot: str) -> After:
    """What the slot that came up says about the update under way. ``boot``: the boot id.

    ``strayed``: nothing is under way, and yet the slot that was confirmed last does not run: a power cut early in its
    start has the boot loader pass it over. ``reboot``: not started anew yet. ``interrupted``: the power went during the
    installation. ``trial``: the new image runs and has to prove itself. ``fell-back``: it did not come up, or went
    before it had. ``rejected``: it ran, failed its test, and the old one is back. ``stuck``: it failed its test often
    enough, and still nothing else comes up.
    """
    pending = state.pending
    if pending is None:
        return "nothing" if state.home in ("", slots.booted) else "strayed"
    if slots.booted != pending.home:
        return "stuck" if pending.rejections >= REJECTIONS else "trial"
    if pending.stage == "rejected":
        return "rejected"
    if pending.stage == "installing":
        return "interrupted"
    return "reboot" if pending.boot == boot else "fell-back"


def verdict(missing: Sequence[str], waited: float, deadline: float) -> Literal["good", "wait", "failed"]:
    """Whether a new image has proved itself. ``missing``: the signs it still lacks; both times in seconds."""
    if not missing:
        return "good"
    return "wait" if waited < deadline else "failed"
