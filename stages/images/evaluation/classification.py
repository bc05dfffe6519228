"""Evaluation of an image classifier: dev metrics, predictions as tables, mistakes as pictures.

N images, K classes. Matplotlib is imported only where pictures are drawn, as its import slows `stages.predict` by 0.5 s.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.progress import track
from stages.data.packed import Rows
from stages.data.tables import write_table
from stages.images.evaluation.views import apply_views
from stages.images.settings import View
from stages.images.statistics import ImageStats
from stages.images.training import classifier
from stages.images.training.batches import Batches, ImageBatch
from stages.results import members

HEADLINES = ("accuracy", "plain_accuracy", "loss")
NUM_PICTURES = 40  # in a sheet


class Predictions(NamedTuple):
    """names: N strings. predicted (N,) int64; its probability (N,) and the cross-entropy (N,), float64. All on the CPU.

    The three belong to the mean over the run's views; plain (N,) int64 is the prediction of the plain view.
    """

    names: list[str]
    predicted: Tensor
    probability: Tensor
    loss: Tensor  # 0 where the class is unknown
    plain: Tensor


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
    """Return the dev metrics, also per class; write predictions as CSV and plots as PNG.

    After a `final` training, which includes dev, there are no metrics, and only the test split is predicted.
    name: the run's, for titles. seed: the training's, for the plot of augmented images.
    """
    if run.train.final:
        predict_test(model, run, features, compute, predictions_to)
        return {}
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics, dev, labels = classify(model, name, run, features, compute, seed, **folders)
    return {**metrics, **by_class(name, dev, labels, read_classes(features), plots_to)}


def by_class(name: str, dev: Predictions, labels: Tensor, classes: Sequence[str], plots_to: Path) -> dict[str, Any]:
    """Return the recall of each class that dev has, and draw the confusion matrix."""
    from stages.results import plots

    matrix = torch.zeros(len(classes), len(classes), dtype=torch.long)
    matrix.index_put_((labels, dev.predicted), torch.ones_like(labels), accumulate=True)
    plots.confusion(plots_to / "confusion.png", name, matrix.numpy(), classes)
    recall = (matrix.diag().double() / matrix.sum(1)).tolist()
    return {"per_class": {classes[label]: recall[label] for label in labels.unique().tolist()}}


def classify(
    model: nn.Module,
    name: str,
    run: Run,
    features: Path,
    compute: Compute,
    seed: int,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> tuple[dict[str, Any], Predictions, Tensor]:
    """`evaluate` without the metrics per class: return the metrics, the dev predictions and the dev labels (N,)."""
    classes, labels = read_classes(features), torch.from_numpy(np.load(features / "dev" / "labels.npy"))
    dev = predict_split("dev", model, run, features, compute, predictions_to)
    write(predictions_to / "dev.csv", dev, classes, labels)
    predict_test(model, run, features, compute, predictions_to)
    images = classifier.read_images(features, "dev")
    draw_mistakes(plots_to / "misclassified.png", name, dev, labels, classes, images)
    batches = classifier.train_batches(features, run, compute, seed)
    draw_as_seen(plots_to / "augmented.png", name, batches, classes)
    metrics = measure(dev, labels)
    if len(run.evaluate.views) > 1:
        metrics["plain_accuracy"] = (dev.plain == labels).double().mean().item()
    return metrics, dev, labels


def predict_split(
    split: str, model: nn.Module, run: Run, features: Path, compute: Compute, predictions_to: Path
) -> Predictions:
    """Predict a split and save its log-probabilities as <split>.npy if they are not too large."""
    batches = classifier.eval_batches(features, split, run, compute)
    keep = predictions_to / f"{split}.npy" if members.fits(len(batches.names), len(read_classes(features))) else None
    return predict(model, batches, compute, run.evaluate.views, keep)


def predict_test(model: nn.Module, run: Run, features: Path, compute: Compute, predictions_to: Path) -> None:
    """Predict the test split, if there is one, and write test.csv."""
    if (features / "test").is_dir() and len(np.load(features / "test" / "labels.npy")):
        test = predict_split("test", model, run, features, compute, predictions_to)
        write(predictions_to / "test.csv", test, read_classes(features))


def measure(dev: Predictions, labels: Tensor) -> dict[str, Any]:
    """Return the metrics of a split with known labels (N,)."""
    accuracy = (dev.predicted == labels).double().mean().item()
    return {"loss": dev.loss.mean().item(), "accuracy": accuracy, "num": len(labels)}


def read_classes(features: Path) -> list[str]:
    """Read the class names, in label order."""
    return ImageStats.read(features).classes


@torch.no_grad()
def predict(
    model: nn.Module, batches: Batches, compute: Compute, views: Sequence[View], keep: Path | None = None
) -> Predictions:
    """Classify all images by the mean probabilities over `views`, the first of which is the plain one.

    keep: a .npy file for all log-probabilities (N, K), as float16.
    """
    model.eval()
    outputs = []
    with ExitStack() as stack:
        kept: Rows | None = None
        for batch in track(batches.epoch(0), "evaluating", len(batches)):
            by_view = log_probabilities(model, batch, compute, views)
            log_probs = averaged(by_view)
            if keep and kept is None:
                kept = stack.enter_context(Rows(keep, (log_probs.shape[1],), np.float16))
            if kept:
                kept.append(log_probs.cpu().numpy().astype(np.float16))
            outputs.append((*answers(log_probs, batch.targets), by_view[0].argmax(1)))
    return join(list(batches.names), outputs)


def answers(log_probs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the top class, its probability and the cross-entropy, (N,) each, of log-probabilities (N, K).

    The cross-entropy is 0 where the target (N,) is negative.
    """
    best = log_probs.max(1)
    loss = -log_probs.gather(1, targets.clamp(min=0)[:, None])[:, 0]
    return best.indices, best.values.exp(), torch.where(targets < 0, 0.0, loss)


def join(names: list[str], outputs: Sequence[tuple[Tensor, ...]]) -> Predictions:
    """Concatenate the `answers` of all batches, each followed by the plain view's predictions if they differ."""
    predicted, probability, loss, *plain = (torch.cat(column).cpu() for column in zip(*outputs, strict=True))
    return Predictions(names, predicted, probability.double(), loss.double(), *(plain or [predicted]))


def log_probabilities(model: nn.Module, batch: ImageBatch, compute: Compute, views: Sequence[View]) -> Tensor:
    """Return the log-probabilities (V, N, K) float32 of V views of a batch."""
    with compute.autocast():
        logits = [classifier.forward(model, batch._replace(inputs=images)) for images in apply_views(batch.inputs, views)]
    return torch.stack([values.log_softmax(1) for values in logits])


def averaged(log_probs: Tensor) -> Tensor:
    """(V, N, K) -> (N, K): the logarithms of the mean probabilities."""
    return log_probs.logsumexp(0) - float(np.log(len(log_probs)))


def write(path: Path, predictions: Predictions, classes: Sequence[str], labels: Tensor | None = None) -> None:
    """Write a table of name, predicted class, probability and, if `labels` (N,) are given, true class."""
    columns: dict[str, list[Any]] = {
        "name": predictions.names,
        "predicted": [classes[index] for index in predictions.predicted.tolist()],
        "probability": [f"{value:.4f}" for value in predictions.probability.tolist()],
    }
    if labels is not None:
        columns["label"] = [classes[index] for index in labels.tolist()]
    write_table(path, list(columns), zip(*columns.values(), strict=True))


def draw_mistakes(
    path: Path, run: str, predictions: Predictions, labels: Tensor, classes: Sequence[str], images: Any
) -> None:
    """Draw the most confident mistakes. images: (N, H, W, 3) uint8, indexable; labels (N,)."""
    from stages.results import plots

    wrong = (predictions.predicted != labels).nonzero().flatten()
    wrong = wrong[predictions.probability[wrong].argsort(descending=True, stable=True)][:NUM_PICTURES]
    captions = [
        f"{classes[int(labels[index])]}\n→ {classes[int(predictions.predicted[index])]} {predictions.probability[index]:.0%}"
        for index in wrong.tolist()
    ]
    title = f"{run}: the {len(wrong)} most confident mistakes on dev (true → predicted)" if captions else "no mistakes"
    plots.image_sheet(path, title, list(images[wrong.numpy()]), captions)


def draw_as_seen(path: Path, run: str, batches: Batches, classes: Sequence[str]) -> None:
    """Draw augmented training images of the first batch."""
    from stages.results import plots

    batch: ImageBatch = next(iter(batches.epoch(0)))
    pixels = batch.inputs[:NUM_PICTURES].permute(0, 2, 3, 1) * batches.std + batches.mean
    images = list(pixels.round().clamp(0, 255).to(torch.uint8).cpu().numpy())
    captions = [classes[int(label)] for label in batch.targets[:NUM_PICTURES]]
    plots.image_sheet(path, f"{run}: training images as the network sees them", images, captions)
