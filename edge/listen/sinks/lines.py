"""JSON Lines: one file, one object a line, appended. No dependency.

A report is written once: on opening, the ids at the end of the file are read, far enough back to cover all that a
broker may deliver again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edge.gaps import Gap
from edge.listen.checkpoint import Id
from edge.listen.client import Connection
from edge.listen.display import as_json
from edge.listen.opener import Finding, Opened
from edge.listen.sinks.base import SinkError

_REMEMBERED = 200_000  # latest ids; no more than 65,535 messages may be under way to a subscriber
_TAIL = 64 << 20  # bytes at the end of the file, in which so many are
Identity = Id | tuple[str, str, int | None]  # of a report, or of a gap with its count


class _Said(msgspec.Struct):
    """What of a line identifies it."""

    kind: str
    camera: str
    boot: int = 0
    seq: int = 0
    id: str = ""
    count: int | None = None


class JsonLines:
    """Appends to the file at ``path``. Raises ``SinkError`` when that is not possible."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: OrderedDict[Identity, None] = OrderedDict()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self._size = os.fstat(self._file).st_size
            self._read_tail()
            os.ftruncate(self._file, self._size)
        except OSError as error:
            raise SinkError(f"{path} cannot be written: {error}. Give another file, or mend its rights.") from error

    def write(self, findings: Sequence[Finding | Connection]) -> None:
        fresh: dict[Identity, str] = {}
        for finding in findings:
            if isinstance(finding, Opened):
                report = finding.report
                fresh[Id(report.camera, report.boot, report.seq)] = as_json(report)
            elif isinstance(finding, Gap):
                fresh[finding.camera, finding.id, finding.count] = gap_json(finding)
        lines = [line for identity, line in fresh.items() if identity not in self._written]
        if not lines:
            return
        content = ("\n".join(lines) + "\n").encode()
        try:
            written = os.pwrite(self._file, content, self._size)
            if written != len(content):
                raise OSError(f"only {written} of {len(content)} bytes fit")
            os.fdatasync(self._file)
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise SinkError(f"{self._path} cannot be written: {error}. Make room for it.") from error
        self._size += len(content)
        for identity in fresh:
            self._remember(identity)

    def close(self) -> None:
        os.close(self._file)

    def _read_tail(self) -> None:
        """Learns what is written already, and takes back a last line that a crash has cut short."""
        start = max(0, self._size - _TAIL)
        tail = os.pread(self._file, self._size - start, start)
        whole = tail.rfind(b"\n") + 1
        self._size = start + whole
        for line in tail[:whole].splitlines()[1 if start else 0 :]:
            try:
                said = msgspec.json.decode(line, type=_Said)
            except msgspec.MsgspecError:
                continue  # somebody else's
            gap = said.kind == "gap"
            self._remember((said.camera, said.id, said.count) if gap else Id(said.camera, said.boot, said.seq))

    def _remember(self, identity: Identity) -> None:
        self._written[identity] = None
        self._written.move_to_end(identity)
        if len(self._written) > _REMEMBERED:
            self._written.popitem(last=False)


def gap_json(gap: Gap) -> str:
    """``gap`` as one line of JSON."""
    return msgspec.json.encode({"kind": "gap"} | msgspec.to_builtins(gap)).decode()
