"""The plate detector's network: one stride-8 map of plate centres, with box and corners beside it.

An anchor-free centre detector (after Zhou et al., "Objects as Points", 2019) with a top-down pyramid
(Lin et al., 2017) down to stride 32, so that a cell sees plates of more than half the picture's width.
Only convolution, addition, ReLU and nearest-neighbour enlargement: all of it runs
on an Edge TPU and keeps its accuracy in int8. Score, box and corners are separate outputs because one
int8 scale cannot serve all three.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDE = 8
CELL = float(STRIDE)
WIDTH_UNIT, HEIGHT_UNIT = 72.0, 20.0  # log sizes are relative to these, so that they centre on zero


class Conv(nn.Sequential):  # type: ignore[misc] # torch ships no types
    """Convolution, batch normalisation and, unless ``relu`` is false, ReLU."""

    def __init__(self, given: int, made: int, kernel: int = 3, stride: int = 1, relu: bool = True):
        pad = (kernel - stride + 1) // 2
        layers: list[nn.Module] = [nn.Conv2d(given, made, kernel, stride, pad, bias=False), nn.BatchNorm2d(made)]
        super().__init__(*layers, *([nn.ReLU()] if relu else []))


class Dense(nn.Module):  # type: ignore[misc] # as above
    """Residual block of a full 3x3 convolution, to ``inner`` channels, and a 1x1 convolution back."""

    def __init__(self, channels: int, inner: int = 0):
        super().__init__()
        inner = inner or channels
        self.body = nn.Sequential(Conv(channels, inner), Conv(inner, channels, 1, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.body(x))


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class Net(nn.Module):  # type: ignore[misc] # as above
    """``float (n, 3, h, w)``, BGR in [0, 1], sides multiples of 32, to three maps of ``(h/8, w/8)``.

    Returns score ``(n, 1, ...)`` (logits), box ``(n, 4, ...)`` (centre offset from the middle of the cell,
    in cells; log width and log height over ``WIDTH_UNIT`` and ``HEIGHT_UNIT``) and corners ``(n, 8, ...)``
    (top left, top right, bottom right, bottom left x, y: displacement from the box's corners as a
    fraction of its width and height).
    """

    def __init__(self, channels: tuple[int, int, int, int] = (32, 64, 128, 160)):
        super().__init__()
        a, b, c, d = channels
        self.level4 = nn.Sequential(Conv(3, a, 6, 4), Dense(a))
        self.level8 = nn.Sequential(Conv(a, b, 3, 2), Dense(b), Dense(b))
        self.level16 = nn.Sequential(Conv(b, c, 3, 2), *(Dense(c, c // 2) for _ in range(3)))
        self.level32 = nn.Sequential(Conv(c, d, 3, 2), *(Dense(d, d // 2) for _ in range(3)))
        self.from32, self.side16, self.merge16 = Conv(d, c, 1, relu=False), Conv(c, c, 1, relu=False), Dense(c, c // 2)
        self.from16, self.side8, self.merge8 = Conv(c, b, 1, relu=False), Conv(b, b, 1, relu=False), Dense(b)
        self.score = nn.Sequential(Conv(b, b, 1), nn.Conv2d(b, 1, 1))
        self.shape = Conv(b, b, 1)
        self.box, self.corners = nn.Conv2d(b, 4, 1), nn.Conv2d(b, 8, 1)
        bias = self.score[-1].bias
        assert isinstance(bias, nn.Parameter)
        nn.init.constant_(bias, -4.0)  # plates are rare: start near the prior, not at one half

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        level8 = self.level8(self.level4(x))
        level16 = self.level16(level8)
        down = self.from32(self.level32(level16))
        down = self.merge16(functional.relu(self.side16(level16) + _double(down)))
        down = self.merge8(functional.relu(self.side8(level8) + _double(self.from16(down))))
        shape = self.shape(down)
        return self.score(down), self.box(shape), self.corners(shape)


def loss(made: tuple[Tensor, Tensor, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """The terms to minimise: ``score``, ``box``, ``corners``; targets as ``data.target`` draws them, stacked."""
    logits, box, corners = (part.float() for part in made)
    heat, known = target["heat"], target["known"]
    p = torch.sigmoid(logits[:, 0]).clamp(1e-5, 1 - 1e-5)
    positive = (heat == 1).float()
    hit = positive * (1 - p) ** 2 * torch.log(p)
    miss = (1 - positive) * known * (1 - heat) ** 4 * p**2 * torch.log(1 - p)
    score = -(hit + miss).sum() / positive.sum().clamp(min=1)
    weight = target["weight"]
    want = target["box"]
    shift = (box[:, :2] - want[:, :2]) * CELL
    width, height = _sizes(box)
    true_width, true_height = _sizes(want)
    iou = _iou(shift, width, height, true_width, true_height)
    logs = (box[:, 2:] - want[:, 2:]).abs().sum(1)
    drift = shift[:, 0].abs() / true_width + shift[:, 1].abs() / true_height
    box_loss = ((2 * (1 - iou) + logs + drift) * weight).sum() / weight.sum().clamp(min=1)
    return {"score": score, "box": box_loss, "corners": _corner_loss(box, corners, target)}


def _sizes(box: Tensor) -> tuple[Tensor, Tensor]:
    return WIDTH_UNIT * torch.exp(box[:, 2].clamp(-4, 3)), HEIGHT_UNIT * torch.exp(box[:, 3].clamp(-4, 4))


def _iou(shift: Tensor, width: Tensor, height: Tensor, true_width: Tensor, true_height: Tensor) -> Tensor:
    def shared(at: Tensor, size: Tensor, true: Tensor) -> Tensor:
        return (torch.minimum(at + size / 2, true / 2) - torch.maximum(at - size / 2, -true / 2)).clamp(min=0)

    both = shared(shift[:, 0], width, true_width) * shared(shift[:, 1], height, true_height)
    return both / (width * height + true_width * true_height - both + 1e-6)


def _corner_loss(box: Tensor, corners: Tensor, target: dict[str, Tensor]) -> Tensor:
    """L1 between decoded and true corners, as fractions of the true box: what rectification will feel."""
    want, weight = target["box"], target["corner_weight"]
    width, height = _sizes(box)
    true_width, true_height = _sizes(want)
    shift = (box[:, :2] - want[:, :2]) * CELL
    total = torch.zeros_like(weight)
    for n, (side_x, side_y) in enumerate(((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))):
        x = shift[:, 0] + width * (side_x + corners[:, 2 * n])
        y = shift[:, 1] + height * (side_y + corners[:, 2 * n + 1])
        true_x = true_width * (side_x + target["corners"][:, 2 * n])
        true_y = true_height * (side_y + target["corners"][:, 2 * n + 1])
        total = total + (x - true_x).abs() / true_width + (y - true_y).abs() / true_height
    return (total * weight).sum() / weight.sum().clamp(min=1)
