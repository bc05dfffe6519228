"""Profile a run's training steps by phase: data, forward, loss, backward and optimizer.

    python -m benchmarks.profile RUN [--steps 50]

It takes the steps of the stage `train` on the run's own batches, made by `dvc repro normalize@<task>`. On a GPU each phase
is synchronised, so the sum is more than a step takes otherwise. Nothing is written.
"""

import argparse
import time
from collections import defaultdict
from typing import Any

import torch
from torch import nn

from stages.compute import device
from stages.compute.device import Compute
from stages.core import paths
from stages.core.errors import InputError
from stages.tasks import load_params, task_module
from stages.training import optimizers
from stages.training.step import take_step

LR = 1e-4
WARM_UP = 3  # steps before the clock counts


class Clock:
    """Seconds by phase: `end` adds the time since its last call to the named phase."""

    def __init__(self, compute: Compute) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._compute, self._last = compute, time.perf_counter()

    def end(self, phase: str) -> None:
        self._compute.synchronize()
        now = time.perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now


class TimedScaler(torch.amp.GradScaler):
    """A GradScaler that stops the clock after the loss, backward, clipping and the optimizer."""

    def __init__(self, clock: Clock, compute: Compute) -> None:
        super().__init__(compute.device.type, enabled=compute.precision == "fp16")
        self._clock, self._running = clock, "loss"

    def scale(self, outputs: Any) -> Any:
        scaled = super().scale(outputs)
        self._clock.end("loss")
        self._running = "backward"
        return scaled

    def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
        self._clock.end("backward")
        super().unscale_(optimizer)
        self._running = "clipping"

    def step(self, optimizer: torch.optim.Optimizer, *args: Any, **kwargs: Any) -> float | None:
        self._clock.end(self._running)
        result: float | None = super().step(optimizer, *args, **kwargs)
        self._clock.end("optimizer")
        return result


def profile(name: str, steps: int) -> dict[str, float]:
    """Return the seconds by phase of `steps` steps after the warm-up."""
    params = load_params()
    run = params.run(name)
    task, stats = task_module(run.kind, "training"), task_module(run.kind, "statistics").Stats.read(paths.features(run.task))
    compute = device.choose(params.device, params.precision, params.deterministic)
    batches = task.train_batches(paths.features(run.task), run, compute, params.seed)
    model: nn.Module = compute.to_device(task.build_model(run, stats)).train()
    optimizer = optimizers.build_optimizer(run.optimizer, model, LR)
    clock = Clock(compute)
    scaler = TimedScaler(clock, compute)

    def forward_ends(*_: Any) -> None:
        clock.end("forward")

    model.register_forward_hook(forward_ends)
    taken, epoch = 0, 0
    while taken < WARM_UP + steps:
        for batch in batches.epoch(epoch):
            clock.end("data")
            take_step(model, optimizer, scaler, batch, task, run, compute, LR)
            clock.end("other")
            taken += 1
            if taken == WARM_UP:
                clock.seconds.clear()
            if taken == WARM_UP + steps:
                break
        epoch += 1
    return dict(clock.seconds)


def main(name: str, steps: int) -> None:
    seconds = profile(name, steps)
    total = sum(seconds.values())
    print(f"{name}: {1000 * total / steps:.1f} ms a step, of which")
    for phase in ("data", "forward", "loss", "backward", "clipping", "optimizer", "other"):
        if phase in seconds:
            print(f"  {phase:<10}{1000 * seconds[phase] / steps:9.2f} ms {seconds[phase] / total:6.1%}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    try:
        main(arguments.run, arguments.steps)
    except InputError as error:
        raise SystemExit(str(error)) from None
