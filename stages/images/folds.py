"""Cross-validation of image classifiers: scores, and test predictions of all folds' networks together. N images."""

from collections.abc import Sequence
from pathlib import Path

from stages.config.schema import Run
from stages.data.tables import Table
from stages.images.ensemble import answer
from stages.images.evaluation import classification
from stages.results.members import MEANS, Member


def score(predictions: Table) -> dict[str, float]:
    """Return the metrics of N predictions, a table like dev.csv."""
    pairs = zip(predictions.column("predicted"), predictions.column("label"), strict=True)
    return {"accuracy": sum(predicted == label for predicted, label in pairs) / len(predictions.rows)}


def predict_test(members: Sequence[Member], features: Path, run: Run, predictions_to: Path) -> None:
    """Write test.npy and test.csv from the mean probabilities."""
    test = answer(members, features, "test", MEANS[0], predictions_to / "test.npy")
    classification.write(predictions_to / "test.csv", test, classification.read_classes(features))
