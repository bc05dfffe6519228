"""The split of each recording: its folder's, or drawn by speaker."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import cast

import numpy as np

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


def of(keys: Sequence[str], seed: int) -> dict[str, Split]:
    """Each utterance's split, train unless a folder says otherwise. keys: folders and name, without suffixes.

    dev, and test where both are missing, are drawn by `seed`: whole speakers, if there are enough of them.
    """
    given = {key: folder(key) for key in keys}
    splits: dict[str, Split] = {key: split or "train" for key, split in given.items()}
    drawn: list[Split] = [] if "dev" in given.values() else ["dev"] if "test" in given.values() else ["dev", "test"]
    pool = [key for key, split in splits.items() if split == "train"]
    groups = {key: _speaker(key) for key in pool}
    if len(set(groups.values())) <= len(drawn):
        groups = {key: key for key in pool}
    order = np.random.default_rng(seed).permutation(sorted(set(groups.values()))).tolist()
    num = max(1, round(HELD_OUT * len(order)))
    place = {group: index // num for index, group in enumerate(order)}
    for key, group in groups.items():
        if place[group] < len(drawn):
            splits[key] = drawn[place[group]]
    return splits


def _speaker(key: str) -> str:
    match = LIBRISPEECH.fullmatch(PurePosixPath(key).name)
    return match[1] if match else str(PurePosixPath(key).parent)
