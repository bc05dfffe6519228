"""What training on faces needs: the model, the batches, the loss and the score. N C H W, D features, K identities."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.images.storage import EncodedImages
from stages.images.training import batches
from stages.images.training.batches import ImageBatch
from stages.tasks.faces.settings import Loss
from stages.tasks.faces.training.arcface import arcface_logits
from stages.tasks.faces.training.cosine_head import CosineHead
from stages.training.protocol import Score

SCORE = Score("accuracy", higher_is_better=True)
TRAIN_METRIC = "accuracy"


def build_model(run: Run, stats: dict[str, Any]) -> nn.Module:
    """The run's network, freshly initialised from PyTorch's random state; for ArcFace with a head of cosines."""
    module = import_module(f"stages.tasks.faces.models.{run.model.name}")
    model = module.Model(len(stats["classes"]), **run.model.arguments)
    if run.loss.arcface is not None:
        model.head = CosineHead(model.num_features, len(stats["classes"]), scale=run.loss.arcface.scale)
    assert isinstance(model, nn.Module)
    return model


def example(stats: dict[str, Any]) -> tuple[Tensor, ...]:
    """An input of the model."""
    return (torch.zeros(1, 3, stats["side"], stats["side"]),)


def train_batches(features: Path, run: Run, compute: Compute, seed: int) -> batches.DeviceBatches | batches.WorkerBatches:
    """Training batches, augmented, in an order of its own each epoch."""
    images = read_images(features, "train")
    return batches.of_split(images, features, "train", run, compute, seed=seed, augment=run.augment)


def eval_batches(features: Path, split: str, run: Run, compute: Compute) -> batches.DeviceBatches | batches.WorkerBatches:
    """Batches of a split in its own order, as they are. A split without labels has targets of -1."""
    return batches.of_split(read_images(features, split), features, split, run, compute)


def read_images(features: Path, split: str) -> EncodedImages:
    """The images of a split."""
    return EncodedImages(features / split / "images", json.loads((features / "stats.json").read_text())["side"])


def forward(model: nn.Module, batch: ImageBatch) -> Tensor:
    """Logits (N, K), float32."""
    logits: Tensor = model(batch.inputs)
    return logits.float()


def loss(output: Tensor, batch: ImageBatch, settings: Loss) -> Tensor:
    """Cross-entropy of each image (N,), from logits (N, K); of a mixed image, of both its identities, weighted."""
    own = _cross_entropy(output, batch.targets, settings)
    if batch.partners is None or batch.share is None:
        return own
    return batch.share * own + (1 - batch.share) * _cross_entropy(output, batch.partners, settings)


def _cross_entropy(output: Tensor, targets: Tensor, settings: Loss) -> Tensor:
    if settings.arcface is not None:
        scale = settings.arcface.scale
        output = arcface_logits(output / scale, targets, settings.arcface.margin, scale)
    return F.cross_entropy(output, targets, reduction="none", label_smoothing=settings.label_smoothing)


def score(output: Tensor, batch: ImageBatch) -> Tensor:
    """1 for each image whose identity has the highest logit, else 0: (N,)."""
    return (output.argmax(1) == batch.targets).float()


def train_metric(output: Tensor, batch: ImageBatch) -> Tensor:
    """As the score; a mixed image counts for both its identities, by their shares."""
    own = score(output, batch)
    if batch.partners is None or batch.share is None:
        return own
    return batch.share * own + (1 - batch.share) * score(output, batch._replace(targets=batch.partners))
