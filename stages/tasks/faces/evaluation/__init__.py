"""Faces in full: who it is (accuracy on dev), whether it is anybody known (verification), and the mistakes as pictures."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.data import checkpoint
from stages.data.packed import read_texts
from stages.data.tables import write_table
from stages.images.evaluation import classification
from stages.images.training.batches import ImageBatch
from stages.tasks.faces import UNKNOWN, training
from stages.tasks.faces.evaluation import charts, verification, whitening

HEADLINES = ("accuracy", "loss", "verification.eer", "verification.accuracy")
NUM_PAIRS = 24  # of the hardest mistakes, in a picture
THUMBNAIL = 32  # side of the images that the plain pixel match compares


def evaluate(
    model: Any,
    name: str,
    run: Run,
    features: Path,
    compute: Compute,
    seed: int,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Metrics of the dev splits; predictions of dev and test as CSV, pictures as PNG into the two folders.

    name: the run's, for titles. seed: the training's, so that the sheet shows what the network saw. Verification is there
    if the source has known faces, and others on which to choose the threshold.
    """
    stats = json.loads((features / "stats.json").read_text())
    classes = stats["classes"]
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics, dev, labels = classification.classify(model, name, run, features, compute, seed, **folders)
    wrong = Counter(pair for pair in zip(labels.tolist(), dev.predicted.tolist(), strict=True) if pair[0] != pair[1])
    counts = [(classes[true], classes[predicted], count) for (true, predicted), count in wrong.items()]
    charts.confused(plots_to / "confused.png", name, counts)
    if all((features / split).is_dir() for split in ("known", "unknown_dev")):
        metrics["verification"] = _verify(model, name, run, features, compute, stats, plots_to, predictions_to)
    return metrics


def _verify(
    model: Any,
    name: str,
    run: Run,
    features: Path,
    compute: Compute,
    stats: dict[str, Any],
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Metrics of the verification's dev split, at the threshold that is best there; predictions of dev and test."""
    whiten = _whitening(model, name, run, features, compute, len(stats["classes"]), predictions_to)

    def embedded(split: str) -> Tensor:
        found = torch.cat([embeddings for embeddings, _ in embed(model, features, split, run, compute)])
        return found if whiten is None else whiten.apply(found)

    identities = _labels(features, "known")
    known = embedded("known")
    queries, labels = embedded("unknown_dev"), _labels(features, "unknown_dev")
    dev = _match(queries, known, identities)
    right, unknown = (dev.identity == labels) & (labels >= 0), labels < 0
    threshold = verification.choose_threshold(dev.score, right, unknown)
    _write(predictions_to / "verification_dev.csv", features, "unknown_dev", dev, threshold, stats["known"], labels)
    if (features / "unknown_test").is_dir():
        test = _match(embedded("unknown_test"), known, identities)
        _write(predictions_to / "verification_test.csv", features, "unknown_test", test, threshold, stats["known"])

    pairs = verification.count_pairs(queries, known, labels, identities)
    metrics = verification.pair_metrics(pairs)
    if "eer" in metrics:
        far, tar = verification.roc(pairs)
        charts.roc(plots_to / "roc.png", name, far.numpy(), tar.numpy(), metrics["eer"], metrics["auc"])
    genuine, impostor = pairs.bins.numpy()
    charts.score_histogram(plots_to / "scores.png", name, genuine, impostor, threshold)
    _draw_hardest(plots_to / "pairs.png", name, features, stats, dev, labels, threshold)
    return {
        "accuracy": verification.accuracy(dev.score, right, unknown, threshold),
        "pixel_match": _pixel_match(features, identities, labels),
        "threshold": threshold,
        "num": len(labels),
        **metrics,
    }


def _whitening(
    model: Any, name: str, run: Run, features: Path, compute: Compute, num_classes: int, predictions_to: Path
) -> whitening.Whitening | None:
    """Of the training images, unaugmented, where the run wants it; also a file beside the predictions."""
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
    """Of each batch of a split the embeddings (N, D) float32 and the labels (N,), on the CPU."""
    model.eval()
    for batch in training.eval_batches(features, split, run, compute).epoch(0):
        yield embed_batch(model, batch, run, compute), batch.targets.cpu()


@torch.no_grad()
def embed_batch(model: Any, batch: ImageBatch, run: Run, compute: Compute) -> Tensor:
    """Embeddings (N, D) float32 on the CPU; with flip_average, the mean with the mirror image's. In evaluation mode."""
    with compute.autocast():
        found: Tensor = model.embed(batch.inputs).float()
        if run.evaluate.flip_average:
            found = (found + model.embed(batch.inputs.flip(3)).float()) / 2
    return found.cpu()


class Match(NamedTuple):
    """The most similar known face of Q queries: its score, its row among the known, its identity, (Q,) each."""

    score: Tensor
    row: Tensor
    identity: Tensor


def _match(queries: Tensor, known: Tensor, identities: Tensor) -> Match:
    score, index = verification.most_similar(queries, known)
    return Match(score, index, identities[index])


def _labels(features: Path, split: str) -> Tensor:
    return torch.from_numpy(np.load(features / split / "labels.npy"))


def _pixel_match(features: Path, identities: Tensor, labels: Tensor) -> float:
    """The accuracy that needs no network: small images are compared pixel by pixel, at the best threshold too."""
    small = {}
    for split in ("known", "unknown_dev"):
        images = training.read_images(features, split)
        pixels = torch.empty(len(images), THUMBNAIL * THUMBNAIL * 3)
        for index, row in enumerate(pixels):
            thumbnail = cv2.resize(images[index : index + 1][0], (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
            row.copy_(torch.from_numpy(thumbnail).flatten())
        small[split] = pixels.sub_(pixels.mean(1, keepdim=True))
    match = _match(small["unknown_dev"], small["known"], identities)
    right, unknown = (match.identity == labels) & (labels >= 0), labels < 0
    return verification.accuracy(match.score, right, unknown, verification.choose_threshold(match.score, right, unknown))


def _write(
    path: Path, features: Path, split: str, match: Match, threshold: float, known: list[str], labels: Tensor | None = None
) -> None:
    """A line a query: name, the most similar known identity, its score, the answer, and the truth where it is known."""
    best = [known[identity] for identity in match.identity.tolist()]
    columns: dict[str, list[Any]] = {
        "name": read_texts(features / split / "names"),
        "best": best,
        "score": [f"{score:.4f}" for score in match.score.tolist()],
        "predicted": [
            identity if accepted else UNKNOWN
            for identity, accepted in zip(best, (match.score >= threshold).tolist(), strict=True)
        ],
    }
    if labels is not None:
        columns["label"] = [known[label] if label >= 0 else UNKNOWN for label in labels.tolist()]
    write_table(path, list(columns), zip(*columns.values(), strict=True))


def _draw_hardest(
    path: Path, name: str, features: Path, stats: dict[str, Any], dev: Match, labels: Tensor, threshold: float
) -> None:
    """The wrong answers that were furthest from the threshold: each face beside the known one that is most similar."""
    accepted = dev.score >= threshold
    wrong = (torch.where(accepted, dev.identity, -1) != labels).nonzero().flatten()
    wrong = wrong[(dev.score[wrong] - threshold).abs().argsort(descending=True, stable=True)][:NUM_PAIRS]
    faces, known = (training.read_images(features, split) for split in ("unknown_dev", "known"))
    pictures, captions = [], []
    for index in wrong.tolist():
        true = stats["known"][int(labels[index])] if labels[index] >= 0 else "nobody known"
        answer = stats["known"][int(dev.identity[index])] if accepted[index] else "nobody known"
        pictures.append((faces[index : index + 1][0], known[int(dev.row[index]) : int(dev.row[index]) + 1][0]))
        captions.append(f"{true}\n→ {answer}, {dev.score[index]:.2f}")
    title = f"{name}: the hardest wrong answers, each beside its most similar known face (true → answer, score)"
    charts.pairs(path, title, pictures, captions)
