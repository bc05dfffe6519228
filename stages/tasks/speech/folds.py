"""Cross-validation over speakers: scores, and test predictions of all folds' networks together. N utterances."""

from collections.abc import Sequence
from pathlib import Path

from stages.data.tables import Table
from stages.results.members import MEANS, Member
from stages.tasks.speech.ensemble import answer
from stages.tasks.speech.evaluation import write_test
from stages.tasks.speech.settings import Run
from stages.tasks.speech.training import decode


def score(predictions: Table) -> dict[str, float]:
    """Return the metrics of N predictions, a table like dev.csv."""
    true = predictions.column("label")
    total = sum(decode.distances(predictions.column("predicted"), true))
    return {"distance": total / len(true), "per": total / max(sum(map(len, true)), 1)}


def predict_test(members: Sequence[Member], features: Path, run: Run, predictions_to: Path) -> None:
    """Write the mean emissions of the test split, and test.csv from their beam search."""
    settings = run.evaluate
    mean = answer(members, features, "test", MEANS[0], settings.beam, predictions_to, cut=settings.cut)
    write_test(mean, predictions_to)
