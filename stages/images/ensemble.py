"""An ensemble of image classifiers: the mean of its members' probabilities on dev and test. N images, K classes."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.config.schema import Ensemble
from stages.data.packed import Rows, read_texts
from stages.images.evaluation import classification
from stages.images.evaluation.classification import NUM_PICTURES, Predictions
from stages.images.training import classifier
from stages.results import members as kept
from stages.results import plots, weighting
from stages.results.members import MEANS, Member
from stages.results.weighting import Fitted

CHUNK = 1000  # images


def combine(
    name: str,
    members: Sequence[Member],
    features: Path,
    ensemble: Ensemble,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """`evaluate` for an ensemble: return the dev metrics, write predictions for dev and test, and plots.

    The metric `mean` names the kind of mean in MEANS that is better on dev. Fitted weights are for that of probabilities;
    their dev metrics are cross-fitted, beside `fitted`.
    """
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics, dev, labels = classify(name, members, features, ensemble, **folders)
    classes = classification.read_classes(features)
    return {**metrics, **classification.by_class(name, dev, labels, classes, plots_to)}


def classify(
    name: str, members: Sequence[Member], features: Path, ensemble: Ensemble, *, plots_to: Path, predictions_to: Path
) -> tuple[dict[str, Any], Predictions, Tensor]:
    """`combine` without metrics by class. Returns the metrics, the dev predictions and the dev labels (N,)."""
    classes, labels = classification.read_classes(features), _labels(features, "dev")
    by_item, chosen = None, dict[str, Any]()
    if ensemble.weights == "fit":
        best, fitted = MEANS[0], fit(members, labels)
        members, by_item = fitted.members, fitted.by_item
        chosen = {
            "weights": fitted.weights,
            "fitted": classification.measure(answer(members, features, "dev", best), labels),
        }
    else:
        scores = {kind: classification.measure(answer(members, features, "dev", kind), labels) for kind in MEANS}
        best = max(MEANS, key=lambda kind: (scores[kind]["accuracy"], -scores[kind]["loss"]))
    dev = answer(members, features, "dev", best, predictions_to / "dev.npy", by_item)
    classification.write(predictions_to / "dev.csv", dev, classes, labels)
    if (features / "test").is_dir() and len(_labels(features, "test")):
        test = answer(members, features, "test", best, predictions_to / "test.npy")
        classification.write(predictions_to / "test.csv", test, classes)
    images = classifier.read_images(features, "dev")
    classification.draw_mistakes(plots_to / "misclassified.png", name, dev, labels, classes, images)
    draw_disagreements(plots_to / "disagreements.png", name, members, features, labels, classes, images)
    return {**classification.measure(dev, labels), "mean": best, **chosen}, dev, labels


def fit(members: Sequence[Member], labels: Tensor) -> Fitted:
    """Fit the weights by the cross-entropy of the mean probabilities on dev. labels: of dev, (N,)."""
    rows = np.arange(len(labels))
    first, second = (array[rows, labels.numpy()].astype(np.float64) for array in kept.read(members, "dev.npy"))

    def loss(items: np.ndarray, weight: float) -> float:
        return -float(np.logaddexp(first[items] + np.log(weight), second[items] + np.log1p(-weight)).mean())

    return weighting.cross_fit(members, len(labels), loss)


def answer(
    members: Sequence[Member],
    features: Path,
    split: str,
    kind: str,
    keep: Path | None = None,
    by_item: np.ndarray | None = None,
) -> Predictions:
    """Return the mean predictions of M members. kind: one of MEANS. keep: a file for log-probabilities, (N, K) float16.

    by_item: a weight for each member and image, (M, N), in place of the members' own.
    """
    log_probs, labels = kept.read(members, f"{split}.npy"), _labels(features, split)
    parts, weights = [], np.array([[member.weight] for member in members]) if by_item is None else by_item
    weights = np.broadcast_to(weights, (len(members), len(labels)))
    with ExitStack() as stack:
        rows = stack.enter_context(Rows(keep, log_probs[0].shape[1:], np.float16)) if keep else None
        for begin in range(0, len(labels), CHUNK):
            chunk = slice(begin, begin + CHUNK)
            mean = kept.mean([array[chunk] for array in log_probs], weights[:, chunk], kind)
            parts.append(classification.answers(torch.from_numpy(mean), labels[chunk]))
            if rows:
                rows.append(mean.astype(np.float16))
    return classification.join(read_texts(features / split / "names"), parts)


def draw_disagreements(
    path: Path, name: str, members: Sequence[Member], features: Path, labels: Tensor, classes: Sequence[str], images: Any
) -> None:
    """Draw the dev images whose predicted classes differ between the members, by the sum of their probabilities."""
    predictions = [answer([member._replace(weight=1.0)], features, "dev", MEANS[0]) for member in members]
    differs = (predictions[0].predicted != predictions[1].predicted).nonzero().flatten()
    surest = sum(one.probability for one in predictions)[differs].argsort(descending=True, stable=True)  # type: ignore[index]
    chosen = differs[surest][:NUM_PICTURES]
    captions = [
        "\n".join(
            [
                classes[int(labels[index])],
                *(
                    f"{member.name}: {classes[int(one.predicted[index])]} {one.probability[index]:.0%}"
                    for member, one in zip(members, predictions, strict=True)
                ),
            ]
        )
        for index in chosen.tolist()
    ]
    title = f"{name}: its members disagree on {len(differs)} of {len(labels)} dev images (true class, then each prediction)"
    plots.image_sheet(path, title, list(images[chosen.numpy()]), captions)


def _labels(features: Path, split: str) -> Tensor:
    return torch.from_numpy(np.load(features / split / "labels.npy"))
