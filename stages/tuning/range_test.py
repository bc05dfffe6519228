"""The learning-rate range test: steps of the training loop at rates that grow."""

import copy
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from stages.compute.device import Compute, seed_torch
from stages.config.schema import RangeTest, Run
from stages.training import compiling, optimizers
from stages.training.protocol import Batches
from stages.training.step import take_step


def range_test(
    model: nn.Module, test: RangeTest, *, task: ModuleType, run: Run, batches: Batches, compute: Compute, seed: int
) -> tuple[list[float], list[float]]:
    """Leslie Smith's learning-rate range test (arXiv:1506.01186): steps at exponentially growing rates.

    Returns the rates and the losses, up to the step where the smoothed loss is four times its minimum. The model and
    the state of the random generators are as before the call.
    """
    before = copy.deepcopy(model.state_dict())
    optimizer, scaler = optimizers.build_optimizer(run.optimizer, model, test.start), compute.grad_scaler(model)
    rates: list[float] = []
    losses: list[float] = []
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        network, _ = compiling.compiled(model, task, run, batches, compute)
        model.train()
        for step, batch in enumerate(_endless(batches)):
            seed_torch(seed, step)
            rate = sweep_lr(test, step)
            step_losses, _ = take_step(network, optimizer, scaler, batch, task, run, compute, rate)
            loss = step_losses.mean().item()
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            smoothed = smoothed_losses(losses)
            if len(rates) == test.steps or smoothed[-1] > 4 * min(smoothed):
                break
    model.load_state_dict(before)
    return rates, losses


def _endless(batches: Batches) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1


def sweep_lr(test: RangeTest, step: int) -> float:
    """The learning rate of a range test's step: from start to end in equal ratios."""
    return test.start * (test.end / test.start) ** (step / max(test.steps - 1, 1))


def smoothed_losses(losses: list[float]) -> list[float]:
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
    smoothed = np.array(smoothed_losses(losses))
    lowest = int(smoothed.argmin())
    first, end = np.searchsorted(rates, [rates[lowest] / 10, rates[lowest] / 3])
    slopes = np.gradient(smoothed)[first : max(end, first + 1)] if lowest else np.zeros(1)
    if slopes.min() >= 0:
        raise ValueError("the loss never fell during the range test")
    return rates[first + int(slopes.argmin())]
