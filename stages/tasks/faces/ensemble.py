"""Ensembles for faces: the members' mean probabilities classify, their mean similarities verify.

The members' embeddings, normalised to length 1 and scaled by the square root of the member's weight, are concatenated: the
cosine similarity of two such vectors is the weighted mean of the members' similarities. N images, D features.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stages.config.schema import Ensemble
from stages.core.errors import InputError
from stages.images import ensemble as images
from stages.results.members import Member
from stages.tasks.faces.evaluation import VERIFICATIONS
from stages.tasks.faces.evaluation.embeddings import save
from stages.tasks.faces.statistics import Stats


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

    Fitted weights apply to class probabilities only. Similarities have no likelihood to fit and keep equal weights.
    """
    stats = Stats.read(features)
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics, _, _ = images.classify(name, members, features, ensemble, **folders)
    kind = stats.verification["kind"]
    if kind is not None:

        def embed(split: str) -> Tensor:
            found = join_embeddings(members, split)
            save(predictions_to, split, found)
            return found

        metrics["verification"] = VERIFICATIONS[kind].verify(embed, name, features, stats, **folders)
    return metrics


def join_embeddings(members: Sequence[Member], split: str) -> Tensor:
    """Return the members' embeddings of a split, (N, sum of D) float32. Raises InputError if a member has none."""
    parts = []
    for member in members:
        file = member.folder / "embeddings" / f"{split}.npy"
        if not file.is_file():
            raise InputError(f"{file}: is missing; `dvc repro` of the stage `evaluate` of {member.name} makes it")
        parts.append(F.normalize(torch.from_numpy(np.load(file)).double(), dim=1, eps=1e-300) * member.weight**0.5)
    return torch.cat(parts, 1).float()
