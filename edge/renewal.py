"""Notices that keys or certificates were renewed, so that they can be used without a restart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class Renewal:
    """Watches files by their identity and time of change; a file that is missing for a moment counts as unchanged."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._marks: dict[Path, tuple[int, int, int]] = {}
        self.happened()

    def happened(self) -> bool:
        """Whether any of the files is another one than at the last call."""
        changed = False
        for path in self._paths:
            try:
                state = path.stat()
            except OSError:
                continue
            mark = (state.st_ino, state.st_mtime_ns, state.st_size)
            changed |= self._marks.setdefault(path, mark) != mark
            self._marks[path] = mark
        return changed
