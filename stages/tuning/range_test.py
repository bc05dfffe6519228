"""The learning-rate range test: training steps at growing rates."""

import copy
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

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
    """Leslie Smith's learning-rate range test (arXiv:1506.01186): training steps at exponentially growing rates.

    Returns the rates and the losses, up to the step where the smoothed loss is four times its minimum. The model and the
    random generators are restored.
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
    """Return the learning rate of a step: from start to end in equal ratios."""
    return test.start * (test.end / test.start) ** (step / max(test.steps - 1, 1))


def smoothed_losses(losses: list[float]) -> list[float]:
    """Smooth with a Gaussian whose standard deviation is 1/50 of the series' length.

    Unlike a running average it has no lag, which would make the suggested rate too high. A wider one mixes the lowest losses
    with those of the divergence beside them, which makes the suggested rate too low.
    """
    width = max(len(losses) / 50, 1.0)
    steps = np.arange(len(losses))
    weights = np.exp(-0.5 * ((steps[:, None] - steps) / width) ** 2)
    smoothed: list[float] = (weights @ np.array(losses) / weights.sum(1)).tolist()
    return smoothed


class Suggestion(NamedTuple):
    """A suggested rate. decided: what decided it, in words. first, end: the rates between which it was searched.

    still_falls: the loss was lowest in the last step, so that a longer test might suggest a higher rate.
    """

    lr: float
    decided: str
    first: float
    end: float
    still_falls: bool


def suggest_lr(rates: list[float], losses: list[float]) -> Suggestion:
    """Return the rate of the steepest descent of the smoothed loss over the logarithm of the rate.

    The search is limited to a tenth to a third of the rate with the lowest loss, and starts after the loss has fallen by a
    tenth of its total fall. Without these limits noise decides, as with adaptive optimizers the loss falls evenly over three
    or four decades: with six of eight seeds custom_resnet's sample got a rate below 3e-4, at which it hardly learns. If the
    loss starts to fall only above that third, the rate at which it starts is returned.

    On all of CIFAR-10 custom_resnet, a quarter as wide, got 4.9e-3 this way. Five epochs from 1.2e-3, 3e-3 and 1e-2 ended at
    75.8, 80.6 and 83.0 % (docs/RESULTS.md). It got the first of these while the smoothing was twice as wide.

    Raises ValueError without a finite loss, or if it falls by no more than twice the median difference between two steps.
    """
    if not losses:
        raise ValueError("the first loss is not finite")
    smoothed = np.array(smoothed_losses(losses))
    lowest = _lowest_before_divergence(smoothed)
    fall = smoothed[0] - smoothed[lowest]
    if lowest == 0:
        raise ValueError("the loss never fell during the range test")
    if fall <= 2 * (noise := float(np.median(np.abs(np.diff(losses))))):
        raise ValueError(f"the loss fell by {fall:.2g} in all, but differs by {noise:.2g} from step to step")
    plateau = int((smoothed[:lowest] > smoothed[0] - fall / 10).nonzero()[0][-1])
    tenth, third = np.searchsorted(rates, [rates[lowest] / 10, rates[lowest] / 3]).tolist()
    first = max(plateau, tenth)
    end = max(third, first + 1)
    chosen = first + int(np.gradient(smoothed)[first:end].argmin())
    if first < chosen < end - 1:
        decided = "the steepest descent"
    elif chosen > first:
        decided = "a third of the rate with the lowest loss"
    else:
        decided = "the end of the plateau" if first == plateau else "a tenth of the rate with the lowest loss"
    return Suggestion(rates[chosen], decided, rates[first], rates[end - 1], lowest == len(rates) - 1)


def _lowest_before_divergence(smoothed: np.ndarray) -> int:
    """Return the step of the lowest loss before a tenth of the total fall is lost again.

    Batch norm lets a network recover from a rate that broke it, sometimes at a lower loss. No run trains well at that rate:
    one of eight seeds of custom_resnet's sample got 8e-2. The first half of the fall is left out, as noise may rise by a
    tenth there.
    """
    fall = smoothed[0] - smoothed.min()
    lost = smoothed - np.minimum.accumulate(smoothed) > fall / 10
    lost[: int((smoothed <= smoothed[0] - fall / 2).argmax())] = False
    end = int(lost.argmax()) if lost.any() else len(smoothed)
    return int(smoothed[:end].argmin())
