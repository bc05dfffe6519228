"""CIFAR-10 in full: accuracy overall and per class, predictions, the confusion matrix, the mistakes as pictures."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from stages.engine import plots
from stages.engine.batches import ImageBatch
from stages.engine.compute import Compute
from stages.engine.schema import Run
from stages.tasks.cifar10 import CLASSES, SIDE, task

NUM_MISTAKES = 40


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
    dev = predict(model, features, "dev", run, compute)
    labels, predicted = torch.from_numpy(np.load(features / "dev" / "labels.npy")), dev.log_probs.argmax(1)
    matrix = torch.zeros(len(CLASSES), len(CLASSES), dtype=torch.long)
    matrix.index_put_((labels, predicted), torch.ones_like(labels), accumulate=True)

    _write(predictions_to / "dev.csv", dev, labels)
    if (features / "test" / "images.npy").stat().st_size and len(np.load(features / "test" / "labels.npy", mmap_mode="r")):
        _write(predictions_to / "test.csv", predict(model, features, "test", run, compute))

    plots.confusion(plots_to / "confusion.png", name, matrix.numpy(), CLASSES)
    _mistakes(plots_to / "misclassified.png", name, features, dev, labels)
    _as_seen(plots_to / "augmented.png", name, run, features, compute, seed)
    recall = matrix.diag().double() / matrix.sum(1).clamp(min=1)
    return {
        "loss": F.nll_loss(dev.log_probs.double(), labels).item(),
        "accuracy": (predicted == labels).double().mean().item(),
        "num": len(labels),
        "per_class": dict(zip(CLASSES, recall.tolist(), strict=True)),
    }


class Predictions(NamedTuple):
    """names: N texts. log_probs: (N, K) float32 on the CPU."""

    names: list[str]
    log_probs: Tensor


@torch.no_grad()
def predict(model: nn.Module, features: Path, split: str, run: Run, compute: Compute) -> Predictions:
    """Class probabilities of every image of a split; with flip_average, the mean over an image and its mirror image."""
    model.eval()
    batches = task.eval_batches(features, split, run, compute)
    log_probs = [_log_probs(model, batch, run, compute).cpu() for batch in batches.epoch(0)]
    return Predictions(list(batches.names), torch.cat(log_probs))


def _log_probs(model: nn.Module, batch: ImageBatch, run: Run, compute: Compute) -> Tensor:
    def probabilities(inputs: Tensor) -> Tensor:
        with compute.autocast():
            logits = task.forward(model, batch._replace(inputs=inputs))
        return logits.log_softmax(1)

    plain = probabilities(batch.inputs)
    if not run.evaluate.flip_average:
        return plain
    return torch.stack((plain, probabilities(batch.inputs.flip(3)))).logsumexp(0) - float(np.log(2))


def _write(path: Path, predictions: Predictions, labels: Tensor | None = None) -> None:
    """A line an image: name, predicted class, its probability, and the true class where it is known."""
    best = predictions.log_probs.max(1)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["name", "predicted", "probability"] + ([] if labels is None else ["label"]))
        rows: Iterator[Any] = zip(predictions.names, best.indices.tolist(), best.values.exp().tolist(), strict=True)
        for index, (name, predicted, probability) in enumerate(rows):
            true = [] if labels is None else [CLASSES[int(labels[index])]]
            writer.writerow([name, CLASSES[predicted], f"{probability:.4f}", *true])


def _mistakes(path: Path, name: str, features: Path, dev: Predictions, labels: Tensor) -> None:
    """The mistakes that the network was surest of."""
    best = dev.log_probs.max(1)
    wrong = (best.indices != labels).nonzero().flatten()
    wrong = wrong[best.values[wrong].argsort(descending=True, stable=True)][:NUM_MISTAKES]
    images = np.load(features / "dev" / "images.npy", mmap_mode="r")
    captions = [
        f"{CLASSES[int(labels[place])]}\n→ {CLASSES[int(best.indices[place])]} {best.values[place].exp():.0%}"
        for place in wrong.tolist()
    ]
    title = f"{name}: the {len(wrong)} surest mistakes on dev (true → predicted, probability)" if captions else "no mistakes"
    plots.image_sheet(path, title, [images[place] for place in wrong.tolist()], captions)


def _as_seen(path: Path, name: str, run: Run, features: Path, compute: Compute, seed: int) -> None:
    """Training images of the first batch, as the network sees them: after augmentation."""
    batches = task.train_batches(features, run, compute, seed)
    batch: ImageBatch = next(iter(batches.epoch(0)))
    pixels = batch.inputs[:NUM_MISTAKES].permute(0, 2, 3, 1) * batches.std + batches.mean
    assert pixels.shape[1:] == (SIDE, SIDE, 3)
    captions = [CLASSES[int(label)] for label in batch.targets[:NUM_MISTAKES]]
    images = list(pixels.round().clamp(0, 255).to(torch.uint8).cpu().numpy())
    plots.image_sheet(path, f"{name}: training images as the network sees them", images, captions)
