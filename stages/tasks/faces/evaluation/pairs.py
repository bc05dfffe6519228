"""Verification with listed pairs: are two faces the same person's? The score is a cosine. P pairs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stages.data.packed import read_texts
from stages.data.tables import write_table
from stages.tasks.faces import training
from stages.tasks.faces.evaluation import charts, verification
from stages.tasks.faces.statistics import Stats

NUM_PAIRS = 24  # hardest mistakes in a plot
LIMITS = ("1e-4", "5e-4", "1e-3", "5e-3", "5e-2")  # false accept rates, which HW2P2 calls false positive rates


def verify(
    embed: Callable[[str], Tensor],
    name: str,
    features: Path,
    stats: Stats,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """Return the metrics of the dev pairs; write the scores of dev and test pairs as CSV.

    embed: returns the embeddings (N, D) of a split. `accuracy` uses the threshold that is best on these same pairs.
    """
    embeddings, names = embed("verification"), read_texts(features / "verification" / "names")

    def scores(rows: np.ndarray) -> Tensor:
        return verification.cosines(embeddings[rows[:, 0]], embeddings[rows[:, 1]])

    dev = np.load(features / "pairs_dev.npy")
    score, same = scores(dev), torch.from_numpy(dev[:, 2] == 1)
    _write(predictions_to / "verification_dev.csv", names, dev, score, same)
    if (features / "pairs_test.npy").is_file():
        test = np.load(features / "pairs_test.npy")
        _write(predictions_to / "verification_test.csv", names, test, scores(test))

    pairs = verification.tally(score, same)
    threshold = verification.choose_threshold(score, same, ~same)
    charts.of_pairs(plots_to, name, pairs, threshold)
    _draw_hardest(plots_to / "pairs.png", name, features, dev, score, same, threshold)
    far, tar = verification.roc(pairs)
    return {
        "eer": verification.equal_error_rate(far, tar),
        "auc": verification.roc_auc(far, tar),
        "accuracy": verification.accuracy(score, same, ~same, threshold),
        "threshold": threshold,
        **{f"tpr_at_fpr_{limit}": verification.tar_at_far(far, tar, float(limit)) for limit in LIMITS},
        "num": len(score),
        "num_genuine": int(pairs.genuine.sum()),
        "num_impostor": int(pairs.impostor.sum()),
    }


def _write(path: Path, names: list[str], rows: np.ndarray, score: Tensor, same: Tensor | None = None) -> None:
    """Write a table of both names, the score and, if `same` is given, 1 for the same person or 0."""
    columns: dict[str, list[Any]] = {
        "name": [names[row] for row in rows[:, 0]],
        "other": [names[row] for row in rows[:, 1]],
        "score": [f"{value:.6f}" for value in score.tolist()],
    }
    if same is not None:
        columns["label"] = same.int().tolist()
    write_table(path, list(columns), zip(*columns.values(), strict=True))


def _draw_hardest(
    path: Path, name: str, features: Path, rows: np.ndarray, score: Tensor, same: Tensor, threshold: float
) -> None:
    """Draw the misjudged pairs furthest from the threshold."""
    wrong = ((score >= threshold) != same).nonzero().flatten()
    wrong = wrong[(score[wrong] - threshold).abs().argsort(descending=True, stable=True)][:NUM_PAIRS]
    images = training.read_images(features, "verification")
    pictures, captions = [], []
    for index in wrong.tolist():
        left, right = (images[row : row + 1][0] for row in rows[index, :2].tolist())
        pictures.append((left, right))
        captions.append(
            f"{'one person' if same[index] else 'two people'}\n→ {'two' if same[index] else 'one'}, {score[index]:.2f}"
        )
    charts.pairs(path, f"{name}: the hardest misjudged pairs (true → answer, score)", pictures, captions)
