"""Embeddings of a split's images, whitened if the run says so. N images, D features."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.core.progress import track
from stages.data import checkpoint
from stages.images.evaluation.views import apply_views
from stages.images.training.batches import ImageBatch
from stages.tasks.faces import training
from stages.tasks.faces.evaluation import whitening


class Embedder:
    """Embeds splits for verification. With `evaluate.whiten` it saves the whitening beside the predictions."""

    def __init__(
        self, model: Any, name: str, run: Run, features: Path, compute: Compute, num_classes: int, predictions_to: Path
    ) -> None:
        self._model, self._run, self._features, self._compute = model, run, features, compute
        self._predictions_to = predictions_to
        self._whiten = _whitening(model, name, run, features, compute, num_classes, predictions_to)

    def __call__(self, split: str) -> Tensor:
        """Return the embeddings (N, D) of a split, on the CPU, and save them for ensembles."""
        batches = embed(self._model, self._features, split, self._run, self._compute)
        found = torch.cat([embeddings for embeddings, _ in batches])
        found = found if self._whiten is None else self._whiten.apply(found)
        save(self._predictions_to, split, found)
        return found


def save(predictions: Path, split: str, embeddings: Tensor) -> None:
    """Write embeddings/<split>.npy, (N, D) float32."""
    (predictions / "embeddings").mkdir(exist_ok=True)
    np.save(predictions / "embeddings" / f"{split}.npy", embeddings.numpy())


def _whitening(
    model: Any, name: str, run: Run, features: Path, compute: Compute, num_classes: int, predictions_to: Path
) -> whitening.Whitening | None:
    """Fit and save the whitening of the unaugmented training images, if the run says so."""
    if (eps := run.evaluate.whiten) is None:
        return None
    batches = embed(model, features, "train", run, compute)
    try:
        found = whitening.fit(batches, num_classes=num_classes, num_features=model.num_features, eps=eps)
    except InputError as error:
        raise InputError(f"runs.{name}.evaluate.whiten: {error}") from None
    whitening.save(predictions_to, found, eps=eps, weights_sha256=checkpoint.weights_hash(model.state_dict()))
    return found


def embed(model: Any, features: Path, split: str, run: Run, compute: Compute) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the embeddings (N, D) float32 and labels (N,) of each batch of a split, on the CPU."""
    model.eval()
    batches = training.eval_batches(features, split, run, compute)
    for batch in track(batches.epoch(0), f"embedding {split}", len(batches)):
        yield embed_batch(model, batch, run, compute), batch.targets.cpu()


@torch.no_grad()
def embed_batch(model: Any, batch: ImageBatch, run: Run, compute: Compute) -> Tensor:
    """Return the embeddings (N, D) float32, averaged over the run's views, on the CPU. model: in evaluation mode."""
    with compute.autocast():
        found = [model.embed(images).float() for images in apply_views(batch.inputs, run.evaluate.views)]
    return torch.stack(found).mean(0).cpu()


def labels_of(features: Path, split: str) -> Tensor:
    """Read the labels (N,) int64 of a split."""
    return torch.from_numpy(np.load(features / split / "labels.npy"))
