"""Ensembles for speech: the members' emissions are averaged in each frame and decoded. T frames, K classes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.config.schema import Ensemble
from stages.core.errors import InputError
from stages.data.packed import Ragged, RaggedArray, read_texts
from stages.data.tables import read_table
from stages.results import members as kept
from stages.results.members import MEANS, Member
from stages.sequences import storage
from stages.tasks.speech import NUM_CLASSES
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

    The metric `mean` names the kind of mean in MEANS that is better on dev. Raises InputError if the members' emissions
    differ in their numbers of frames.
    """
    found = {kind: answer(members, features, "dev", kind, ensemble.beam) for kind in MEANS}
    best = min(MEANS, key=lambda kind: sum(decode.distances(found[kind].predicted, found[kind].true)))
    answer(members, features, "dev", best, ensemble.beam, predictions_to)
    if (features / "test").is_dir() and read_texts(features / "test" / "names"):
        test = answer(members, features, "test", best, ensemble.beam, predictions_to)
        write_test(test, predictions_to)
    return {**report(name, features, found[best], plots_to=plots_to, predictions_to=predictions_to), "mean": best}


def answer(
    members: Sequence[Member], features: Path, split: str, kind: str, beam: int, keep: Path | None = None
) -> Predictions:
    """Decode the members' mean. kind: one of MEANS. keep: a folder for the mean emissions, as float16."""
    offsets = [array.tolist() for array in kept.read(members, f"{split}_offsets.npy")]
    if offsets[0] != offsets[1]:
        index = next(index for index, pair in enumerate(zip(*offsets, strict=True)) if pair[0] != pair[1]) - 1
        frames = " and ".join(
            f"{ends[index + 1] - ends[index]} frames in {member.name}" for ends, member in zip(offsets, members, strict=True)
        )
        raise InputError(f"{split}: utterance {index + 1} has {frames}; the members must shorten their input alike")
    kept.read(members, f"{split}.npy")
    emissions = [RaggedArray(member.folder / split) for member in members]
    weights = [member.weight for member in members]
    means = [kept.mean(arrays, weights, kind) for arrays in zip(*emissions, strict=True)]
    if keep:
        with Ragged(keep / split, (NUM_CLASSES,), np.float16) as writer:
            for mean in means:
                writer.append(mean.astype(np.float16))
    names = read_texts(features / split / "names")
    greedy = [decode.greedy(torch.from_numpy(mean[None]), torch.tensor([len(mean)]))[0] for mean in means]
    true = read_table(members[0].folder / "dev.csv").column("label") if split == "dev" else [""] * len(names)
    lengths = [len(frames) for frames in storage.read_frames(features / split)]
    return Predictions(names, decode.beam_search(means, beam, CUT, None), greedy, true, lengths)
