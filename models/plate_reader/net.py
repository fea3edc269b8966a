"""The reader's network: convolutions, ReLU and additions only, so that int8 and an Edge TPU carry all of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edge.vision.plate_reader import ALPHABET
from edge.vision.plate_strip import HEIGHT, WIDTH

CLASSES = len(ALPHABET) + 1  # class 0 is the blank
STEPS = WIDTH // 4


def _conv(inner: int, outer: int, kernel: tuple[int, int] = (3, 3), stride: tuple[int, int] = (1, 1), groups: int = 1,
          relu: bool = True, pad: bool = True) -> nn.Sequential:
    padding = (kernel[0] // 2, kernel[1] // 2) if pad else (0, 0)
    layers: list[nn.Module] = [
        nn.Conv2d(inner, outer, kernel, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(outer),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


class _Residual(nn.Module):  # type: ignore[misc] # torch ships no types
    """The input plus what ``body`` makes of it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.body(x))


def _dense(width: int) -> _Residual:
    return _Residual(nn.Sequential(_conv(width, width), _conv(width, width, relu=False)))


def _context(width: int) -> _Residual:
    """Mixes five neighbouring columns: what may stand next to what."""
    row = (1, 5)
    return _Residual(nn.Sequential(
        _conv(width, width, row, groups=width), _conv(width, width, (1, 1)),
        _conv(width, width, row, groups=width), _conv(width, width, (1, 1), relu=False),
    ))


class Reader(nn.Module):  # type: ignore[misc] # as above
    """``(n, 1, 40, 160)``, strips as (grey - 128) / STEP, to logits ``(n, CLASSES, 1, STEPS)``."""

    def __init__(self, trunk: int = 128, head: int = 192) -> None:
        super().__init__()
        self.trunk = nn.Sequential(
            _conv(1, 16, stride=(2, 2)),
            _conv(16, 32, stride=(2, 1)),
            _conv(32, 64),
            _conv(64, trunk, stride=(2, 2)),
            _dense(trunk),
        )
        self.head = nn.Sequential(
            _conv(trunk, head, (HEIGHT // 8, 1), pad=False),
            _context(head),
            _context(head),
            nn.Dropout(0.1),
            nn.Conv2d(head, CLASSES, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.trunk(x))
        return out
