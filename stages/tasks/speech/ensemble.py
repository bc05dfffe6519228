"""Ensembles for speech: average the members' emissions in each frame, then decode. T frames, K classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from stages.config.schema import Ensemble
from stages.core.errors import InputError
from stages.data.packed import Ragged, RaggedArray, read_texts
from stages.data.tables import read_table
from stages.results import members as kept
from stages.results import weighting
from stages.results.members import MEANS, Member
from stages.results.weighting import Fitted
from stages.sequences import storage
from stages.tasks.speech import BLANK, NUM_CLASSES
from stages.tasks.speech.evaluation import Predictions, report, write_test
from stages.tasks.speech.training import decode

CUT = 1e-3  # as in the runs


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
    their dev metrics are cross-fitted, beside `fitted`. Raises InputError if the members' emissions differ in length.
    """
    beam, by_item, chosen = ensemble.beam, None, dict[str, Any]()
    if ensemble.weights == "fit":
        best, fitted = MEANS[0], fit(members, features)
        members, by_item = fitted.members, fitted.by_item
        chosen = {"weights": fitted.weights, "fitted": {"distance": _distance(answer(members, features, "dev", best, beam))}}
    else:
        best = min(MEANS, key=lambda kind: _distance(answer(members, features, "dev", kind, beam)))
    dev = answer(members, features, "dev", best, beam, predictions_to, by_item)
    if (features / "test").is_dir() and read_texts(features / "test" / "names"):
        test = answer(members, features, "test", best, beam, predictions_to)
        write_test(test, predictions_to)
    return {**report(name, features, dev, plots_to=plots_to, predictions_to=predictions_to), "mean": best, **chosen}


def _distance(found: Predictions) -> float:
    return float(np.mean(decode.distances(found.predicted, found.true)))


def fit(members: Sequence[Member], features: Path) -> Fitted:
    """Fit the weights by the CTC loss on dev of the mean probabilities in each frame."""
    transcripts = storage.read_transcripts(features / "dev")
    assert transcripts is not None
    emissions = list(zip(*_emissions(members, "dev"), strict=True))
    targets = [torch.from_numpy(np.array(item, np.int64)) for item in transcripts]

    def loss(items: np.ndarray, weight: float) -> float:
        total = 0.0
        for index in items.tolist():
            if not len(emissions[index][0]):
                continue  # too short for an output frame; its loss is zero in training, too
            mean = torch.from_numpy(kept.mean(emissions[index], [weight, 1 - weight], MEANS[0]))
            lengths = torch.tensor([len(mean)]), torch.tensor([len(targets[index])])
            total += F.ctc_loss(mean[:, None], targets[index][None], *lengths, blank=BLANK, zero_infinity=True).item()
        return total / len(items)

    return weighting.cross_fit(members, len(targets), loss)


def answer(
    members: Sequence[Member],
    features: Path,
    split: str,
    kind: str,
    beam: int,
    keep: Path | None = None,
    by_item: np.ndarray | None = None,
    cut: float = CUT,
) -> Predictions:
    """Decode the M members' mean. kind: one of MEANS. keep: a folder for the mean emissions, as float16.

    by_item: a weight for each member and utterance, (M, N), in place of the members' own.
    """
    emissions = _emissions(members, split)
    weights = [[member.weight] * len(emissions[0]) for member in members] if by_item is None else by_item
    by_utterance = zip(*emissions, strict=True), zip(*weights, strict=True)
    means = [kept.mean(arrays, shares, kind) for arrays, shares in zip(*by_utterance, strict=True)]
    if keep:
        with Ragged(keep / split, (NUM_CLASSES,), np.float16) as writer:
            for mean in means:
                writer.append(mean.astype(np.float16))
    names = read_texts(features / split / "names")
    greedy = [decode.greedy(torch.from_numpy(mean[None]), torch.tensor([len(mean)]))[0] for mean in means]
    true = read_table(members[0].folder / "dev.csv").column("label") if split == "dev" else [""] * len(names)
    lengths = [len(frames) for frames in storage.read_frames(features / split)]
    return Predictions(names, decode.beam_search(means, beam, cut, None), greedy, true, lengths)


def _emissions(members: Sequence[Member], split: str) -> list[RaggedArray]:
    """Return each member's emissions. Raises InputError if they differ in length."""
    ends = [array.tolist() for array in kept.read(members, f"{split}_offsets.npy")]
    if any(end != ends[0] for end in ends):
        item = next(index for index, each in enumerate(zip(*ends, strict=True)) if len(set(each)) > 1) - 1
        frames = " and ".join(
            f"{end[item + 1] - end[item]} frames in {member.name}" for end, member in zip(ends, members, strict=True)
        )
        raise InputError(f"{split}: utterance {item + 1} has {frames}; the members must shorten their input equally")
    kept.read(members, f"{split}.npy")
    return [RaggedArray(member.folder / split) for member in members]
