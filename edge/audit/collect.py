"""Takes what other processes left in the postbox into the audit log, believing nobody.

A post is removed only when its entry is on the medium. A power cut between the two leaves a post whose ID stands in the
log already; then it is only removed.
"""

from __future__ import annotations

import logging
import os
import pwd
import stat
import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from edge.audit import postbox
from edge.audit.account import Account
from edge.audit.events import AuditError
from edge.audit.postbox import BY, ID, Post
from edge.clock import Clock

LOOK = 1.0  # seconds between two looks into the postbox
AT_ONCE = 8  # files dealt with in one tick: each costs some synchronising
REMEMBERED = 1024  # IDs taken in, and files that cannot be removed
_SEGMENTS = 2  # of the log, the newest, in which IDs are looked up at the start
_HALF_WRITTEN = 3600.0  # seconds after which an unfinished post is given up
_log = logging.getLogger(__name__)


class Refused(Exception):
    """Why a file is no post."""


class _Found(NamedTuple):
    post: Post
    id: str
    by: str


class Collector:
    """Empties the postbox ``folder`` into ``account``. Not for use by several threads.

    ``trouble`` says why the postbox cannot be used; nothing when it can.
    """

    def __init__(self, folder: Path, account: Account, clock: Clock, *, now: Callable[[], float] = time.time) -> None:
        self._folder, self._account, self._clock, self._now = folder, account, clock, now
        self.trouble = ""
        self._taken = deque(_known(account), REMEMBERED)
        self._kept: deque[tuple[str, int]] = deque(maxlen=REMEMBERED)  # name and inode of what cannot be removed
        self._waits: _Found | None = None  # whose entry is not on the medium yet
        self._look_at = float("-inf")

    def tick(self) -> None:
        """Takes in what was posted, at most ``AT_ONCE`` files. Call often: mostly it costs nothing."""
        if not self._account.whole:
            return  # posts are safe where they are until the log can be kept again
        if self._waits is not None:
            self._taken.append(self._waits.id)
            self._waits = None
        now = self._clock.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + LOOK
        try:
            postbox.make(self._folder)
            found = sorted(self._listing())
        except OSError as error:
            self._complain(f"the postbox {self._folder} cannot be used, so no other process is heard: {error.strerror}")
            return
        for path in found[:AT_ONCE]:
            self._take(path)
            if not self._account.whole:
                return
        if len(found) > AT_ONCE:
            self._look_at = now
        if not self._kept:
            self.trouble = ""

    def _listing(self) -> Iterator[Path]:
        with os.scandir(self._folder) as entries:
            for entry in islice(entries, postbox.SCANNED):
                known = (entry.name, entry.inode()) in self._kept
                if not known and not (entry.name.startswith(".") and self._is_under_way(entry)):
                    yield Path(entry.path)

    def _is_under_way(self, entry: os.DirEntry[str]) -> bool:
        try:
            return abs(self._now() - entry.stat(follow_symlinks=False).st_mtime) < _HALF_WRITTEN
        except OSError:
            return True  # it has just been finished

    def _take(self, path: Path) -> None:
        try:
            found = _read(path)
        except FileNotFoundError:
            return
        except Refused as refused:
            _log.warning("post-refused file=%s reason=%s", ascii(path.name), refused)
            self._account.append("post-refused", reason=str(refused))
            self._remove(path)
            return
        except OSError as error:  # it may be a good one
            self._keep(path, f"read: {error.strerror}")
            return
        if found.id not in self._taken:
            at = min(found.post.time / 1000, self._clock.wall())  # nothing comes from the future
            self._account.append_at(at, found.post.event, **found.post.facts, **{ID: found.id, BY: found.by})
            if not self._account.whole:
                self._waits = found
                return
            self._taken.append(found.id)
        self._remove(path)

    def _remove(self, path: Path) -> None:
        try:
            if stat.S_ISDIR(path.lstat().st_mode):
                path.rmdir()
            else:
                path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            self._keep(path, f"removed: {error.strerror}")

    def _keep(self, path: Path, why: str) -> None:
        try:
            self._kept.append((path.name, path.lstat().st_ino))
        except OSError:
            return  # it went away by itself
        self._complain(f"the postbox {self._folder} holds {path.name!a}, which cannot be {why}")

    def _complain(self, trouble: str) -> None:
        if trouble != self.trouble:
            _log.error("postbox %s", trouble)
        self.trouble = trouble


def _read(path: Path) -> _Found:
    """The post in ``path``. Raises ``Refused`` when it is none, ``OSError`` when it cannot be read."""
    named = postbox.NAME.fullmatch(path.name)
    if named is None:
        raise Refused("a name that no post has")
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise Refused("not a plain file")
    # a pipe or a link may have taken its place meanwhile
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_size > postbox.LARGEST:
            raise Refused(f"not a plain file of at most {postbox.LARGEST} bytes")
        content = file.read(postbox.LARGEST + 1)
    if postbox.identity(content) != named[2]:
        raise Refused("a content that is not the one its name states")
    try:
        return _Found(postbox.parse(content), named[2], _user(state.st_uid))
    except AuditError as error:
        raise Refused(str(error)) from error


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _known(account: Account) -> Iterator[str]:
    """IDs of posts that stand in the newest part of the log."""
    try:
        for entry in account.audit.entries(_SEGMENTS):
            known = entry.facts.get(ID)
            if isinstance(known, str):
                yield known
    except AuditError as error:  # a post may then be entered twice, under the same ID
        _log.error("postbox: the log cannot be read: %s", error)
