"""What a model's run has given, taken out of the interpreter's memory as far as somebody asks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from edge.vision.values import Floats

Tensor = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Output:
    """One output tensor, as it lies in the interpreter's memory and in real numbers."""

    seen: Callable[[], Tensor]  # a look into the interpreter's memory
    scale: np.float32  # 0: of numbers that are real already
    zero: np.float32
    real: Floats  # reused by every run

    def all(self) -> Floats:
        if self.scale == 0:
            np.copyto(self.real, self.seen())
        else:
            np.subtract(self.seen(), self.zero, self.real)
            np.multiply(self.real, self.scale, self.real)
        return self.real

    def rows(self, cells: Sequence[int]) -> list[list[float]]:
        some: list[list[float]] = self.seen().reshape(-1, self.real.shape[-1])[cells].tolist()
        return [self._dequantised(row) for row in some] if self.scale else some

    def above(self, least: float) -> tuple[list[int], list[float]]:
        seen = self.seen().reshape(-1)
        (cells,) = (seen >= self._level(least)).nonzero()
        some: list[float] = seen[cells].tolist()
        return cells.tolist(), self._dequantised(some) if self.scale else some

    def _level(self, least: float) -> Any:
        """``least`` as a number like those in memory: comparing these costs a third."""
        if not self.scale:
            return np.float32(least)
        level, limits = math.ceil(least / float(self.scale) + float(self.zero) - 1e-4), np.iinfo(self.seen().dtype)
        return level if level > limits.max else limits.dtype.type(max(level, limits.min))

    def _dequantised(self, found: list[float]) -> list[float]:
        scale, zero = float(self.scale), float(self.zero)
        return [(value - zero) * scale for value in found]

    def numbers(self) -> list[float]:
        found: list[float] = self.seen().reshape(-1).tolist()
        return self._dequantised(found) if self.scale else found


class Answers(Sequence[Floats]):
    """What a run has given, each array made when it is first asked for: often the first one says enough."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = outputs
        self._made: dict[int, Floats] = {}

    def __len__(self) -> int:
        return len(self._outputs)

    def __iter__(self) -> Iterator[Floats]:
        return iter([self[n] for n in range(len(self._outputs))])  # Sequence's own ends with an exception, which costs

    @overload
    def __getitem__(self, index: int) -> Floats: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Floats]: ...
    def __getitem__(self, index: int | slice) -> Floats | Sequence[Floats]:
        if isinstance(index, slice):
            return [self[n] for n in range(*index.indices(len(self)))]
        if index not in self._made:
            self._made[index] = self._outputs[index].all()
        return self._made[index]

    def rows(self, index: int, cells: Sequence[int]) -> list[list[float]]:
        return self._outputs[index].rows(cells)

    def above(self, index: int, least: float) -> tuple[list[int], list[float]]:
        return self._outputs[index].above(least)

    def shape(self, index: int) -> tuple[int, ...]:
        return self._outputs[index].real.shape

    def numbers(self, index: int) -> list[float]:
        return self._outputs[index].numbers()


def rows(found: Sequence[Floats], index: int, cells: Sequence[int]) -> list[list[float]]:
    """What a model has ``found`` at ``cells`` of a map: of ``found[index]`` ``(..., channels)``, the places before the
    channels counted through, one list of channels for each. The rest of the map is left as it is."""
    if isinstance(found, Answers):
        return found.rows(index, cells)
    some: list[list[float]] = found[index].reshape(-1, found[index].shape[-1])[cells].tolist()
    return some


def above(found: Sequence[Floats], index: int, least: float) -> tuple[list[int], list[float]]:
    """The places of ``found[index]`` with at least ``least``, counted through, and what is there."""
    if isinstance(found, Answers):
        return found.above(index, least)
    every = found[index].reshape(-1)
    (cells,) = (every >= np.float32(least)).nonzero()
    return cells.tolist(), every[cells].tolist()


def shape(found: Sequence[Floats], index: int) -> tuple[int, ...]:
    """The shape of ``found[index]``."""
    return found.shape(index) if isinstance(found, Answers) else found[index].shape


def numbers(found: Sequence[Floats], index: int) -> list[float]:
    """All of ``found[index]`` as one list: where there are but a few, arrays cost more than they are worth."""
    if isinstance(found, Answers):
        return found.numbers(index)
    return [float(value) for value in found[index].ravel()]
