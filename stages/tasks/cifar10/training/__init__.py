"""What training on CIFAR-10 needs: the model, the batches, the loss and the score. N C H W, K classes."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.images.training import batches
from stages.images.training.batches import ImageBatch
from stages.tasks.cifar10 import SIDE
from stages.tasks.cifar10.settings import Loss
from stages.training.protocol import Score

SCORE = Score("accuracy", higher_is_better=True)
TRAIN_METRIC = "accuracy"


def build_model(run: Run, stats: dict[str, Any]) -> nn.Module:
    """The run's network, freshly initialised from PyTorch's random state."""
    module = import_module(f"stages.tasks.cifar10.models.{run.model.name}")
    model: nn.Module = module.Model(len(stats["classes"]), **run.model.arguments)
    return model


def example(stats: dict[str, Any]) -> tuple[Tensor, ...]:
    """An input of the model."""
    return (torch.zeros(1, 3, SIDE, SIDE),)


def train_batches(features: Path, run: Run, compute: Compute, seed: int) -> batches.DeviceBatches | batches.WorkerBatches:
    """Training batches, augmented, in an order of its own each epoch."""
    images = read_images(features, "train")
    return batches.of_split(images, features, "train", run, compute, seed=seed, augment=run.augment)


def eval_batches(features: Path, split: str, run: Run, compute: Compute) -> batches.DeviceBatches | batches.WorkerBatches:
    """Batches of a split in its own order, as they are. A split without labels has targets of -1."""
    return batches.of_split(read_images(features, split), features, split, run, compute)


def read_images(features: Path, split: str) -> np.ndarray:
    """(N, 32, 32, 3) uint8, in a memory map."""
    images: np.ndarray = np.load(features / split / "images.npy", mmap_mode="r")
    return images


def forward(model: nn.Module, batch: ImageBatch) -> Tensor:
    """Logits (N, K), float32."""
    logits: Tensor = model(batch.inputs)
    return logits.float()


def loss(output: Tensor, batch: ImageBatch, settings: Loss) -> Tensor:
    """Cross-entropy of each image (N,), from logits (N, K)."""
    return F.cross_entropy(output, batch.targets, reduction="none", label_smoothing=settings.label_smoothing)


def score(output: Tensor, batch: ImageBatch) -> Tensor:
    """1 for each image whose class has the highest logit, else 0: (N,)."""
    return (output.argmax(1) == batch.targets).float()


train_metric = score
