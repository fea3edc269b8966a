"""The warden: keeps the unit running unattended. It feeds the watchdog, governs the load, and finds new configurations.

Everything here happens on the pipeline's own thread, between frames or while the camera has none, so that a watchdog
that is fed means a pipeline that works.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edge import config, systemd
from edge.errors import VidikError
from edge.vision.governor import Governor, Level
from edge.vision.health import Health, temperature
from edge.vision.sources import FrameSource, LiveSource, Skip, State
from edge.vision.switch import Switch
from edge.vision.values import Frame

_EVERY = 1.0  # seconds between two looks at what changes slowly
_WINDOW = 5.0  # seconds over which rates are taken

_QUANTILES = (("p50", 0.5), ("p95", 0.95))

_log = logging.getLogger(__name__)


class _Done(NamedTuple):
    """A frame that was described: when, how long that took, and how old it was then, in seconds."""

    at: float
    spent: float
    age: float


class Warden:
    """Watches over one pipeline. ``source`` gives its camera, ``reload`` applies a new configuration and returns what
    of it needs a new start; ``switch`` is told of the light."""

    def __init__(
        self, settings: config.Vision, health: Health, governor: Governor, source: Callable[[], FrameSource], *,
        path: Path | None = None, reload: Callable[[config.Vision], list[str]] = lambda _: [],
        switch: Switch | None = None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._zones, self._path, self._reload = settings.thermal.zones, path, reload
        self._health, self._governor, self._source, self._clock = health, governor, source, clock
        self._switch = switch
        self._temperature: float | None = None
        self._done: deque[_Done] = deque()
        self._began = clock()
        self._taken = self._next = self._began
        self._ready = False
        self._frames = self._spared = 0
        self._before = (0, 0)  # frames delivered and dropped at the last look
        self._seen = self._stamp()
        self._configuration = self._told = ""
        health.facts.append(self.facts)
        health.troubles.append(self.troubles)

    def wants(self, frame: Frame) -> bool:
        """Whether ``frame`` is to be described."""
        self._taken = self._clock()
        wanted = self._governor.wants(frame.index)
        self._spared += not wanted
        if self._switch is not None:
            self._switch.look(self._taken, frame, self._source())
        return wanted

    def done(self) -> None:
        """The frame wanted last has been described."""
        now = self._clock()
        source = self._source()
        came = source.came if isinstance(source, LiveSource) and source.came is not None else self._taken
        self._frames += 1
        self._done.append(_Done(now, now - self._taken, now - came))
        while self._done[0].at < now - _WINDOW:
            self._done.popleft()
        if self._frames == 1:
            _log.info("first frame after %.1f s", now - self._began)
        self._is_ready("first frame described")
        self._progress(now)

    def idle(self) -> None:
        """The camera has nothing at the moment, and is being waited for or opened again."""
        source = self._source()
        if isinstance(source, LiveSource) and source.condition.state is State.LOST:
            self._is_ready("waiting for the camera")  # all but the camera: starting anew would not bring it back
        self._progress(self._clock())

    def _is_ready(self, why: str) -> None:
        if not self._ready:
            self._ready = True
            systemd.notify("READY=1", f"STATUS={why}")

    def _progress(self, now: float) -> None:
        self._health.progress()
        if now < self._next:
            return
        self._next = now + _EVERY
        self._feed()
        self._temperature = temperature(self._zones)
        source = self._source()
        counted = source.delivered, source.skipped.get(Skip.DROPPED, 0)
        delivered, dropped = (new - old for new, old in zip(counted, self._before, strict=True))
        self._before = counted
        level = self._governor.judge(now, self._temperature, dropped / max(1, delivered + dropped))
        if level is not Level.NOTHING:
            _log.debug("left out: %s", level.words)
        self._look_at_configuration()

    def _feed(self) -> None:
        troubles = "; ".join(self.troubles())
        if troubles != self._told:
            self._told = troubles
            systemd.notify("WATCHDOG=1", f"STATUS={troubles or 'works'}")
        else:
            systemd.notify("WATCHDOG=1")

    def _stamp(self) -> tuple[int, int] | None:
        try:
            state = self._path.stat() if self._path else None
        except OSError:
            return None
        return (state.st_mtime_ns, state.st_size) if state else None

    def _look_at_configuration(self) -> None:
        stamp = self._stamp()
        if self._path is None or stamp is None or stamp == self._seen:
            return
        self._seen = stamp
        try:
            left = self._reload(config.load(self._path, config.Vision))
        except VidikError as error:
            self._configuration = f"the new configuration is not used: {error}"
        else:
            self._configuration = f"a new start is needed for the new {', '.join(left)}" if left else ""
            _log.info("configuration read again")

    def troubles(self) -> list[str]:
        """What a person should know."""
        found = [self._configuration] if self._configuration else []
        source = self._source()
        if isinstance(source, LiveSource) and source.condition.state is State.LOST:
            found.append(f"camera lost: {source.condition.cause}")
        governor = self._governor
        if governor.level:
            found.append(f"{governor.level.words} left out: {governor.cause}")
        return found + ([] if self._switch is None else self._switch.troubles())

    def facts(self) -> Mapping[str, Any]:
        """The numbers of the moment."""
        now, done, source = self._clock(), list(self._done), self._source()
        recent = [each for each in done if each.at >= now - _WINDOW]
        ages = sorted(each.age for each in recent)
        facts: dict[str, Any] = {
            "fps": round(len(recent) / min(_WINDOW, max(0.1, now - self._began)), 1),
            "frame_ms": round(1000 * sum(each.spent for each in recent) / len(recent), 1) if recent else None,
            "latency_ms": {
                name: round(1000 * ages[int(share * len(ages))], 1) for name, share in _QUANTILES if ages
            },
            "frames": self._frames,
            "skipped": {reason.value: count for reason, count in source.skipped.items()} | {"spared": self._spared},
            "temperature": self._temperature,
            "left_out": self._governor.level.words,
        }
        if isinstance(source, LiveSource):
            facts["camera_state"], facts["reopened"] = source.condition.state.value, source.condition.reopened
        return facts if self._switch is None else {**facts, **self._switch.facts()}
