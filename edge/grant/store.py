"""The grants a camera holds: read from a folder, verified, and watched for change."""

from __future__ import annotations

import logging
from pathlib import Path

from edge.grant.document import Grant, GrantError
from edge.grant.gate import Terms, standing
from edge.grant.trust import Trust, verify

log = logging.getLogger(__name__)


class GrantStore:
    """Verified grants of ``folder`` (files ``*.grant``). Every refusal is logged with its reason, once."""

    def __init__(self, folder: Path, trust: Trust, camera: str) -> None:
        self._folder = folder
        self._trust = trust
        self._camera = camera
        self._seen: tuple[tuple[str, int, int], ...] | None = None
        self._terms: list[Terms] = []
        self._said: set[tuple[str, str]] = set()

    def terms(self, now: float) -> list[Terms]:
        """Every grant that verifies, whether or not it holds at ``now``; what does not hold is logged.

        The folder is read again only when a file in it changed.
        """
        state = tuple((p.name, s.st_mtime_ns, s.st_size) for p in self._files() for s in [p.stat()])
        if state != self._seen:
            self._seen = state
            self._terms = [Terms(grant) for path in self._files() if (grant := self._read(path)) is not None]
            if not self._terms:
                self._say("*", "no valid grant: nothing will be reported")
        for terms in self._terms:
            reason = standing(terms.grant, self._camera, now)
            state_now = reason.value if reason else "in force"
            self._say(terms.grant.id, f"grant {terms.grant.id} ({terms.grant.function}): {state_now}")
        return self._terms

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.grant")) if self._folder.is_dir() else []

    def _read(self, path: Path) -> Grant | None:
        try:
            return verify(path.read_bytes(), self._trust)
        except (OSError, GrantError) as error:
            self._say(path.name, f"grant file {path.name} refused: {error}")
            return None

    def _say(self, key: str, text: str) -> None:
        if (key, text) not in self._said:
            self._said.add((key, text))
            log.warning(text)
