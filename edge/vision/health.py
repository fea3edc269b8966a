"""The camera's health: what runs, what does not and why, as a small file that the uplink publishes.

A thread writes it, so that it also tells when the pipeline itself has come to a halt. It goes to a folder in memory and
is no record: nothing is synchronised to a medium.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

FILE = "health.json"
_EVERY = 1.0  # seconds between two looks
_RENEW = 30.0  # seconds after which it is written though nothing but numbers has changed
_HALT = 6.0  # seconds without any progress after which the pipeline counts as halted

_log = logging.getLogger(__name__)

Facts = Callable[[], Mapping[str, Any]]
Troubles = Callable[[], list[str]]


class Health:
    """Collects ``facts`` (numbers and words by name) and ``troubles`` (sentences) and writes them into ``folder``.

    ``state`` is ``ok``, ``degraded`` while there is a trouble, or ``failing`` when the pipeline has halted or ended.
    """

    def __init__(self, folder: Path, camera: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.facts: list[Facts] = []
        self.troubles: list[Troubles] = []
        self._path, self._camera, self._clock = folder / FILE, camera, clock
        self._progress = clock()
        self._stated: tuple[str, tuple[str, ...]] | None = None
        self._written = float("-inf")
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def progress(self) -> None:
        """Call whenever something was got done: a frame described, or a lost camera tried again."""
        self._progress = self._clock()

    def write(self, final: str = "") -> None:
        """Writes what is, if there is news. ``final`` is why the process ends."""
        halted = self._clock() - self._progress
        causes = [trouble for ask in self.troubles for trouble in ask()]
        if halted > _HALT:
            causes.insert(0, f"the pipeline has halted: nothing was got done for {halted // _HALT * _HALT:.0f} s")
        if final:
            causes.insert(0, final)
        state = "failing" if final or halted > _HALT else "degraded" if causes else "ok"
        stating = state, tuple(causes)
        if stating == self._stated and self._clock() - self._written < _RENEW:
            return
        if stating != self._stated:
            _log.log(logging.INFO if state == "ok" else logging.ERROR, "health %s %s", state, "; ".join(causes))
        facts = {name: value for ask in self.facts for name, value in ask().items()}
        stated = {"camera": self._camera, "time": round(time.time(), 1), "state": state, "causes": causes}
        put(self._path, stated | facts)
        self._stated, self._written = stating, self._clock()

    def close(self, final: str = "") -> None:
        """Ends the thread, and says why the process ends if that is a trouble."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join(_EVERY + 1)
        if final:
            self.write(final)

    def _run(self) -> None:
        while not self._end.wait(_EVERY):
            try:
                self.write()
            except Exception:  # one bad look must not end the looking
                _log.exception("the health could not be stated")


def put(path: Path, facts: Mapping[str, Any]) -> None:
    """Replaces the file ``path`` in one step; a folder that cannot be written to is for the log only."""
    fresh = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), "wb") as file:
            os.fchmod(file.fileno(), 0o644)  # whatever the mask: another user publishes it
            file.write(json.dumps(facts, ensure_ascii=False).encode())
        fresh.replace(path)
    except OSError as error:
        _log.error("the health cannot be written to %s: %s", path, error)


def temperature(sysfs: Path) -> float | None:
    """The hottest zone under ``sysfs`` (``/sys/class/thermal``) in degrees Celsius; None where there is none."""
    found = []
    for zone in sysfs.glob("thermal_zone*/temp"):
        with suppress(OSError, ValueError):  # a zone may be switched off
            found.append(int(zone.read_text()) / 1000)
    return max(found, default=None)
