"""The learning-rate range test: steps of the training loop at rates that grow."""

import copy
import math
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import torch
from torch import nn

from stages.engine import compiling, optim
from stages.engine.compute import Compute, seed_torch
from stages.engine.loop import Batches, take_step
from stages.engine.schema import RangeTest, Run


def range_test(
    model: nn.Module, *, task: ModuleType, run: Run, batches: Batches, compute: Compute, seed: int
) -> tuple[list[float], list[float]]:
    """Leslie Smith's learning-rate range test (arXiv:1506.01186): steps at exponentially growing rates.

    Returns the rates and the losses, up to the step where the smoothed loss is four times its minimum. The model and
    the state of the random generators are as before the call.
    """
    test: RangeTest = run.range_test
    before = copy.deepcopy(model.state_dict())
    optimizer, scaler = optim.build_optimizer(run.optimizer, model, test.start), compute.grad_scaler(model)
    rates: list[float] = []
    losses: list[float] = []
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        network, _ = compiling.compiled(model, task, run, batches, compute)
        model.train()
        for step, batch in enumerate(_endless(batches)):
            seed_torch(seed, step)
            rate = optim.sweep_lr(test, step)
            step_losses, _ = take_step(network, optimizer, scaler, batch, task, run, compute, rate)
            loss = step_losses.mean().item()
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            smooth = optim.smooth(losses)
            if len(rates) == test.steps or smooth[-1] > 4 * min(smooth):
                break
    model.load_state_dict(before)
    return rates, losses


def _endless(batches: Batches) -> Iterator[Any]:
    epoch = 0
    while True:
        yield from batches.epoch(epoch)
        epoch += 1
