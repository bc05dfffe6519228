"""CIFAR-10 in full: accuracy overall and per class, predictions, the confusion matrix, the mistakes as pictures."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.images.evaluation import classification
from stages.results import plots
from stages.tasks.cifar10 import CLASSES, training


def evaluate(
    model: nn.Module,
    name: str,
    run: Run,
    features: Path,
    compute: Compute,
    seed: int,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Metrics of the dev split; predictions of dev and test as CSV, pictures as PNG into the two folders.

    name: the run's, for titles. seed: the training's, so that the sheet shows what the network saw.
    """

    def predict(split: str) -> classification.Predictions:
        batches = training.eval_batches(features, split, run, compute)
        return classification.predict(model, training.forward, batches, compute, flip_average=run.evaluate.flip_average)

    dev, labels = predict("dev"), torch.from_numpy(np.load(features / "dev" / "labels.npy"))
    classification.write(predictions_to / "dev.csv", dev, CLASSES, labels)
    if len(np.load(features / "test" / "labels.npy")):
        classification.write(predictions_to / "test.csv", predict("test"), CLASSES)

    matrix = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    matrix.index_put_((labels, dev.predicted), torch.ones_like(labels), accumulate=True)
    plots.confusion(plots_to / "confusion.png", name, matrix.numpy(), CLASSES)
    images = training.read_images(features, "dev")
    classification.draw_mistakes(plots_to / "misclassified.png", name, dev, labels, CLASSES, images)
    batches = training.train_batches(features, run, compute, seed)
    classification.draw_as_seen(plots_to / "augmented.png", name, batches, CLASSES)
    recall = matrix.diag().double() / matrix.sum(1).clamp(min=1)
    return {
        "loss": dev.loss.mean().item(),
        "accuracy": (dev.predicted == labels).double().mean().item(),
        "num": len(labels),
        "per_class": dict(zip(CLASSES, recall.tolist(), strict=True)),
    }
