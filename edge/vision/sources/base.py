"""What every frame source promises, and the parts they share."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Protocol, Self

from edge.vision.values import Frame, Pixels


class Skip(StrEnum):
    """Why a source passed over a picture that should have been a frame."""

    UNREADABLE = "unreadable"  # the file could not be read from the disk
    CORRUPT = "corrupt"  # its bytes do not decode
    TOO_LARGE = "too large"  # more pixels than a camera can spare memory for
    DROPPED = "dropped"  # a newer one came before the pipeline was ready for it


class FrameSource(Protocol):
    """Frames in the order they were taken, once.

    Iterating gives frames with ``index`` 0, 1, 2 ... and strictly rising times; a second loop goes on where
    the first one stopped. What cannot be delivered is counted in ``skipped``, never raised, unless nothing
    more can come for a reason a person must act on: then VidikError. After ``close`` (any number of
    times) iteration ends without a frame.
    """

    @property
    def delivered(self) -> int: ...

    @property
    def skipped(self) -> Mapping[Skip, int]: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Source(ABC):
    """Counts, stamps and closes; a subclass yields pixels and their media time.

    ``wall_start`` is the wall time of media time 0, in seconds since the epoch, UTC.
    """

    def __init__(self, wall_start: float) -> None:
        self.delivered = 0
        self.skipped: Counter[Skip] = Counter()
        self._wall_start = wall_start
        self._closed = False
        self._frames = self._stamped()

    @abstractmethod
    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        """Pixels and media time in seconds, strictly rising from about 0."""

    def _stamped(self) -> Iterator[Frame]:
        for pixels, elapsed in self._pictures():
            index = self.delivered
            self.delivered += 1
            yield Frame(pixels, index, elapsed, self._wall_start + elapsed)

    def __iter__(self) -> Iterator[Frame]:
        while not self._closed:
            frame = next(self._frames, None)
            if frame is None:
                return
            yield frame

    def close(self) -> None:
        self._closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MemorySource(Source):
    """Frames from pictures already in memory, ``interval`` seconds apart; for tests and measurements."""

    def __init__(self, pictures: Sequence[Pixels], interval: float = 1 / 15, wall_start: float = 0.0) -> None:
        super().__init__(wall_start)
        self._held = pictures
        self._interval = interval

    def _pictures(self) -> Iterator[tuple[Pixels, float]]:
        for index, pixels in enumerate(self._held):
            yield pixels, index * self._interval


class Paced:
    """Another source, held back to real time: sleeps when ahead, never drops a frame when behind."""

    def __init__(
        self,
        source: FrameSource,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._clock = clock
        self._sleep = sleep
        self._offset: float | None = None

    @property
    def delivered(self) -> int:
        return self._source.delivered

    @property
    def skipped(self) -> Mapping[Skip, int]:
        return self._source.skipped

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._source:
            now = self._clock()
            if self._offset is None:
                self._offset = now - frame.monotonic
            ahead = frame.monotonic + self._offset - now
            if ahead > 0:
                self._sleep(ahead)
            yield frame

    def close(self) -> None:
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
