"""The postbox: where other processes of the camera leave events for the audit log, which vision alone writes.

A post is a file ``NNNNNNNNN-ID.event`` in the folder that the configuration names: a number that puts the posts in
order, and the first 128 bits of the SHA-256 of the content, JSON with the event, its facts, the time and a nonce. So an
ID cannot be given to another content, and one that stands in the log is known to have been taken in.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import time
from itertools import islice
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge import durable
from edge.audit import events
from edge.audit.events import AuditError, Fact

OPEN = frozenset({"provisioning", "update"})  # what other processes may say
ID = "post"  # the fact that holds the ID of a post
BY = "by"  # and the one that names the user who posted it
LARGEST = 4096  # bytes of a post
MOST = 256  # posts that may lie there
SCANNED = 1024  # names in the folder that are looked at
NAME = re.compile(r"(\d{9})-([0-9a-f]{32})\.event")
_FRESH = ".new"
_LAST = 999_999_999
_FILE_MODE, _FOLDER_MODE = 0o640, 0o3770  # the group reads; in the folder it posts, and removes only what is its own


class Post(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a file holds. ``time``: milliseconds since the epoch, UTC."""

    event: Annotated[str, Meta(max_length=32)]
    facts: Annotated[dict[str, str | int], Meta(max_length=16)]
    time: Annotated[int, Meta(ge=0, le=10**14)]
    nonce: Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]


def post(folder: Path, event: str, **facts: str | int) -> str:
    """Leaves ``event`` for the audit log; when this returns, it is on the medium. Returns the ID of the post.

    Raises ``AuditError`` when the event or a fact is not one that other processes may state, when the postbox is full
    because vision takes nothing in, or when it cannot be written to.
    """
    checked = check(event, facts)
    made = Post(event=event, facts=checked, time=round(1000 * time.time()), nonce=secrets.token_hex(8))
    content = msgspec.json.encode(made)
    try:
        make(folder)
        _put(folder, content)
    except OSError as error:
        raise AuditError(
            f"The postbox {folder} cannot be used: {error}. Is this user in the group of the camera's processes?"
        ) from error
    return identity(content)


def check(event: str, facts: dict[str, str | int]) -> dict[str, str | int]:
    """``facts`` as they will be written. Raises ``AuditError`` for what other processes may not say."""
    if event not in OPEN:
        raise AuditError(f"Other processes cannot state the event {event!r}, only {' and '.join(sorted(OPEN))}.")
    if {ID, BY} & set(facts):
        raise AuditError(f"Who posted an event, and its ID, are found out by the camera: leave out {ID} and {BY}.")
    known: dict[str, Fact] = events.check(event, facts)
    return {name: value for name, value in known.items() if isinstance(value, str | int)}


def parse(content: bytes) -> Post:
    """The post that ``content`` is. Raises ``AuditError`` when it is none, or states what it may not."""
    try:
        found = msgspec.json.decode(content, type=Post)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:  # also what breaks the schema, or is no UTF-8
        raise AuditError(f"This is no post: {error}.") from error
    check(found.event, found.facts)
    return found


def identity(content: bytes) -> str:
    """The ID of a post."""
    return hashlib.sha256(content).hexdigest()[:32]


def make(folder: Path) -> None:
    """Makes the postbox if it is not there. Raises ``OSError``."""
    if not folder.is_dir():
        durable.make_folder(folder)
        folder.chmod(_FOLDER_MODE)


def _put(folder: Path, content: bytes) -> None:
    lying = [int(found[1]) for name in _names(folder) if (found := NAME.fullmatch(name))]
    if len(lying) >= MOST:
        raise AuditError(f"The postbox {folder} is full: {len(lying)} events wait. Is the vision process running?")
    number = min(max(lying, default=0) + 1, _LAST)
    path = folder / f"{number:09d}-{identity(content)}.event"
    fresh = path.with_name(f".{path.name}{_FRESH}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _FILE_MODE)
    try:
        with os.fdopen(handle, "wb") as file:
            _share(file.fileno(), folder)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    durable.settle(folder)


def _share(handle: int, folder: Path) -> None:
    """Lets the folder's group read the file, and nobody else, whatever the process's mask."""
    group = folder.stat().st_gid
    if os.fstat(handle).st_gid != group:
        os.fchown(handle, -1, group)
    os.fchmod(handle, _FILE_MODE)


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in islice(entries, SCANNED)]
