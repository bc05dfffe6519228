"""Ensembles for speech: the mean of the members' emissions in every frame, decoded as a run's. T frames, K classes."""

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

CUT = 1e-3  # as the runs have it


def combine(
    name: str,
    members: Sequence[Member],
    features: Path,
    ensemble: Ensemble,
    *,
    plots_to: Path,
    predictions_to: Path,
) -> dict[str, Any]:
    """As `evaluate` of a run: metrics of dev, predictions of dev and test, pictures; `mean` says of what, the better on dev.

    Raises InputError: the members' emissions have not the same frames.
    """
    found = {of: answer(members, features, "dev", of, ensemble.beam) for of in MEANS}
    best = min(MEANS, key=lambda of: sum(decode.distances(found[of].predicted, found[of].true)))
    answer(members, features, "dev", best, ensemble.beam, predictions_to)
    if (features / "test").is_dir() and read_texts(features / "test" / "names"):
        test = answer(members, features, "test", best, ensemble.beam, predictions_to)
        write_test(test, predictions_to)
    return {**report(name, features, found[best], plots_to=plots_to, predictions_to=predictions_to), "mean": best}


def answer(
    members: Sequence[Member], features: Path, split: str, of: str, beam: int, keep: Path | None = None
) -> Predictions:
    """The members' mean, decoded. of: one of MEANS; keep: the folder that its emissions go to, as float16."""
    ends = [array.tolist() for array in kept.read(members, f"{split}_offsets.npy")]
    if ends[0] != ends[1]:
        item = next(index for index, pair in enumerate(zip(*ends, strict=True)) if pair[0] != pair[1]) - 1
        frames = " and ".join(
            f"{end[item + 1] - end[item]} frames in {one.name}" for end, one in zip(ends, members, strict=True)
        )
        raise InputError(f"{split}: utterance {item + 1} has {frames}; the members must shorten their input alike")
    kept.read(members, f"{split}.npy")
    emissions = [RaggedArray(member.folder / split) for member in members]
    weights = [member.weight for member in members]
    means = [kept.mean(items, weights, of) for items in zip(*emissions, strict=True)]
    if keep:
        with Ragged(keep / split, (NUM_CLASSES,), np.float16) as writer:
            for mean in means:
                writer.append(mean.astype(np.float16))
    names = read_texts(features / split / "names")
    greedy = [decode.greedy(torch.from_numpy(mean[None]), torch.tensor([len(mean)]))[0] for mean in means]
    labelled = split == "dev"
    true = read_table(members[0].folder / "dev.csv").column("label") if labelled else [""] * len(names)
    lengths = [len(frames) for frames in storage.read_frames(features / split)]
    return Predictions(names, decode.beam_search(means, beam, CUT, None), greedy, true, lengths)
