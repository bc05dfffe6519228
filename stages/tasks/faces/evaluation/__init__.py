"""Evaluation on faces: classification and verification metrics, predictions as tables, mistakes as pictures."""

from collections import Counter
from pathlib import Path
from typing import Any

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.images.evaluation import classification
from stages.tasks.faces.evaluation import charts, gallery, pairs
from stages.tasks.faces.evaluation.embeddings import Embedder
from stages.tasks.faces.statistics import Stats

HEADLINES = ("accuracy", "plain_accuracy", "loss", "verification.eer", "verification.accuracy")
VERIFICATIONS = {"gallery": gallery, "pairs": pairs}  # by the kind that stats.json names


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
    """Return the dev metrics; write predictions for dev and test as CSV and plots as PNG.

    Verification is included if the source has it: known faces and queries, or pairs. After a `final` training, which
    includes dev, only the verification metrics are left. name: the run's, for titles. seed: the training's, for the plot of
    augmented images.
    """
    stats = Stats.read(features)
    classes = stats.classes
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics: dict[str, Any] = {}
    if run.train.final:
        classification.predict_test(model, run, features, compute, predictions_to)
    else:
        metrics, dev, labels = classification.classify(model, name, run, features, compute, seed, **folders)
        wrong = Counter(pair for pair in zip(labels.tolist(), dev.predicted.tolist(), strict=True) if pair[0] != pair[1])
        counts = [(classes[true], classes[predicted], count) for (true, predicted), count in wrong.items()]
        charts.confused(plots_to / "confused.png", name, counts)
    kind = stats.verification["kind"]
    if kind is not None:
        embedder = Embedder(model, name, run, features, compute, len(classes), predictions_to)
        metrics["verification"] = VERIFICATIONS[kind].verify(embedder, name, features, stats, **folders)
    return metrics
