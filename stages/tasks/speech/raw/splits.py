"""The split of each recording: by its folder, or drawn by speaker."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import cast

import numpy as np

from stages.config.schema import Fold
from stages.data import folds
from stages.tasks.speech.raw.item import Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
HELD_OUT = 0.1  # share of the speakers, at least one, for each of dev and test without a folder
SPLIT = re.compile(r"(train|dev|test)([-_].*)?", re.IGNORECASE)
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance


def folder(key: str) -> Split | None:
    """Return the split named by the outermost such folder, as LibriSpeech's train-clean-100 or TIMIT's TRAIN."""
    matches = [SPLIT.fullmatch(part) for part in PurePosixPath(key).parent.parts]
    return next((cast(Split, match[1].lower()) for match in matches if match), None)


def innermost(member: str) -> Split | None:
    """Return the split named by the innermost such folder, because an archive's own folder may be called test."""
    matches = [SPLIT.fullmatch(part) for part in PurePosixPath(member).parent.parts]
    return next((cast(Split, match[1].lower()) for match in reversed(matches) if match), None)


def of(keys: Sequence[str], fold: Fold | None, seed: int) -> dict[str, Split]:
    """Return each utterance's split. keys: folders and name, without suffixes.

    Folders name the splits; the default is train. Without a dev folder `seed` draws dev, and test, too, if there is no test
    folder either: by speaker, if there are enough. A fold replaces dev and leaves test as it is.
    Raises InputError for a fold if there is a dev folder or too few speakers.
    """
    given = {key: folder(key) for key in keys}
    splits: dict[str, Split] = {key: split or "train" for key, split in given.items()}
    if (own := next((key for key, split in given.items() if split == "dev"), None)) is not None:
        folds.refuse(fold, own)
    drawn: list[Split] = [] if "dev" in given.values() else ["dev"] if "test" in given.values() else ["dev", "test"]
    pool = [key for key, split in splits.items() if split == "train"]
    groups = {key: _speaker(key) for key in pool}
    if len(set(groups.values())) <= len(drawn):
        groups = {key: key for key in pool}
    order = np.random.default_rng(seed).permutation(sorted(set(groups.values()))).tolist()
    num = max(1, round(HELD_OUT * len(order)))
    held_out = {split: set(order[index * num : (index + 1) * num]) for index, split in enumerate(drawn)}
    if fold is not None:
        rest = [group for group in order if group not in held_out.get("test", ())]
        held_out["dev"] = folds.dealt(rest, fold, "speakers besides those of test")
    for split, members in held_out.items():
        splits |= {key: split for key, group in groups.items() if group in members}
    return splits


def _speaker(key: str) -> str:
    match = LIBRISPEECH.fullmatch(PurePosixPath(key).name)
    return match[1] if match else str(PurePosixPath(key).parent)
