"""Between the camera and the pipeline: with every frame a look at the clock and at the grants."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Self

from edge.clock import JUMP, Timekeeper
from edge.vision.sources.base import FrameSource, Skip
from edge.vision.values import Frame


class Watched:
    """Another source, whose frames carry the right time even if the clock was set after the start.

    Sources stamp frames with the time of the start plus what has elapsed since. ``watch`` is called with the wall
    time of every frame before the frame is delivered, so that what has ended is wiped whether or not anything is seen.
    """

    def __init__(self, source: FrameSource, keeper: Timekeeper, watch: Callable[[float], None]) -> None:
        self._source, self._keeper, self._watch = source, keeper, watch

    @property
    def delivered(self) -> int:
        return self._source.delivered

    @property
    def skipped(self) -> Mapping[Skip, int]:
        return self._source.skipped

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            self._keeper.tick()
            set_by = self._keeper.offset
            timed = dataclasses.replace(frame, wall=frame.wall + set_by) if abs(set_by) > JUMP else frame
            self._watch(timed.wall)
            yield timed

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
