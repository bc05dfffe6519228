"""The split of each recording: its folder's, or drawn by speaker."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import cast

import numpy as np

from stages.config.schema import Fold
from stages.data import folds
from stages.tasks.speech.raw.item import Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
HELD_OUT = 0.1  # of the speakers, at least one, for each of dev and test where no folder is named so
SPLIT = re.compile(r"(train|dev|test)([-_].*)?", re.IGNORECASE)
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance


def folder(key: str) -> Split | None:
    """The split that a folder names: LibriSpeech's train-clean-100, TIMIT's TRAIN."""
    matches = [SPLIT.fullmatch(part) for part in PurePosixPath(key).parent.parts]
    return next((cast(Split, match[1].lower()) for match in matches if match), None)


def innermost(member: str) -> Split | None:
    """The same of the folder that is nearest to the file: an archive's own folder may be called test."""
    matches = [SPLIT.fullmatch(part) for part in PurePosixPath(member).parent.parts]
    return next((cast(Split, match[1].lower()) for match in reversed(matches) if match), None)


def of(keys: Sequence[str], fold: Fold | None, seed: int) -> dict[str, Split]:
    """Each utterance's split, train unless a folder says otherwise. keys: folders and name, without suffixes.

    dev, and test where both are missing, are drawn by `seed`: whole speakers, if there are enough of them. With a fold, test
    is as without, and dev a part of the others. Raises InputError: a fold where a folder is dev, or speakers are few.
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
    for split, its in held_out.items():
        splits |= {key: split for key, group in groups.items() if group in its}
    return splits


def _speaker(key: str) -> str:
    match = LIBRISPEECH.fullmatch(PurePosixPath(key).name)
    return match[1] if match else str(PurePosixPath(key).parent)
