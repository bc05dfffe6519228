"""A training step of custom_resnet: the project's own against the plain float32 loop of a notebook.

    python -m benchmarks.custom_resnet

Ours: `stages.training.step.take_step`, channels last, bf16 where the CPU has instructions for it, our dropout.
The usual way: the same network with nn.Dropout, in PyTorch's default memory format and float32, and Adam as it comes. Full
width, batches of 128 that are made already; one thread, in turn. That the steps are the same is checked with dropout off:
their losses within 1 %, and in float32 within 0.1 %.
"""

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.compare import Result, compare
from stages.compute.device import Compute, choose
from stages.images.training.batches import ImageBatch
from stages.tasks import load_params
from stages.tasks.cifar10 import training
from stages.tasks.cifar10.models import custom_resnet
from stages.training import optimizers
from stages.training.step import take_step

BATCH, STEPS, LR = 128, 2, 1e-4


def make_batches() -> list[ImageBatch]:
    random = torch.Generator().manual_seed(0)
    shape = (BATCH, 32, 32, 3)
    return [
        ImageBatch(
            torch.randn(shape, generator=random).permute(0, 3, 1, 2),
            torch.randint(10, (BATCH,), generator=random),
            torch.arange(BATCH),
        )
        for _ in range(STEPS)
    ]


class Ours:
    def __init__(self, model: nn.Module, run: Any, compute: Compute) -> None:
        self.model, self.run, self.compute = compute.place(model), run, compute
        self.optimizer = optimizers.build_optimizer(run.optimizer, self.model, LR)
        self.scaler = compute.grad_scaler(model)

    def step(self, batch: ImageBatch) -> float:
        step = self.model, self.optimizer, self.scaler, batch, training, self.run, self.compute, LR
        return float(take_step(*step)[0].mean())


class Usual:
    def __init__(self, model: nn.Module, weight_decay: float) -> None:
        self.model = model
        for parent in list(model.modules()):
            for name, layer in parent.named_children():
                if isinstance(layer, nn.Dropout):
                    setattr(parent, name, nn.Dropout(layer.p))
        self.optimizer = torch.optim.Adam(model.parameters(), lr=LR, weight_decay=weight_decay)

    def step(self, images: Tensor, labels: Tensor) -> float:
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.model(images), labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def check_same_work(compute: Compute, run: Any, batches: list[ImageBatch]) -> None:
    """Adam's first steps are as long as the rate for every weight, whatever its gradient, noise included: a small rate."""
    model = custom_resnet.Model(10, dropout=0.0)
    mine, theirs = Ours(copy.deepcopy(model), run, compute), Usual(copy.deepcopy(model), run.optimizer.weight_decay)
    exact = Ours(copy.deepcopy(model), run, Compute(compute.device, "fp32"))
    for batch in batches:
        expected = theirs.step(batch.inputs.contiguous(), batch.targets)
        assert abs(mine.step(batch) / expected - 1) < 0.01
        assert abs(exact.step(batch) / expected - 1) < 0.001


def measure() -> list[Result]:
    torch.manual_seed(0)
    run, compute = load_params().run("custom_resnet"), choose("cpu", "auto", deterministic=False)
    batches = make_batches()
    check_same_work(compute, run, batches)
    mine = Ours(custom_resnet.Model(10), run, compute)
    theirs = Usual(custom_resnet.Model(10), run.optimizer.weight_decay)
    contiguous = [(batch.inputs.contiguous(), batch.targets) for batch in batches]

    def ours(number: int) -> int:
        mine.step(batches[number % STEPS])
        return BATCH

    def usual(number: int) -> int:
        theirs.step(*contiguous[number % STEPS])
        return BATCH

    claim, target = f"custom_resnet training step, {compute.precision}", 2.4 if compute.precision == "bf16" else 1.3
    return [compare(claim, "images", ours, usual, "the plain float32 loop", target)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    measure()
