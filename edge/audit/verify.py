"""Whether an audit log is whole: nothing changed, removed, put in another order, or cut off at the end.

A chain of hashes alone cannot show what is missing at its end, or that someone wrote all of it anew: that
takes a signed head which the camera published while the log was whole.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from edge.audit import chain, head
from edge.audit.chain import Entry, Link, Rest
from edge.audit.events import AuditError
from edge.audit.head import Head
from edge.audit.log import ANCHOR, LOCK

_MOST_PROBLEMS = 50  # said one by one


@dataclass(slots=True)
class Finding:
    """What an examination found. ``problems`` are plain sentences; with none of them the log is whole.

    ``certificates``: the DER certificates of those who signed the heads that were used; who issued them is
    for the caller to check. ``notes``: what the camera itself recorded about mending its log.
    """

    entries: int = 0
    first: Entry | None = None
    last: Entry | None = None
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    certificates: list[bytes] = field(default_factory=list)


def examine(folder: Path, signed_head: bytes | None = None) -> Finding:
    """Examines the log in ``folder``, against ``signed_head`` when there is one.

    Raises ``AuditError`` when there is no log to examine or the head proves nothing.
    """
    paths = chain.segments(folder)
    if not paths:
        raise AuditError(f"There is no audit log in {folder}. Name the folder that holds the *.audit files.")
    examination = _Examination(folder, signed_head)
    for path in paths:
        examination.segment(path)
    return examination.finish()


class _Examination:
    """One pass over a log, from the oldest entry to the newest."""

    def __init__(self, folder: Path, signed_head: bytes | None) -> None:
        self._found = Finding()
        self._number: int | None = None  # of the last entry read
        self._hash = chain.GENESIS
        self._folder = folder
        self._head = self._read_head(signed_head) if signed_head is not None else None
        self._anchor = self._read_anchor()
        self._reached: dict[int, bytes] = {}  # hashes at the numbers the heads name
        self._foreign()

    def segment(self, path: Path) -> None:
        """The next segment. What its header says counts only where it agrees with what stands before it."""
        content = chain.read(path)
        begin = chain.start(content)
        if begin is None:
            self._problem(f"{path.name}: this is no audit segment, or its start was damaged.")
            return
        if chain.name(begin.first) != path.name:
            self._problem(f"{path.name}: by its content this is {chain.name(begin.first)}.")
        if self._number is None:
            self._oldest(path.name, begin)
        else:
            self._joint(path.name, begin)
        for found in chain.walk(content, self._hash):
            if isinstance(found, Rest):
                self._problem(
                    f"{path.name}: {found.size} bytes after entry {self._number} are no whole entry: a power cut as "
                    "it was written, or someone cut or overwrote the file."
                )
            else:
                self._entry(path.name, found)

    def finish(self) -> Finding:
        """The finding, after the last segment."""
        found = self._found
        if self._head is not None:
            self._against(self._head, "the published head")
        elif found.last is not None:
            found.notes.append("Without a published head nobody can tell whether entries are missing at the end.")
        if len(found.problems) > _MOST_PROBLEMS:
            more = len(found.problems) - _MOST_PROBLEMS
            found.problems[_MOST_PROBLEMS:] = [f"… and {more} more of this kind."]
        return found

    def _oldest(self, file: str, begin: chain.Start) -> None:
        self._number, self._hash = begin.first - 1, begin.hash
        self._remember()
        if self._anchor is None and (begin.first != 1 or begin.hash != chain.GENESIS):
            self._problem(f"{file}: the entries before number {begin.first} are missing, and no anchor vouches for it.")
        if self._anchor is not None and begin.first > self._anchor.number + 1:
            self._problem(f"The entries {self._anchor.number + 1} to {begin.first - 1} are missing at the beginning.")

    def _joint(self, file: str, begin: chain.Start) -> None:
        assert self._number is not None
        if begin.first != self._number + 1:
            self._problem(self._gap(file, begin.first))
            self._number = begin.first - 1
        elif begin.hash != self._hash:
            self._problem(f"{file}: it does not follow from the segment before it: one of the two was changed.")
        self._hash = begin.hash

    def _entry(self, file: str, link: Link) -> None:
        assert self._number is not None
        entry = link.entry
        if entry.number != self._number + 1:
            self._problem(self._gap(file, entry.number))
        elif not link.follows:
            self._problem(f"{file}: entry {entry.number} does not follow from the one before: one of them was changed.")
        found = self._found
        found.entries += 1
        found.events[entry.event] += 1
        found.first = found.first or entry
        found.last = entry
        self._number, self._hash = entry.number, entry.hash
        self._remember()
        if entry.event == "damage-found":
            found.notes.append(f"Entry {entry.number}: the camera found its log damaged and kept the damaged part.")
        elif entry.event == "tail-cut":
            found.notes.append(f"Entry {entry.number}: the camera cut off an entry that a power cut had torn.")

    def _gap(self, file: str, number: int) -> str:
        assert self._number is not None
        expected = self._number + 1
        if number < expected:
            return f"{file}: entry {number} stands where {expected} should: entries repeat or changed places."
        missing = f"entry {expected} is" if number == expected + 1 else f"entries {expected} to {number - 1} are"
        return f"{file}: {missing} missing before entry {number}."

    def _against(self, stated: Head, what: str) -> None:
        last = self._number or 0
        if stated.number > last:
            self._problem(
                f"The end is missing: {what} was signed at entry {stated.number}, but the log ends with entry {last}."
            )
        elif stated.number in self._reached and self._reached[stated.number] != stated.hash:
            self._problem(f"Up to entry {stated.number} this is not the log of {what}: it was changed or written anew.")
        elif stated.number not in self._reached and self._found.first is not None:
            self._found.notes.append(f"The oldest entry kept is younger than {what}, which therefore shows nothing.")

    def _remember(self) -> None:
        assert self._number is not None
        for stated in (self._head, self._anchor):
            if stated is not None and stated.number == self._number:
                self._reached[self._number] = self._hash
        if self._anchor is not None and self._anchor.number == self._number and self._hash != self._anchor.hash:
            self._problem(f"What follows entry {self._number} is not what the camera signed when it dropped that part.")

    def _read_head(self, signed: bytes) -> Head:
        stated, certificate = head.read(signed)
        self._found.certificates.append(certificate)
        return stated

    def _read_anchor(self) -> Head | None:
        path = self._folder / ANCHOR
        if not path.exists():
            return None
        try:
            stated, certificate = head.read(path.read_bytes())
        except (OSError, head.HeadError) as error:
            self._problem(f"{ANCHOR}: {error}")
            return None
        if self._head is not None and stated.camera != self._head.camera:
            self._problem(f"{ANCHOR}: it is of the camera {stated.camera}, the head of {self._head.camera}.")
        self._found.certificates.append(certificate)
        return stated

    def _foreign(self) -> None:
        for path in sorted(self._folder.iterdir()):
            if path.name in (ANCHOR, LOCK) or path in chain.segments(self._folder):
                continue
            kind = "a damaged part the camera kept" if ".damaged-" in path.name else "not part of the log"
            self._found.notes.append(f"{path.name}: {kind}.")

    def _problem(self, text: str) -> None:
        self._found.problems.append(text)
