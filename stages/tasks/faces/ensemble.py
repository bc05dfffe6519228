"""Ensembles for faces: the mean of the members' probabilities says who it is, that of their similarities who is the same.

The members' embeddings, each scaled to length 1 and by the root of its weight, are put end to end: the cosine similarity of
two such is the weighted mean of the members' similarities. Verification is then as for a run. N images, D features.
"""

import json
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


def combine(
    name: str,
    members: Sequence[Member],
    features: Path,
    ensemble: Ensemble,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """As `evaluate` of a run: metrics of the dev splits, predictions of dev and test, pictures.

    Fitted weights are those of the probabilities; similarities, which have no likelihood to fit, keep equal ones.
    """
    stats = json.loads((features / "stats.json").read_text())
    folders = {"plots_to": plots_to, "predictions_to": predictions_to}
    metrics, _, _ = images.classify(name, members, features, ensemble, **folders)
    kind = stats["verification"]["kind"]
    if kind is not None:

        def embedded(split: str) -> Tensor:
            found = together(members, split)
            save(predictions_to, split, found)
            return found

        metrics["verification"] = VERIFICATIONS[kind].verify(embedded, name, features, stats, **folders)
    return metrics


def together(members: Sequence[Member], split: str) -> Tensor:
    """(N, sum of D) float32. Raises InputError: a member has no embeddings of the split."""
    parts = []
    for member in members:
        file = member.folder / "embeddings" / f"{split}.npy"
        if not file.is_file():
            raise InputError(f"{file}: is not there; `dvc repro` of the stage `evaluate` of {member.name} makes it")
        parts.append(F.normalize(torch.from_numpy(np.load(file)).double(), dim=1, eps=1e-300) * member.weight**0.5)
    return torch.cat(parts, 1).float()
