"""HW3P2 of 2021: {train,dev,test}.npy, an array (T, 40) per utterance; {train,dev}_labels.npy, its symbols' numbers.

All are arrays of objects. The frames are mel bands. Of the 42 symbols, SPN, spoken noise, has no class here; it is left out
and counted. The submission has the order of test.npy.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds, pickles
from stages.data.archive import Archive, find
from stages.tasks.speech import BLANK, SYMBOLS_2021
from stages.tasks.speech.raw import homework
from stages.tasks.speech.raw.item import Item, Problem, Split, Transcript, encode
from stages.tasks.speech.raw.npy import check_frames
from stages.tasks.speech.raw.phones import UNKNOWN_WORD, UNKNOWN_WORDS
from stages.tasks.speech.raw.source import Form, Source

SIGN = re.compile(r"(?:.*/)?(train|dev|test)(_labels)?\.npy")
IGNORED = re.compile(r".*\.(py|md|txt)", re.IGNORECASE)
NEEDED, TEST = ("train.npy", "train_labels.npy", "dev.npy", "dev_labels.npy"), "test.npy"
SAMPLE = "sample_submission.csv"


def missing(names: Sequence[str]) -> str | None:
    """Return a required file that is missing, if any."""
    found = {PurePosixPath(name).name for name in names}
    return next((name for name in NEEDED if name not in found), None)


def read(archives: list[Archive], *, may_skip: bool, fold: Fold | None, seed: int) -> Source:
    """Read the layout, whole splits at a time. Raises InputError for a duplicate file and, while the items are read, for
    a damaged file or one that is no array of objects."""
    folds.refuse(fold, archives[0].path.parent)
    names = [PurePosixPath(name).name for archive in archives for name in archive.names]
    for name in (*NEEDED, TEST):
        if names.count(name) > 1:
            raise InputError(
                f"{archives[0].path.parent}: there are {names.count(name)} files called {name}; give one of them"
            )
    sample = next((content for _, content in find(archives, SAMPLE)), None)
    form = Form("HW3P2 of 2021", ("id", "label"), "2021")
    return Source(_items(archives, has_test=TEST in names), lambda width: form, sample=sample)


def _items(archives: list[Archive], *, has_test: bool) -> Iterator[Item]:
    for split in ("train", "dev"):
        labels_where, labels = _arrays(archives, f"{split}_labels.npy")
        where, frames = _arrays(archives, f"{split}.npy")
        if len(labels) != len(frames):
            raise InputError(
                f"{labels_where}: has {len(labels):,} transcripts for the {len(frames):,} utterances of {split}.npy"
            )
        pairs = list(zip(labels, frames, strict=True))
        homework.check_frames(archives[0].path.parent, [(len(a), len(b)) for a, b in pairs[: homework.FIRST] if a.ndim])
        for index, (symbols, array) in enumerate(pairs):
            transcript = _transcript(f"{labels_where}: utterance {index}", symbols)
            yield _item(split, index, where, array, transcript)
    if has_test:
        where, frames = _arrays(archives, TEST)
        if not frames:
            raise InputError(f"{where}: holds no utterance; remove the file if there is nothing to submit")
        for index, array in enumerate(frames):
            yield _item("test", index, where, array, None)


def _arrays(archives: list[Archive], name: str) -> tuple[str, list[np.ndarray]]:
    """Return where the file is, for messages, and its arrays."""
    [(where, content)] = find(archives, name)
    objects = pickles.load_npy(content, where)
    arrays = [value.numbers for value in objects if isinstance(value, pickles.Array) and value.numbers is not None]
    if len(arrays) < len(objects):
        raise InputError(f"{where}: must hold only arrays of numbers, one per utterance")
    if len({id(value) for value in objects}) < len(objects):
        raise InputError(f"{where}: holds the same array more than once")
    return where, arrays


def _item(split: Split, index: int, where: str, frames: np.ndarray, transcript: Transcript | None) -> Item:
    name, where = f"{split}-{index:06d}", f"{where}: utterance {index}"  # names sort in the file's order
    if transcript is not None and transcript.problem is not None:
        return Item(split, name, transcript.where, None, None, transcript.problem)
    try:
        check_frames(frames)
    except Problem as problem:
        return Item(split, name, where, None, None, str(problem))
    if transcript is None:
        return Item(split, name, where, frames, None, None)
    return Item(split, name, where, frames, transcript.classes, None, transcript.converted)


def _transcript(where: str, symbols: np.ndarray) -> Transcript:
    try:
        if symbols.ndim != 1 or symbols.dtype.kind not in "iu":
            raise Problem(f"must be a row of whole numbers, but has shape {symbols.shape} and type {symbols.dtype}")
        numbers = symbols.tolist()
        wrong = next((number for number in numbers if not BLANK < number < len(SYMBOLS_2021)), None)
        if wrong is not None:
            raise Problem(f"holds {wrong}, which is not one of 1 to {len(SYMBOLS_2021) - 1}")
        known = [SYMBOLS_2021[number] for number in numbers if SYMBOLS_2021[number] not in UNKNOWN_WORDS]
        return Transcript(where, encode(known), None, (UNKNOWN_WORD,) * (len(numbers) - len(known)))
    except Problem as problem:
        return Transcript(where, None, str(problem))
