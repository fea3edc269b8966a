"""Trains the plate reader: ``python -m models.plate_reader.train --out FOLDER``.

One process on one core. Synthetic plates from easy to hard; photographed ones (the part of plates-ro's
train split that ``real`` calls ``learn``) join from ``REAL_FROM`` of the way on, things that are no plates
from the start. A shorter second part at a lower rate dwells on two rows and on letters with marks. The loss
is CTC (Graves et al., 2006) plus, where the generator knows which character stands where, a cross-entropy of
every column. Interrupted, it goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.vision.plate_reader import ALPHABET
from edge.vision.plate_strip import STEP, strip
from models.plate_reader import real
from models.plate_reader.data import INDEX, STEPS, Batch, Negatives, Real, Sample, Synthetic, collate, demanding
from models.plate_reader.net import Reader
from models.plategen import fetch_fonts

REAL_FROM = 0.25
REAL_SHARE = 0.14
NEGATIVE_SHARE = 0.08
HARDEST_AT = 0.3  # of the way, when the hardest pictures come in
SAVE_EVERY = 250
CHECK_EVERY = 500


@dataclass(frozen=True)
class Plan:
    """What a training is made of; the same plan gives the same training."""

    steps: int = 6500
    batch: int = 64
    rate: float = 3e-3
    warm_up: int = 200
    seed: int = 20261123
    finish: bool = False  # the second part: all difficulties from the start, and more of the demanding plates


FINISH = Plan(steps=1600, rate=1e-3, warm_up=50, seed=Plan.seed + 100, finish=True)


class Stream:
    """The batches of a plan."""

    def __init__(self, plan: Plan) -> None:
        fonts = fetch_fonts.load()
        self.plan = plan
        self.synthetic = Synthetic(fonts, plan.seed)
        self.demanding = [Synthetic(fonts, plan.seed + 50 + i, c, wanted=demanding) for i, c in enumerate(("RS", None))]
        self.real = Real(real.plates("learn"))
        self.negatives = Negatives(fonts, real.empty_frames("learn"))

    def batch(self, step: int) -> Batch:
        """The batch of ``step``, the same each time it is asked for."""
        progress = 1.0 if self.plan.finish else step / self.plan.steps
        rng = np.random.default_rng([self.plan.seed, 3, step])
        cap = min(1.0, 0.1 + 0.9 * progress / HARDEST_AT)
        photos = round(REAL_SHARE * self.plan.batch) if progress >= REAL_FROM else 0
        nothing = round(NEGATIVE_SHARE * self.plan.batch)
        drawn = self.plan.batch - photos - nothing
        hard = cap * np.sqrt(rng.random(self.plan.batch))
        first = step * self.plan.batch
        worlds = [self.synthetic]
        if self.plan.finish:
            worlds = [self.synthetic, self.demanding[0], self.synthetic, self.demanding[1]]
        samples: list[Sample] = [worlds[i % len(worlds)].sample(first + i, hard[i]) for i in range(drawn)]
        samples += [self.negatives.sample(rng, hard[-1 - i]) for i in range(nothing)]
        samples += [self.real.sample(rng, 0.3) for _ in range(photos)]
        return collate(samples)


def to_input(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """Strips ``uint8 (n, HEIGHT, WIDTH)`` as the network takes them."""
    values = (torch.from_numpy(pixels).float() - 128) / STEP
    return values.unsqueeze(1).contiguous(memory_format=torch.channels_last)


def loss_of(logits: Tensor, batch: Batch, column_weight: float) -> tuple[Tensor, Tensor]:
    """CTC and column losses, means over the batch; their weighted sum comes first."""
    scores = logits.float().squeeze(2).log_softmax(1)
    texts = torch.tensor([INDEX[c] for text in batch.texts for c in text], dtype=torch.long)
    lengths = torch.tensor([len(text) for text in batch.texts])
    steps = torch.full((len(batch.texts),), STEPS)
    ctc = functional.ctc_loss(scores.permute(2, 0, 1), texts, steps, lengths, zero_infinity=True)
    by_column = functional.nll_loss(scores[torch.from_numpy(batch.known)], torch.from_numpy(batch.columns))
    return ctc + column_weight * by_column, ctc.detach()


def decode(logits: Tensor) -> list[str]:
    """The texts of the best path, one per row of ``(n, CLASSES, 1, STEPS)``."""
    texts = []
    for path in logits.squeeze(2).argmax(1).numpy():
        kept = [v for i, v in enumerate(path) if v and (i == 0 or v != path[i - 1])]
        texts.append("".join(ALPHABET[v - 1] for v in kept))
    return texts


class Checks:
    """Fixed pictures to follow a training by: kept-back photographs and plates in kept-back typefaces."""

    def __init__(self, seed: int) -> None:
        drawn = Synthetic(fetch_fonts.load(kept_back=True), seed + 1, reuse=1)
        easy = [drawn.sample(i, 0.5) for i in range(300)]
        hard = [drawn.sample(i, 1.0) for i in range(300, 600)]
        crops = real.plates("dev")
        photos = [Sample(strip(c.pixels, c.corners()), c.text, None) for c in crops]
        self.sets = {"photos": photos, "drawn": easy, "hard": hard}

    def report(self, net: nn.Module) -> str:
        """The share of texts that ``net`` gets exactly right, per set."""
        net.eval()
        return "  ".join(f"{name} {_exact(net, samples):.3f}" for name, samples in self.sets.items())


def _exact(net: nn.Module, samples: Sequence[Sample]) -> float:
    right = 0
    for start in range(0, len(samples), 100):
        part = samples[start : start + 100]
        with torch.no_grad():
            texts = decode(net(to_input(np.stack([s.pixels for s in part]))))
        right += sum(text == s.text for text, s in zip(texts, part, strict=True))
    return right / max(1, len(samples))


class Training:
    """The network, its running average and the optimiser, as of some step."""

    def __init__(self, plan: Plan, folder: Path, start: Path | None = None) -> None:
        torch.manual_seed(plan.seed)
        self.plan, self.path, self.step = plan, folder / "checkpoint.pt", 0
        self.net = Reader().to(memory_format=torch.channels_last)
        if start is not None:
            self.net.load_state_dict(torch.load(start)["average"])
        self.average = copy.deepcopy(self.net)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), plan.rate, weight_decay=1e-2)
        if self.path.exists():
            saved = torch.load(self.path)
            self.net.load_state_dict(saved["net"])
            self.average.load_state_dict(saved["average"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.step = saved["step"]

    def save(self) -> None:
        """Writes the checkpoint; an interruption leaves the old one."""
        state = {"net": self.net.state_dict(), "average": self.average.state_dict(), "step": self.step,
                 "optimiser": self.optimiser.state_dict()}
        torch.save(state, self.path.with_suffix(".new"))
        self.path.with_suffix(".new").replace(self.path)

    def learn(self, batch: Batch) -> float:
        """One step; returns the CTC loss."""
        progress = self.step / self.plan.steps
        columns = 0.3 if self.plan.finish else max(0.3, 2 - 4 * progress)
        cosine = 0.5 * (1 + math.cos(math.pi * progress)) + 0.003
        for group in self.optimiser.param_groups:
            group["lr"] = self.plan.rate * min(1.0, (self.step + 1) / self.plan.warm_up) * cosine
        self.net.train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = self.net(to_input(batch.x))
        loss, ctc = loss_of(logits, batch, columns)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimiser.step()
        self.step += 1
        self._follow(min(0.998, self.step / (self.step + 20)))
        return float(ctc)

    def _follow(self, keep: float) -> None:
        # the values of a state_dict carry no gradients
        for mean, value in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1 - keep)
            else:
                mean.copy_(value)


def train(plan: Plan, folder: Path, start: Path | None = None) -> None:
    """Trains to the end of ``plan``: from the checkpoint in ``folder``, else from ``start``, else from nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    training, stream, checks = Training(plan, folder, start), Stream(plan), Checks(Plan.seed)
    began, first, recent = time.monotonic(), training.step, 0.0
    while training.step < plan.steps:
        ctc = training.learn(stream.batch(training.step))
        recent = ctc if training.step == first + 1 else 0.99 * recent + 0.01 * ctc
        if training.step % 50 == 0:
            spent = time.monotonic() - began
            left = spent / (training.step - first) * (plan.steps - training.step) / 60
            print(f"step {training.step}/{plan.steps}  ctc {recent:.3f}  {left:.0f} min left", flush=True)
        if training.step % SAVE_EVERY == 0:
            training.save()
        if training.step % CHECK_EVERY == 0 or training.step == plan.steps:
            print(f"step {training.step}: exact {checks.report(training.average)}", flush=True)
    training.save()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoints")
    out = parser.parse_args().out
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    train(Plan(), out / "main")
    train(FINISH, out / "finish", start=out / "main" / "checkpoint.pt")
