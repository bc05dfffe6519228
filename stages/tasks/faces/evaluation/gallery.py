"""Verification with a gallery: find each query among known faces, with the threshold that is best on dev."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch
from torch import Tensor

from stages.data.packed import read_texts
from stages.data.tables import write_table
from stages.tasks.faces import UNKNOWN, training
from stages.tasks.faces.evaluation import charts, verification
from stages.tasks.faces.evaluation.embeddings import labels_of
from stages.tasks.faces.statistics import Stats

NUM_PAIRS = 24  # hardest mistakes in a plot
THUMBNAIL = 32  # side of the images in the pixel match


def verify(
    embed: Callable[[str], Tensor],
    name: str,
    features: Path,
    stats: Stats,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Return the metrics on the dev queries, at the threshold that is best there; write predictions for dev and test.

    embed: returns the embeddings (N, D) of a split.
    """
    identities = labels_of(features, "known")
    known = embed("known")
    queries, labels = embed("unknown_dev"), labels_of(features, "unknown_dev")
    dev = _match(queries, known, identities)
    right, unknown = (dev.identity == labels) & (labels >= 0), labels < 0
    threshold = verification.choose_threshold(dev.score, right, unknown)
    _write(predictions_to / "verification_dev.csv", features, "unknown_dev", dev, threshold, stats.known, labels)
    if (features / "unknown_test").is_dir():
        test = _match(embed("unknown_test"), known, identities)
        _write(predictions_to / "verification_test.csv", features, "unknown_test", test, threshold, stats.known)

    pairs = verification.count_pairs(queries, known, labels, identities)
    charts.of_pairs(plots_to, name, pairs, threshold)
    _draw_hardest(plots_to / "pairs.png", name, features, stats, dev, labels, threshold)
    return {
        "accuracy": verification.accuracy(dev.score, right, unknown, threshold),
        "pixel_match": _pixel_match(features, identities, labels),
        "threshold": threshold,
        "num": len(labels),
        **verification.pair_metrics(pairs),
    }


class Match(NamedTuple):
    """The most similar known face of Q queries: score, row among the known faces, identity, (Q,) each."""

    score: Tensor
    row: Tensor
    identity: Tensor


def _match(queries: Tensor, known: Tensor, identities: Tensor) -> Match:
    score, index = verification.most_similar(queries, known)
    return Match(score, index, identities[index])


def _pixel_match(features: Path, identities: Tensor, labels: Tensor) -> float:
    """Return the accuracy of a baseline without a network, which compares small images pixel by pixel."""
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
    """Write a table of name, most similar known identity, score, answer and, if `labels` are given, the true label."""
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


def _draw_hardest(path: Path, name: str, features: Path, stats: Stats, dev: Match, labels: Tensor, threshold: float) -> None:
    """Draw the wrong answers furthest from the threshold, each query beside its most similar known face."""
    accepted = dev.score >= threshold
    wrong = (torch.where(accepted, dev.identity, -1) != labels).nonzero().flatten()
    wrong = wrong[(dev.score[wrong] - threshold).abs().argsort(descending=True, stable=True)][:NUM_PAIRS]
    faces, known = (training.read_images(features, split) for split in ("unknown_dev", "known"))
    pictures, captions = [], []
    for index in wrong.tolist():
        true = stats.known[int(labels[index])] if labels[index] >= 0 else "unknown"
        answer = stats.known[int(dev.identity[index])] if accepted[index] else "unknown"
        pictures.append((faces[index : index + 1][0], known[int(dev.row[index]) : int(dev.row[index]) + 1][0]))
        captions.append(f"{true}\n→ {answer}, {dev.score[index]:.2f}")
    title = f"{name}: the hardest wrong answers, each beside its most similar known face (true → answer, score)"
    charts.pairs(path, title, pictures, captions)
