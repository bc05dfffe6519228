"""Model, batches, loss and score of an image classifier. N C H W, K classes.

A task's training/ exports or wraps these functions. Its features have, per split, images.npy (N, side, side, 3) uint8 or the
bytes of encoded images, with labels.npy and names; its stats.json has ImageStats.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.images.settings import Loss
from stages.images.statistics import ImageStats
from stages.images.storage import EncodedImages, JoinedImages
from stages.images.training import batches
from stages.images.training.batches import Batches, ImageBatch
from stages.training.protocol import Score

SCORE = Score("accuracy", higher_is_better=True)
TRAIN_METRIC = "accuracy"


def build_model(run: Run, stats: ImageStats) -> nn.Module:
    """Build the run's network with random weights. Raises InputError if the images are too small for it."""
    name, smallest, side = run.model.name, run.model.smallest, stats.side
    if side < smallest:
        raise InputError(
            f"{name}: needs images of at least {smallest} pixels a side, but those of the task {run.task} have {side}; "
            "use another network or larger images"
        )
    module = import_module(f"stages.images.models.{name}")
    model: nn.Module = module.Model(len(stats.classes), **run.model.arguments)
    return model


def example(stats: ImageStats) -> tuple[Tensor, ...]:
    """Return an example input of the model."""
    return (torch.zeros(1, 3, stats.side, stats.side),)


def train_batches(features: Path, run: Run, compute: Compute, seed: int) -> Batches:
    """Return augmented training batches, in a random order per epoch; with train.final they include dev."""
    splits = run.train.splits
    parts = [read_images(features, split) for split in splits]
    images = parts[0] if len(parts) == 1 else JoinedImages(parts)
    return batches.of_split(images, features, splits, run, compute, seed=seed, augment=run.augment)


def eval_batches(features: Path, split: str, run: Run, compute: Compute) -> Batches:
    """Return batches of a split in its own order, without augmentation. Unknown targets are -1."""
    return batches.of_split(read_images(features, split), features, [split], run, compute)


def read_images(features: Path, split: str) -> np.ndarray | EncodedImages:
    """Return a split's images (N, side, side, 3) uint8, memory-mapped or decoded on access."""
    images: np.ndarray = np.load(features / split / "images.npy", mmap_mode="r")
    if images.ndim == 4:
        return images
    return EncodedImages(features / split / "images", ImageStats.read(features).side)


def forward(model: nn.Module, batch: ImageBatch) -> Tensor:
    """Return the logits (N, K) float32."""
    logits: Tensor = model(batch.inputs)
    return logits.float()


def mixed(criterion: Callable[[Tensor], Tensor], batch: ImageBatch) -> Tensor:
    """Return criterion(targets) (N,); for mixed images (MixUp, CutMix) the weighted mean over both targets."""
    own = criterion(batch.targets)
    if batch.partners is None or batch.share is None:
        return own
    return batch.share * own + (1 - batch.share) * criterion(batch.partners)


def loss(output: Tensor, batch: ImageBatch, settings: Loss) -> Tensor:
    """Return the cross-entropy of each image (N,), from logits (N, K)."""

    def cross_entropy(targets: Tensor) -> Tensor:
        return F.cross_entropy(output, targets, reduction="none", label_smoothing=settings.label_smoothing)

    return mixed(cross_entropy, batch)


def score(output: Tensor, batch: ImageBatch) -> Tensor:
    """Return 1 for each image whose target has the highest logit, else 0: (N,)."""
    return (output.argmax(1) == batch.targets).float()


def train_metric(output: Tensor, batch: ImageBatch) -> Tensor:
    """Return the score, for mixed images weighted over both targets: (N,)."""
    return mixed(lambda targets: (output.argmax(1) == targets).float(), batch)
