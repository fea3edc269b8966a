"""The segment files of an audit log on the medium: written durably, mended after a power cut.

Every write is synchronised before its function returns, and a segment gets its name only once its header is
on the medium, so what a power cut can leave is one torn entry at the very end. Anything else that does not
fit is damage: it is cut as well, so that the log can go on, but kept beside it as evidence.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edge import durable
from edge.audit import chain
from edge.audit.chain import Link, Rest, Start

_TORN = chain.LARGEST_ENTRY + chain.OVERHEAD  # the most bytes one interrupted write leaves


@dataclass(frozen=True, slots=True)
class Cut:
    """What had to be cut off the end. ``aside``: the file that keeps it, empty for a torn entry."""

    file: str
    offset: int
    size: int
    aside: str = ""


@dataclass(frozen=True, slots=True)
class End:
    """Where the log ends: the number of its last entry and the hash it has reached."""

    number: int
    hash: bytes


class Segments:
    """The files in ``folder``. Methods raise ``OSError``, and ``AuditError`` for a segment absurdly large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self.size = 0  # bytes of the open segment

    def open(self) -> tuple[End | None, list[Cut]]:
        """Opens the last segment for appending; says where the log ends (None: it is empty), and what was cut."""
        cuts: list[Cut] = []
        for path in reversed(chain.segments(self._folder)):
            content = chain.read(path)
            begin = chain.start(content)
            if begin is None or chain.name(begin.first) != path.name:
                cuts.append(self._keep_aside(path, content, 0))
                path.unlink()
                _sync(self._folder)
                continue
            end, offset = _walk(content, begin)
            if offset < len(content):
                cuts.append(self._cut(path, content, offset))
            self._append_to(path, offset)
            return end, cuts
        return None, cuts

    def begin(self, end: End) -> None:
        """A new segment that goes on from ``end``."""
        path = self._folder / chain.name(end.number + 1)
        first = chain.header(Start(end.number + 1, end.hash))
        durable.write(path, first)
        self._append_to(path, len(first))

    def put(self, packed: bytes) -> None:
        """Appends ``packed`` to the open segment; on return it is on the medium."""
        assert self._file is not None
        view = memoryview(packed)
        while view:
            view = view[os.write(self._file, view) :]
        os.fsync(self._file)
        self.size += len(packed)

    def surplus(self, most_bytes: int) -> tuple[Start, End] | None:
        """Which of the oldest entries are too many: the first one's segment, and where they end."""
        paths = chain.segments(self._folder)
        total = sum(path.stat().st_size for path in paths)
        kept = 0
        while total > most_bytes and kept < len(paths) - 1:
            total -= paths[kept].stat().st_size
            kept += 1
        oldest, following = (chain.start(chain.read(paths[which])) for which in (0, kept))
        if kept == 0 or oldest is None or following is None:  # damage is left for people to look at
            return None
        return oldest, End(following.first - 1, following.hash)

    def drop(self, number: int) -> None:
        """Removes the segments whose entries all have numbers up to ``number``."""
        paths = chain.segments(self._folder)
        for path, following in pairwise(paths):
            if int(following.stem) <= number + 1:
                path.unlink()
        _sync(self._folder)

    def close(self) -> None:
        """Lets go of the open segment."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append_to(self, path: Path, size: int) -> None:
        self.close()
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        if os.fstat(self._file).st_size != size:
            os.ftruncate(self._file, size)
            os.fsync(self._file)
        self.size = size

    def _cut(self, path: Path, content: bytes, offset: int) -> Cut:
        size = len(content) - offset
        if size <= _TORN and not _more_than_one(content, offset):
            return Cut(path.name, offset, size)
        return self._keep_aside(path, content, offset)

    def _keep_aside(self, path: Path, content: bytes, offset: int) -> Cut:
        aside = next(name for n in range(10**6) if not (name := path.with_name(f"{path.name}.damaged-{n}")).exists())
        durable.write(aside, content[offset:])
        return Cut(path.name, offset, len(content) - offset, aside.name)


def _sync(folder: Path) -> None:
    """Brings what files ``folder`` holds onto the medium."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _walk(content: bytes, begin: Start) -> tuple[End, int]:
    """Where the good entries of a segment end, in the chain and in bytes."""
    end, offset = End(begin.first - 1, begin.hash), chain.HEADER_BYTES
    for found in chain.walk(content, begin.hash):
        if isinstance(found, Rest) or not found.follows or found.entry.number != end.number + 1:
            break
        end, offset = End(found.entry.number, found.entry.hash), found.end
    return end, offset


def _more_than_one(content: bytes, offset: int) -> bool:
    """Whether entries stand at ``offset`` with more behind them: no power cut leaves that."""
    found = list(chain.walk(content, chain.GENESIS, offset))
    return len(found) > 1 and isinstance(found[0], Link)
