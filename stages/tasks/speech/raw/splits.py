"""The split of each recording: by its folder, or drawn by speaker."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import numpy as np

from stages.config.schema import Fold
from stages.data import folds
from stages.tasks.speech.raw.item import Split

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
HELD_OUT = 0.1  # share of the speakers, at least one, for each of dev and test without a folder
FOLDERS: dict[str, Split] = {"train": "train", **dict.fromkeys(("dev", "val", "valid", "validation"), "dev"), "test": "test"}
SPLIT = re.compile(rf"({'|'.join(FOLDERS)})([-_].*)?", re.IGNORECASE)
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")  # speaker, chapter, utterance


class Place(NamedTuple):
    """split: the one that a folder names, as LibriSpeech's train-clean-100 or TIMIT's TRAIN. below: the path below it."""

    split: Split | None
    below: tuple[str, ...]


def places(keys: Iterable[str]) -> dict[str, Place]:
    """Return the place of each key.

    The outermost folder that names a split counts. The folders that all keys share, which `below` leaves out, do so only if
    no other does: an archive's own folder may be called train-data.
    """
    paths = {key: PurePosixPath(key) for key in keys}
    shared = PurePosixPath(os.path.commonpath([str(path.parent) for path in paths.values()] or [""]))
    found = dict[str, Place]()
    for key, path in paths.items():
        below = path.relative_to(shared).parts
        depth = next((depth for depth, folder in enumerate(below[:-1], start=1) if _named(folder)), 0)
        found[key] = Place(_named(below[depth - 1]) if depth else None, below[depth:])
    if any(place.split for place in found.values()):
        return found
    return {key: Place(innermost(f"{shared}/"), place.below) for key, place in found.items()}


def _named(folder: str) -> Split | None:
    match = SPLIT.fullmatch(folder)
    return FOLDERS[match[1].lower()] if match else None


def innermost(member: str) -> Split | None:
    """Return the split named by the innermost such folder, because an archive's own folder may be called test."""
    return next(filter(None, map(_named, reversed(member.split("/")[:-1]))), None)


def of(keys: Sequence[str], fold: Fold | None, seed: int, speaker: Callable[[str], str] | None = None) -> dict[str, Split]:
    """Return each utterance's split. keys: folders and name, without suffixes. speaker: returns that of a key.

    Folders name the splits; the default is train. Without a dev folder `seed` draws dev, and test, too, if there is no test
    folder either: by speaker, if there are enough. Unless `speaker` or LibriSpeech's names say who it is, that is the first
    folder of `Place.below` or, if these are too few (female, male), the innermost. A fold replaces dev and leaves test as it
    is.
    Raises InputError for a fold if there is a dev folder or too few speakers.
    """
    splits: dict[str, Split] = {key: place.split or "train" for key, place in places(keys).items()}
    if (own := next((key for key, split in splits.items() if split == "dev"), None)) is not None:
        folds.refuse(fold, own)
    drawn: list[Split] = [] if "dev" in splits.values() else ["dev"] if "test" in splits.values() else ["dev", "test"]
    pool = [key for key, split in splits.items() if split == "train"]
    placed = places(pool)
    ways: tuple[Callable[[str], str], ...] = (
        speaker or (lambda key: _speaker(key, placed[key].below[:-1][:1])),
        speaker or (lambda key: _speaker(key, PurePosixPath(key).parts[:-1])),
        lambda key: key,
    )
    for way in ways:
        groups = {key: way(key) for key in pool}
        if len(set(groups.values())) > len(drawn):
            break
    order = np.random.default_rng(seed).permutation(sorted(set(groups.values()))).tolist()
    num = max(1, round(HELD_OUT * len(order)))
    held_out = {split: set(order[index * num : (index + 1) * num]) for index, split in enumerate(drawn)}
    if fold is not None:
        rest = [group for group in order if group not in held_out.get("test", ())]
        held_out["dev"] = folds.dealt(rest, fold, "speakers besides those of test")
    for split, members in held_out.items():
        splits |= {key: split for key, group in groups.items() if group in members}
    return splits


def _speaker(key: str, folders: tuple[str, ...]) -> str:
    match = LIBRISPEECH.fullmatch(PurePosixPath(key).name)
    return match[1] if match else "/".join(folders)
