"""Optimizers, and schedules as pure functions of the step, so that a resumed run needs no scheduler's state.

The one schedule with a state is reduce-on-plateau, which listens to the dev score: `PlateauState`.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from stages.engine import schema
from stages.engine.schema import Constant, Cosine, CosineRestarts, OneCycle, Plateau


def build_optimizer(optimizer: schema.Optimizer, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """SGD, Adam (weight decay as an L2 penalty) or AdamW (decoupled)."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    fused = weights[0].device.type in ("cuda", "cpu")  # all in one pass; on a CPU Adam's step takes 0.4 of the time
    match optimizer.name:
        case "sgd":
            return torch.optim.SGD(
                weights,
                lr=lr,
                momentum=optimizer.momentum,
                nesterov=optimizer.nesterov,
                weight_decay=optimizer.weight_decay,
                fused=fused,
            )
        case "adam" | "adamw":
            kind = torch.optim.Adam if optimizer.name == "adam" else torch.optim.AdamW
            betas = (optimizer.momentum, 0.999)
            return kind(weights, lr=lr, betas=betas, weight_decay=optimizer.weight_decay, fused=fused)


def lr_factor(schedule: schema.Schedule, step: int, steps_per_epoch: int, epochs: int) -> float:
    """What to multiply the learning rate by in the step `step`, counted from 0 over all epochs."""
    total = steps_per_epoch * epochs
    match schedule:
        case Constant() | Plateau():
            return 1.0
        case OneCycle(_, pct_start, initial, final):
            # The phases end in the last step of theirs, as in torch.optim.lr_scheduler.OneCycleLR.
            peak, last = max(pct_start * total - 1, 0.0), max(total - 1.0, 1.0)
            if step < peak:
                return initial + (1 - initial) * step / peak
            return 1 - (1 - final) * (step - peak) / (last - peak)
        case Cosine(_, warmup_epochs):
            warmup = warmup_epochs * steps_per_epoch
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return (1 + math.cos(math.pi * (step - warmup) / max(total - warmup, 1))) / 2
        case CosineRestarts(_, t_0, t_mult):
            length, since = float(t_0), step / steps_per_epoch
            while since >= length:
                since, length = since - length, length * t_mult
            return (1 + math.cos(math.pi * since / length)) / 2


def sweep_lr(test: schema.RangeTest, step: int) -> float:
    """The learning rate of a range test's step: from start to end in equal ratios."""
    return test.start * (test.end / test.start) ** (step / max(test.steps - 1, 1))


@dataclass
class PlateauState:
    """Reduce-on-plateau: `scale` multiplies the learning rate; `update` takes each epoch's dev score."""

    scale: float = 1.0
    best: float | None = None
    waited: int = 0

    def update(self, schedule: Plateau, score: float, higher_is_better: bool) -> None:
        if self.best is None or (score > self.best if higher_is_better else score < self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        if self.waited > schedule.patience:
            self.scale, self.waited = self.scale * schedule.factor, 0


def smooth(losses: list[float]) -> list[float]:
    """Weighted means over neighbours on both sides, the weights a bell of a twenty-fifth of the series' length.

    Unlike the usual running average it has no lag, which would move the suggestion to a higher rate.
    """
    width = max(len(losses) / 25, 1.0)
    places = np.arange(len(losses))
    weights = np.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
    smoothed: list[float] = (weights @ np.array(losses) / weights.sum(1)).tolist()
    return smoothed


def suggest_lr(rates: list[float], losses: list[float]) -> float:
    """The rate of a range test at which the smoothed loss falls most steeply against the logarithm of the rate.

    Only from a tenth to a third of the rate of the loss's minimum, beyond which it grows. With adaptive optimizers it falls
    evenly over three or four decades, of which noise alone would choose one: with six of eight seeds custom_resnet's sample
    got a rate below 3e-4, at which it learns next to nothing. Raises ValueError where the loss never falls.
    """
    smoothed = np.array(smooth(losses))
    lowest = int(smoothed.argmin())
    first, end = np.searchsorted(rates, [rates[lowest] / 10, rates[lowest] / 3])
    slopes = np.gradient(smoothed)[first : max(end, first + 1)] if lowest else np.zeros(1)
    if slopes.min() >= 0:
        raise ValueError("the loss never fell during the range test")
    return rates[first + int(slopes.argmin())]
