"""The second look: a small network that sees one candidate up close, finds its corners and judges it.

``python -m models.plate_detector.closer [--out FOLDER] [--steps N]`` trains it, resumably, in about forty
minutes. It takes the detector's box, enlarged by ``CONTEXT`` and scaled to ``WIDTH`` x ``HEIGHT`` whatever
its shape, and returns the corners in that picture, and whether it is a plate at all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from edge.vision.plate_closer import CONTEXT
from models.plate_detector import train
from models.plate_detector.net import Conv, Dense
from models.plate_detector.sample import Sample, Studio

WIDTH, HEIGHT = 128, 64
SEED = 40
_BATCH = 64
_RATE = 2e-3

Pixels = NDArray[np.uint8]
Quad = NDArray[np.float32]
Crop = tuple[Pixels, Quad | None, float]  # picture, corners in it if known, 1 for a plate and 0 for anything else


class Closer(nn.Module):  # type: ignore[misc] # torch ships no types
    """``float (n, 3, 64, 128)``, BGR in [0, 1], to score ``(n, 1, 1, 1)`` (logit) and corners ``(n, 8, 1, 1)``.

    Corners are x, y of top left, top right, bottom right, bottom left, from the middle of the picture, in
    halves of its width and height.
    """

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(Conv(3, 24, 5, 2), Conv(24, 48, 3, 2), Dense(48), Conv(48, 96, 3, 2), Dense(96, 48)),
            *(Conv(96, 128, 3, 2), Dense(128, 64)),
        )
        self.whole = nn.Sequential(nn.Conv2d(128, 96, (4, 8), bias=False), nn.BatchNorm2d(96), nn.ReLU())
        self.score, self.corners = nn.Conv2d(96, 1, 1), nn.Conv2d(96, 8, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.whole(self.body(x))
        return self.score(seen), self.corners(seen)


def cut(pixels: Pixels, box: tuple[float, float, float, float]) -> tuple[Pixels, NDArray[np.float32]]:
    """The candidate ``box`` with its context, as the network wants it, and the 2x3 matrix there."""
    x0, y0, x1, y1 = box
    across, down = WIDTH / ((x1 - x0) * CONTEXT[0]), HEIGHT / ((y1 - y0) * CONTEXT[1])
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    matrix = np.array([[across, 0, WIDTH / 2 - across * x], [0, down, HEIGHT / 2 - down * y]], np.float32)
    picture = cv2.warpAffine(pixels, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(picture, np.uint8), matrix


def _jittered(rng: np.random.Generator, box: tuple[float, ...]) -> tuple[float, float, float, float]:
    """``box`` as inaccurate as the detector may give it."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    x, y = (x0 + x1) / 2 + rng.normal(0, 0.035) * width, (y0 + y1) / 2 + rng.normal(0, 0.07) * height
    width, height = width * np.exp(rng.normal(0, 0.08)), height * np.exp(rng.normal(0, 0.12))
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def crops(room: Studio, rng: np.random.Generator) -> Iterator[Crop]:
    """Plates and other things of one sample."""
    width, height = (640, 384) if rng.random() < 0.15 else (320, 320)
    sample = room.sample(rng, width, height)
    for box, quad in sample.plates:
        for _ in range(2 if quad is not None else 1):
            picture, matrix = cut(sample.pixels, _jittered(rng, box))
            yield picture, None if quad is None else quad @ matrix[:, :2].T + matrix[:, 2], 1.0
    for box in _others(rng, sample):
        yield cut(sample.pixels, box)[0], None, 0.0


def _others(rng: np.random.Generator, sample: Sample) -> Iterator[tuple[float, float, float, float]]:
    """Places of a sample that are no plate: anywhere, badly off a plate, or on something the sample calls junk."""
    high, wide = sample.pixels.shape[:2]
    taken = [b for b, _ in sample.plates] + sample.ignore
    wanted = [tuple(float(v) for v in _jittered(rng, b)) for b in sample.junk]
    width = float(np.exp(rng.uniform(np.log(20), np.log(200))))
    x, y = rng.uniform(0, wide - 20), rng.uniform(0, high - 10)
    wanted.append((x, y, x + width, y + width / rng.uniform(1.5, 5.5)))
    if sample.plates:
        (x0, y0, x1, y1), _ = sample.plates[rng.integers(len(sample.plates))]
        dx, dy = (
            rng.choice([-1, 1]) * rng.uniform(0.6, 1.2) * (x1 - x0),
            rng.choice([-1, 1]) * rng.uniform(0, 1.4) * (y1 - y0),
        )
        wanted.append((x0 + dx, y0 + dy, x1 + dx, y1 + dy))
    for a in wanted:
        inside = any(
            min(a[2], b[2]) - max(a[0], b[0]) > 0.5 * (b[2] - b[0]) and a[1] < b[3] and a[3] > b[1] for b in taken
        )
        if not inside and 0 < (a[0] + a[2]) / 2 < wide and 0 < (a[1] + a[3]) / 2 < high and a[2] - a[0] > 14:
            yield (a[0], a[1], a[2], a[3])


def batch(room: Studio, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pictures, corners, whether they are known, and whether it is a plate."""
    rng = np.random.default_rng((SEED, step))
    some: list[Crop] = []
    while len(some) < _BATCH:
        some += list(crops(room, rng))
    some = some[:_BATCH]
    half = np.array([WIDTH / 2, HEIGHT / 2], np.float32)
    quads = [np.zeros(8, np.float32) if q is None else ((q - half) / half).reshape(8) for _, q, _ in some]
    known = np.array([q is not None for _, q, _ in some], np.float32)
    pixels = torch.from_numpy(np.stack([p for p, _, _ in some])).permute(0, 3, 1, 2).float() / 255
    plate = np.array([s for _, _, s in some], np.float32)
    corners = torch.from_numpy(np.asarray(np.stack(quads), np.float32))
    ready = pixels.contiguous(memory_format=torch.channels_last)
    return ready, corners, torch.from_numpy(known), torch.from_numpy(plate)


def run(room: Studio, out: Path, steps: int) -> None:
    torch.manual_seed(SEED)
    net = Closer().to(memory_format=torch.channels_last)
    average = torch.optim.swa_utils.AveragedModel(
        net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995), use_buffers=True
    )
    optimiser = torch.optim.AdamW(net.parameters(), _RATE, weight_decay=1e-3)
    parts = {"net": net, "average": average, "optimiser": optimiser}
    file, step = out / "closer_checkpoint.pt", 0
    if file.exists():
        state = torch.load(file, weights_only=True)
        step = state["step"]
        for name, part in parts.items():
            part.load_state_dict(state[name])
    begun, first, losses = time.monotonic(), step, []
    while step < steps:
        for group in optimiser.param_groups:
            group["lr"] = train.rate(step, steps)
        pixels, corners, known, plate = batch(room, step)
        net.train()
        with torch.autocast("cpu", torch.bfloat16):
            score, found = net(pixels)
        judged = functional.binary_cross_entropy_with_logits(score.float().flatten(), plate)
        off = (found.float().flatten(1) - corners).abs().mean(1)
        placed = (off * known).sum() / known.sum().clamp(min=1)
        optimiser.zero_grad()
        (judged + 20 * placed).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimiser.step()
        average.update_parameters(net)
        step += 1
        losses.append((float(judged.detach()), float(placed.detach())))
        if step % 50 == 0:
            left = (time.monotonic() - begun) / (step - first) * (steps - step) / 60
            means = np.mean(losses[-50:], axis=0)
            print(f"step {step}/{steps} score {means[0]:.3f} corners {means[1]:.4f} | {left:.0f} min left", flush=True)
        if step % 200 == 0 or step == steps:
            torch.save({k: v.state_dict() for k, v in parts.items()} | {"step": step}, file)
    torch.save(average.module.state_dict(), out / "closer.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/plate_detector"))
    parser.add_argument("--steps", type=int, default=9000)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    run(train.studio(), chosen.out, chosen.steps)


if __name__ == "__main__":
    main()
