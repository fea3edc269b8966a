"""Where the CPU time goes: a sampling profiler and the flame graph it draws.

A timer on the process's CPU time interrupts every five milliseconds; a stack is charged with the CPU time since the one
before, so that long calls into native code count in full, and a busy machine does not blur the picture.
"""

from __future__ import annotations

import html
import signal
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Self

_INTERVAL = 0.005  # seconds of CPU time between two samples
_LARGEST_GAP = 1.0  # what exceeds it was spent outside of the interpreter's reach, as at the start
_WIDTH, _ROW, _LEAST = 1200, 17, 0.5  # of the drawing, pixels

Stack = tuple[str, ...]


class Sampler:
    """Collects stacks of the main thread while it is entered. Only the main thread may enter it."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[CodeType, ...]] = Counter()
        self._last = 0.0

    @property
    def stacks(self) -> Counter[Stack]:
        """Microseconds by stack, outermost call first. Names are made here, not while the program is held up."""
        out: Counter[Stack] = Counter()
        for codes, spent in self._seen.items():
            out[tuple(f"{_module(code.co_filename)}:{code.co_qualname}" for code in reversed(codes))] += spent
        return out

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGPROF, self._sample)
        self._last = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, self._before)

    def _sample(self, _: int, frame: FrameType | None) -> None:
        now = time.process_time()
        spent, self._last = now - self._last, now
        if spent > _LARGEST_GAP:
            return
        stack = []
        while frame is not None:
            stack.append(frame.f_code)
            frame = frame.f_back
        self._seen[tuple(stack)] += round(spent * 1e6)


def _module(file: str) -> str:
    path = Path(file)
    return path.parent.name if path.stem == "__init__" else path.stem


@dataclass(slots=True)
class _Node:
    spent: int = 0
    below: dict[str, _Node] = field(default_factory=dict)


def collapsed(stacks: Counter[Stack], root: str) -> Counter[Stack]:
    """``stacks`` from the last frame called ``root`` downwards; those that never pass it are left out."""
    out: Counter[Stack] = Counter()
    for stack, spent in stacks.items():
        if root in stack:
            first = len(stack) - 1 - stack[::-1].index(root)
            out[stack[first:]] += spent
    return out


def draw(stacks: Counter[Stack], title: str) -> str:
    """A flame graph as SVG: width is CPU time, callees stand on their callers; hovering shows name and share."""
    tree = _Node()
    for stack, spent in stacks.items():
        node = tree
        node.spent += spent
        for name in stack:
            node = node.below.setdefault(name, _Node())
            node.spent += spent
    boxes: list[str] = []
    deepest = _boxes(tree, 0.0, 0, tree.spent, boxes)
    height = (deepest + 2) * _ROW
    body = "\n".join(boxes)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="monospace" font-size="11">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="4" y="12">{html.escape(title)}</text>\n<g transform="translate(0 {height})">\n{body}\n'
        "</g>\n</svg>\n"
    )


def _boxes(node: _Node, left: float, level: int, total: int, boxes: list[str]) -> int:
    deepest = level
    for name, child in sorted(node.below.items()):
        wide = _WIDTH * child.spent / max(1, total)
        if wide >= _LEAST:
            boxes.append(_box(name, left, wide, level, child.spent / total))
            deepest = max(deepest, _boxes(child, left, level + 1, total, boxes))
        left += wide
    return max(deepest, level)


def _box(name: str, left: float, wide: float, level: int, share: float) -> str:
    label = html.escape(name if len(name) * 6.7 < wide else name.rpartition(".")[2][: int(wide / 6.7)])
    # the colour only tells neighbours apart, and is the same in every drawing
    hue = zlib.crc32(name.encode()) % 50
    top = -(level + 1) * _ROW
    return (
        f'<g><title>{html.escape(name)}: {share:.1%}</title><rect x="{left:.1f}" y="{top}" width="{wide:.1f}" '
        f'height="{_ROW - 1}" fill="hsl({hue} 85% 68%)"/>'
        f'<text x="{left + 2:.1f}" y="{top + 12}">{label}</text></g>'
    )
