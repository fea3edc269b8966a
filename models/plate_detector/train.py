"""Trains the plate detector: ``python -m models.plate_detector.train [--out FOLDER] [--steps N]``.

Stops and resumes at any time: started again with the same folder it goes on from the last checkpoint.
Every step draws its samples from its own seed, so a resumed run sees what an uninterrupted one would have.
About an hour on one CPU core that has bfloat16; card.md says what else it needs.
"""

from __future__ import annotations

import argparse
import copy
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from models.plate_detector import data, metrics
from models.plate_detector.net import Net, loss
from models.plate_detector.paste import bank
from models.plate_detector.sample import Sample, Studio, target
from models.plategen import fetch_fonts

SEED = 20
_SHAPES = ((320, 320, 10), (320, 320, 10), (640, 384, 4))  # width, height, samples of a step, in turn
_RATE = 2e-3
_WARM_UP = 150


def studio() -> Studio:
    fonts = fetch_fonts.load()
    frames, photos = data.frames("train"), data.photos()
    print(f"{len(frames)} street frames, {len(photos)} photographs without plates", flush=True)
    return Studio(frames, photos, data.cars(SEED, fonts, photos, 300), bank(SEED, fonts, 4000), fonts)


def batch(room: Studio, step: int) -> tuple[Tensor, dict[str, Tensor]]:
    """The samples of ``step``, ``float (n, 3, h, w)`` in [0, 1], and their stacked targets."""
    width, height, count = _SHAPES[step % len(_SHAPES)]
    rng = np.random.default_rng((SEED, step))
    samples = [room.sample(rng, width, height) for _ in range(count)]
    targets = [target(s) for s in samples]
    pixels = torch.from_numpy(np.stack([s.pixels for s in samples])).permute(0, 3, 1, 2).float() / 255
    stacked = {k: torch.from_numpy(np.stack([t[k] for t in targets])) for k in targets[0]}
    return pixels.contiguous(memory_format=torch.channels_last), stacked


def rate(step: int, steps: int) -> float:
    return _RATE * min(1.0, (step + 1) / _WARM_UP) * (0.5 + 0.5 * float(np.cos(np.pi * step / steps))) + 1e-5


def forward_of(net: Net) -> metrics.Forward:
    """A float network as the scoring functions want it."""
    net.eval()

    def forward(pixels: data.Pixels) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
        with torch.no_grad():
            maps = net(torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).float() / 255)
        return [m[0].permute(1, 2, 0).numpy() for m in maps]

    return forward


def synthetic(room: Studio, count: int, seed: int) -> list[Sample]:
    rng = np.random.default_rng((seed, 1))
    return [room.sample(rng, 640, 384) for _ in range(count)]


def report(net: Net, dev: list[data.Source], made: list[Sample]) -> str:
    forward = forward_of(net)
    tally = metrics.Tally()
    for n, sample in enumerate(made):
        quads = {i: q for i, (_, q) in enumerate(sample.plates) if q is not None}
        truth = data.boxes([b for b, _ in sample.plates])
        tally.add(str(n), metrics.find(forward, sample.pixels), truth, data.boxes(sample.ignore), quads)
    return f"dev: {metrics.on_frames(forward, dev).line(0.2)}\n    made: {tally.line(0.2)}"


class Trainer:
    """Network, its running average, the optimiser and where they are stored."""

    def __init__(self, out: Path, steps: int) -> None:
        torch.manual_seed(SEED)
        self.net = Net().to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), _RATE, weight_decay=1e-3)
        self.step, self.steps, self.file = 0, steps, out / "checkpoint.pt"
        if self.file.exists():
            state = torch.load(self.file, weights_only=True)
            self.net.load_state_dict(state["net"])
            self.average.load_state_dict(state["average"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.step = state["step"]
            print(f"resumed at step {self.step}", flush=True)

    def save(self) -> None:
        parts = {"net": self.net, "average": self.average, "optimiser": self.optimiser}
        state = {k: v.state_dict() for k, v in parts.items()} | {"step": self.step}
        torch.save(state, self.file.with_suffix(".part"))
        self.file.with_suffix(".part").replace(self.file)

    def advance(self, pixels: Tensor, targets: dict[str, Tensor]) -> dict[str, float]:
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.step, self.steps)
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.net(pixels)
        terms = loss(maps, targets)
        total = terms["score"] + terms["box"] + 2 * terms["corners"]
        self.optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._blend(min(0.9985, (self.step + 1) / (self.step + 20)))
        return {k: float(v.detach()) for k, v in terms.items()}

    @torch.no_grad()  # type: ignore[untyped-decorator] # torch ships no types
    def _blend(self, keep: float) -> None:
        for kept, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if kept.dtype.is_floating_point:
                kept.lerp_(new, 1 - keep)
            else:
                kept.copy_(new)


def train(out: Path, steps: int) -> None:
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    room, dev = studio(), data.frames("dev")
    made = synthetic(room, 100, seed=SEED + 1)
    trainer = Trainer(out, steps)
    begun, first, losses = time.monotonic(), trainer.step, []
    while trainer.step < steps:
        losses.append(trainer.advance(*batch(room, trainer.step)))
        if trainer.step % 100 == 0:
            pace = (time.monotonic() - begun) / (trainer.step - first)
            means = " ".join(f"{k} {np.mean([m[k] for m in losses]):.3f}" for k in losses[0])
            left = pace * (steps - trainer.step) / 60
            print(f"step {trainer.step}/{steps} {means} | {pace:.2f} s a step, {left:.0f} min left", flush=True)
            losses.clear()
        if trainer.step % 500 == 0 or trainer.step == steps:
            trainer.save()
        if trainer.step % 1500 == 0 or trainer.step == steps:
            print(report(trainer.average, dev, made), flush=True)
    torch.save(trainer.average.state_dict(), out / "plate_detector.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/plate_detector"))
    parser.add_argument("--steps", type=int, default=11000)
    chosen = parser.parse_args()
    train(chosen.out, chosen.steps)


if __name__ == "__main__":
    main()
