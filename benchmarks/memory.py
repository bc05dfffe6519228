"""Compute the GPU memory of a training step: each full network at its batch size, in fp32 and in bf16.

    python -m benchmarks.memory [RUN ...]

No GPU is needed, as the tensors are fake. Counted are the weights, the two copies that training keeps (the last epoch's and
the best one's), gradients, optimizer state, and what the forward pass saves for the backward pass, plus twice the largest of
these tensors for the backward pass itself. For an LSTM six values per unit and frame are assumed (four gates, the cell, its
tanh) besides input and output, as cuDNN does not document what it saves. Not counted: CUDA itself (0.5 to 1 GB), cuDNN's
workspaces, fragmentation, and images of `loading: device`.
"""

import argparse
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from benchmarks.fake_gpu import CUDA, fake_gpu, fake_network
from benchmarks.features import STATS
from benchmarks.gpu.sizes import full_params
from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.columns import columns
from stages.core.errors import InputError, run_command
from stages.images.training.batches import ImageBatch
from stages.sequences.training.batches import SequenceBatch
from stages.tasks import task_module

FRAMES = 1650  # 16.5 s, which only a few utterances of train-clean-100 exceed
SIZES = (16, 24, 80, 141)  # GB: T4 or V100, L4 or RTX 4090, A100 or H100, H200


@dataclass(frozen=True)
class Peak:
    """Memory in bytes."""

    weights: int  # three copies: trained, last epoch's, best
    gradients: int
    optimizer: int
    activations: int
    largest: int  # activation

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer + self.activations + 2 * self.largest


class LikeCudnn(torch.autograd.Function):
    """Saves as much as cuDNN's LSTM is assumed to. x (N, T, F) -> (N, T, hidden)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, hidden: int) -> Tensor:
        y = x.new_empty(*x.shape[:2], hidden)
        ctx.save_for_backward(x, y, x.new_empty(*x.shape[:2], 6 * hidden))
        return y


def _lstm(lstm: nn.LSTM, x: Tensor) -> tuple[Tensor, None]:
    """Replaces nn.LSTM.forward. Under autocast, even to bf16, PyTorch passes float16 to cuDNN."""
    return LikeCudnn.apply(x.half() if torch.is_autocast_enabled("cuda") else x, lstm.hidden_size), None


def fake_batch(run: Run, stats: Any) -> Any:
    """Return the largest batch of an epoch, in which all utterances are as long as the longest."""
    num = run.batch_size
    if run.inputs == "sequences":
        lengths = torch.empty(num, dtype=torch.int64, device=CUDA)
        inputs = torch.empty(num, FRAMES, stats.num_features, device=CUDA)
        return SequenceBatch(inputs, lengths, lengths.unsqueeze(1), lengths, lengths)
    inputs = torch.empty(num, 3, stats.side, stats.side, device=CUDA, memory_format=torch.channels_last)
    targets = torch.empty(num, dtype=torch.int64, device=CUDA)
    return ImageBatch(inputs, targets, targets)


def activations(model: nn.Module, task: ModuleType, batch: Any, compute: Compute) -> tuple[int, int]:
    """Return the bytes that the forward pass saves for the backward pass, in total and of the largest tensor."""
    own = {weight.untyped_storage()._cdata for weight in model.parameters()}
    saved: dict[int, Tensor] = {}

    def save(tensor: Tensor) -> Tensor:
        saved.setdefault(tensor.untyped_storage()._cdata, tensor)  # a reference, so that no other storage gets its id
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor), compute.autocast():
        output = task.forward(model, batch)
    del output
    sizes = [tensor.untyped_storage().nbytes() for number, tensor in saved.items() if number not in own]
    return sum(sizes), max(sizes)


def peak(run: Run, precision: str) -> Peak:
    """Return the memory of a run on real data. With `accumulate`, the largest part of a batch counts."""
    task, stats = task_module(run.task, "training"), STATS[run.task]
    run = replace(run, batch_size=-(-run.batch_size // run.train.accumulate))
    with fake_gpu(), patch.object(nn.LSTM, "forward", _lstm):
        model = fake_network(task, run, stats).train()
        kept, largest = activations(model, task, fake_batch(run, stats), Compute(CUDA, precision))
    weights = sum(4 * weight.numel() for weight in model.parameters())
    states = 1 if run.optimizer.name == "sgd" else 2
    return Peak(3 * weights, weights, states * weights, kept, largest)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("runs", nargs="*", metavar="RUN", help="default: all")
    params = full_params()
    rows: list[tuple[str, ...]] = [
        ("run", "batch", "precision", "weights", "gradients", "optimizer", "activations", "in all, GB", "fits")
    ]
    for name in parser.parse_args().runs or params.runs:
        run = params.run(name)
        if not isinstance(run.batch_size, int):
            raise InputError(f"runs.{name}.batch_size: give a number of utterances; batches of a frame budget vary in size")
        for precision in ("fp32", "bf16"):
            found = peak(run, precision)
            parts = (found.weights, found.gradients, found.optimizer, found.activations + 2 * found.largest, found.total)
            fits = next((f"{size} GB" for size in SIZES if found.total / 1e9 + 1 <= 0.95 * size), "none")
            rows.append((name, str(run.batch_size), precision, *(f"{size / 1e9:.2f}" for size in parts), fits))
    print(columns(rows))


if __name__ == "__main__":
    run_command(main)
