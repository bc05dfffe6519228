"""Training on faces: that of any image classifier, and ArcFace. N images, D features, K identities."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from stages.config.schema import Run
from stages.images.statistics import ImageStats
from stages.images.training import classifier
from stages.images.training.batches import ImageBatch
from stages.images.training.classifier import (
    SCORE,
    TRAIN_METRIC,
    eval_batches,
    example,
    forward,
    read_images,
    score,
    train_batches,
    train_metric,
)
from stages.tasks.faces.settings import Loss
from stages.tasks.faces.training.arcface import arcface_logits
from stages.tasks.faces.training.cosine_head import CosineHead


def build_model(run: Run, stats: ImageStats) -> nn.Module:
    """Build the run's network with random weights; for ArcFace with a cosine head."""
    model: Any = classifier.build_model(run, stats)
    if run.loss.arcface is not None:
        model.head = CosineHead(model.num_features, len(stats.classes), scale=run.loss.arcface.scale)
    assert isinstance(model, nn.Module)
    return model


def loss(output: Tensor, batch: ImageBatch, settings: Loss) -> Tensor:
    """Return the cross-entropy of each image (N,), from logits (N, K); for mixed images weighted over both targets."""
    if settings.arcface is None:
        return classifier.loss(output, batch, settings)
    scale, margin = settings.arcface.scale, settings.arcface.margin

    def cross_entropy(targets: Tensor) -> Tensor:
        logits = arcface_logits(output / scale, targets, margin, scale)
        return F.cross_entropy(logits, targets, reduction="none", label_smoothing=settings.label_smoothing)

    return classifier.mixed(cross_entropy, batch)
