"""A trained run's answers for a user's images: who it is, or whether two faces are the same person's."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from stages.compute.device import Compute
from stages.config.schema import Run
from stages.core.errors import InputError
from stages.images import prediction
from stages.images.prediction import SUFFIXES, Classes, predict, read
from stages.images.statistics import ImageStats


@dataclass(frozen=True)
class SamePerson:
    """Whether two faces are the same person's: whether their score, from -1 to 1, reaches the threshold."""

    same: bool
    score: float
    threshold: float


def compare(
    model: nn.Module,
    images: Sequence[np.ndarray],
    run: Run,
    stats: ImageStats,
    compute: Compute,
    report: dict[str, Any],
    predictions: Path,
) -> SamePerson:
    """Compare two faces by the threshold that verification chose on dev.

    report: evaluate.json of these weights. predictions: evaluation's folder. Raises InputError if the source had no
    verification, or if the whitening is missing or does not fit.
    """
    # Imported here because their charts import matplotlib, which is slow.
    from stages.tasks.faces.evaluation import verification, whitening
    from stages.tasks.faces.evaluation.embeddings import embed_batch

    if "verification" not in report["dev"]:
        raise InputError("there is no threshold for the same person: the source had no verification images")
    whiten = whitening.load(predictions, eps=run.evaluate.whiten, weights_sha256=report["weights_sha256"])
    embeddings = embed_batch(model.eval(), prediction.as_batch(images, stats, compute), run, compute)
    if whiten is not None:
        embeddings = whiten.apply(embeddings)
    score = verification.most_similar(embeddings[:1], embeddings[1:])[0].item()
    threshold = report["dev"]["verification"]["threshold"]
    return SamePerson(score >= threshold, score, threshold)


def describe(answer: Classes | SamePerson) -> str:
    """Return the three most probable identities, or whether two faces are the same person's, in words."""
    if isinstance(answer, SamePerson):
        return f"{'yes' if answer.same else 'no'}, score {answer.score:.4f}, threshold {answer.threshold:.4f}"
    return prediction.describe(answer)
