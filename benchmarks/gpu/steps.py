"""Timed training steps of the project, on any batches."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.sizes import Sizes
from stages.compute.device import DTYPES, Compute, seed_torch
from stages.compute.device import choose as choose_device
from stages.config.schema import Params
from stages.tasks import task_module
from stages.training import compiling, optimizers
from stages.training.step import take_step

LR = 1e-4


def choose(device: str, params: Params, *, deterministic: bool, compile: bool = False) -> Compute:
    """Choose the device like the stages, but allow several choices in a process."""
    torch.set_deterministic_debug_mode("default")
    return choose_device(device, params.precision, deterministic, compile)


class Trainer:
    """A run's network with random weights, and the training steps of `train` on batches from `features`.

    change: is applied to the network first.
    """

    def __init__(
        self,
        params: Params,
        name: str,
        compute: Compute,
        features: Path,
        change: Callable[[nn.Module], None] = lambda _: None,
    ) -> None:
        self.run, self.compute, self.seed = params.run(name), compute, params.seed
        self.task = task_module(self.run.kind, "training")
        self.batches = self.task.train_batches(features, self.run, compute, params.seed)
        seed_torch(params.seed)
        model = self.task.build_model(self.run, task_module(self.run.kind, "statistics").Stats.read(features))
        change(model)
        model = compute.to_device(model).train()
        self.network, self.compile_seconds = compiling.compiled(model, self.task, self.run, self.batches, compute)
        self.optimizer, self.scaler = optimizers.build_optimizer(self.run.optimizer, model, LR), compute.grad_scaler(model)
        self.steps = 0

    def step(self, batch: Any) -> None:
        seed_torch(self.seed, self.steps)
        take_step(self.network, self.optimizer, self.scaler, batch, self.task, self.run, self.compute, LR)
        self.steps += 1

    def endless(self) -> Iterator[Any]:
        """Yield the batches of epoch after epoch."""
        return itertools.chain.from_iterable(self.batches.epoch(epoch) for epoch in itertools.count())

    def throughput(self, batches: Iterator[Any], sizes: Sizes, count: Callable[[Any], float]) -> float:
        """Return the items per second, including loading. count: returns the number of items in a batch."""
        for batch in itertools.islice(batches, sizes.warm_up):
            self.step(batch)
        counted = torch.zeros((), dtype=torch.float64, device=self.compute.device)  # avoids a synchronisation per batch
        self.compute.synchronize()
        began = time.perf_counter()
        while time.perf_counter() - began < sizes.seconds:
            batch = next(batches)
            self.step(batch)
            counted += count(batch)
        self.compute.synchronize()
        return float(counted) / (time.perf_counter() - began)

    def operations(self, batches: Iterator[Any], num: int = 3) -> dict[str, float]:
        """Return the device's milliseconds per step by PyTorch operation; for CTC those of the CPU if it runs there."""
        is_cuda = self.compute.device.type == "cuda"
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if is_cuda else [])]) as recorded:
            for batch in itertools.islice(batches, num):
                self.step(batch)
            self.compute.synchronize()
        found = {}
        for event in recorded.key_averages():
            if event.key.startswith("aten::"):
                on_cpu = event.self_cpu_time_total if not is_cuda or "ctc" in event.key else 0.0
                found[event.key] = ((event.self_device_time_total if is_cuda else 0.0) or on_cpu) / 1000 / num
        return found


def matmul_peak(compute: Compute, side: int, rounds: int = 10) -> float:
    """Return the floating-point operations per second of a product of random matrices in the training's precision."""
    kind = DTYPES[compute.precision]
    one, other = (torch.randn(side, side, device=compute.device).to(kind) for _ in range(2))
    times = []
    for _ in range(rounds):
        compute.synchronize()
        began = time.perf_counter()
        for _ in range(4):
            one @ other
        compute.synchronize()
        times.append((time.perf_counter() - began) / 4)
    return float(2 * side**3 / sorted(times)[len(times) // 2])
