"""What a classifier says of a split's images, as a table and as pictures of its mistakes, and of a user's own.

N images, K classes. Matplotlib, whose import takes 0.5 s, is imported where pictures are drawn: `stages.predict` draws none.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute.device import Compute
from stages.data.tables import write_table
from stages.images.training.batches import DeviceBatches, ImageBatch, WorkerBatches, normalize

NUM_PICTURES = 40  # in a sheet
NUM_TOLD = 10  # classes of an answer: all of CIFAR-10's, and the ones that count of thousands of identities

Batches = DeviceBatches | WorkerBatches
Forward = Callable[[nn.Module, ImageBatch], Tensor]  # logits (N, K), float32


class Predictions(NamedTuple):
    """names: N texts. predicted (N,) int64, its probability (N,) and each image's cross-entropy (N,) float64, on the CPU.

    Not all K probabilities: of 35,000 images and 7,000 classes they would fill a gigabyte.
    """

    names: list[str]
    predicted: Tensor
    probability: Tensor
    loss: Tensor  # 0 where the class is not known


@torch.no_grad()
def predict(model: nn.Module, forward: Forward, batches: Batches, compute: Compute, *, flip_average: bool) -> Predictions:
    """The most probable class of every image; with flip_average, by the mean over an image and its mirror image."""
    model.eval()
    parts = []
    for batch in batches.epoch(0):
        log_probs = _log_probs(model, forward, batch, compute, flip_average=flip_average)
        best = log_probs.max(1)
        loss = -log_probs.gather(1, batch.targets.clamp(min=0)[:, None])[:, 0]
        parts.append((best.indices, best.values.exp(), torch.where(batch.targets < 0, 0.0, loss)))
    predicted, probability, loss = (torch.cat(column).cpu() for column in zip(*parts, strict=True))
    return Predictions(list(batches.names), predicted, probability.double(), loss.double())


def _log_probs(model: nn.Module, forward: Forward, batch: ImageBatch, compute: Compute, *, flip_average: bool) -> Tensor:
    with compute.autocast():
        logits = forward(model, batch)
    log_probs = logits.log_softmax(1)
    if flip_average:
        mirrored = batch._replace(inputs=batch.inputs.flip(3))
        other = _log_probs(model, forward, mirrored, compute, flip_average=False)
        log_probs = torch.stack((log_probs, other)).logsumexp(0) - float(np.log(2))
    return log_probs


def as_batch(images: Sequence[np.ndarray], stats: Mapping[str, Any], compute: Compute) -> ImageBatch:
    """Images (H, W, 3) uint8 of one size, of unknown class, as evaluation's batches have them."""
    mean, std = (torch.tensor(stats[name], device=compute.device) for name in ("mean", "std"))
    inputs = normalize(torch.from_numpy(np.stack(images)).to(compute.device), mean, std)
    return ImageBatch(inputs, torch.full((len(images),), -1, device=compute.device), torch.arange(len(images)))


@torch.no_grad()
def answer(
    model: nn.Module,
    forward: Forward,
    images: Sequence[np.ndarray],
    stats: Mapping[str, Any],
    compute: Compute,
    *,
    flip_average: bool,
) -> list[dict[str, Any]]:
    """Of each image its most probable class, that class's probability, and the most probable classes with theirs.

    stats: `classes`, and the `mean` and `std` of training.
    """
    model.eval()
    log_probs = _log_probs(model, forward, as_batch(images, stats, compute), compute, flip_average=flip_average)
    best = log_probs.exp().sort(descending=True, stable=True)
    answers = []
    for values, places in zip(best.values[:, :NUM_TOLD].tolist(), best.indices[:, :NUM_TOLD].tolist(), strict=True):
        told = {stats["classes"][place]: value for place, value in zip(places, values, strict=True)}
        answers.append({"predicted": next(iter(told)), "probability": values[0], "probabilities": told})
    return answers


def describe(answer: Mapping[str, Any]) -> str:
    """The three most probable classes in words."""
    return ", ".join(f"{name} {value:.1%}" for name, value in list(answer["probabilities"].items())[:3])


def write(path: Path, predictions: Predictions, classes: Sequence[str], labels: Tensor | None = None) -> None:
    """A line an image: name, predicted class, its probability, and the true class where `labels` (N,) are given."""
    columns: dict[str, list[Any]] = {
        "name": predictions.names,
        "predicted": [classes[place] for place in predictions.predicted.tolist()],
        "probability": [f"{value:.4f}" for value in predictions.probability.tolist()],
    }
    if labels is not None:
        columns["label"] = [classes[place] for place in labels.tolist()]
    write_table(path, list(columns), zip(*columns.values(), strict=True))


def draw_mistakes(
    path: Path, run: str, predictions: Predictions, labels: Tensor, classes: Sequence[str], images: Any
) -> None:
    """The mistakes that the network was surest of. images: sliceable, (N, H, W, 3) uint8; labels (N,)."""
    from stages.results import plots

    wrong = (predictions.predicted != labels).nonzero().flatten()
    wrong = wrong[predictions.probability[wrong].argsort(descending=True, stable=True)][:NUM_PICTURES]
    captions = [
        f"{classes[int(labels[place])]}\n→ {classes[int(predictions.predicted[place])]} {predictions.probability[place]:.0%}"
        for place in wrong.tolist()
    ]
    title = f"{run}: the {len(wrong)} surest mistakes on dev (true → predicted, probability)" if captions else "no mistakes"
    plots.image_sheet(path, title, list(images[wrong.numpy()]), captions)


def draw_as_seen(path: Path, run: str, batches: Batches, classes: Sequence[str]) -> None:
    """Training images of the first batch, as the network sees them: after augmentation."""
    from stages.results import plots

    batch: ImageBatch = next(iter(batches.epoch(0)))
    pixels = batch.inputs[:NUM_PICTURES].permute(0, 2, 3, 1) * batches.std + batches.mean
    images = list(pixels.round().clamp(0, 255).to(torch.uint8).cpu().numpy())
    captions = [classes[int(label)] for label in batch.targets[:NUM_PICTURES]]
    plots.image_sheet(path, f"{run}: training images as the network sees them", images, captions)
