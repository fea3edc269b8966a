"""Between the camera and the pipeline: with every frame a look at the clock, the grants and the camera's health."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Protocol, Self

from edge.clock import JUMP, Timekeeper
from edge.vision.sources.base import FrameSource, Skip
from edge.vision.values import Frame


class Overseer(Protocol):
    """Who is told what becomes of frames, and may have one left out."""

    def wants(self, frame: Frame) -> bool: ...

    def done(self) -> None: ...


class Watched:
    """Another source, whose frames carry the right time even if the clock was set after the start.

    Sources stamp frames with the time of the start plus what has elapsed since. ``watch`` is called with the wall
    time of every frame before the frame is delivered, so that what has ended is wiped whether or not anything is seen.
    ``overseer`` is told when the pipeline comes back for the next frame, so that the one before is described.
    """

    def __init__(
        self, source: FrameSource, keeper: Timekeeper, watch: Callable[[float], None], overseer: Overseer | None = None
    ) -> None:
        self._source, self._keeper, self._watch, self._overseer = source, keeper, watch, overseer
        self._next: FrameSource | None = None
        self._offset = 0.0  # frame time that sources before this one have taken
        self._gone = 0

    @property
    def delivered(self) -> int:
        return self._gone + self._source.delivered

    @property
    def skipped(self) -> Mapping[Skip, int]:
        return self._source.skipped

    def exchange(self, source: FrameSource) -> None:
        """Goes on with ``source`` after the current frame; the one before is closed."""
        self._next = source
        self._source.close()

    def __iter__(self) -> Iterator[Frame]:
        last = 0.0
        while True:
            for frame in self._source:
                last = self._offset + frame.monotonic
                yield from self._pass(dataclasses.replace(frame, index=self._gone + frame.index, monotonic=last))
            if self._next is None:
                return
            self._gone += self._source.delivered
            self._offset = last + 1.0
            self._source, self._next = self._next, None

    def _pass(self, frame: Frame) -> Iterator[Frame]:
        self._keeper.tick()
        set_by = self._keeper.offset
        timed = dataclasses.replace(frame, wall=frame.wall + set_by) if abs(set_by) > JUMP else frame
        self._watch(timed.wall)
        if self._overseer is None:
            yield timed
        elif self._overseer.wants(timed):
            yield timed
            self._overseer.done()

    def close(self) -> None:
        self._next = None
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
