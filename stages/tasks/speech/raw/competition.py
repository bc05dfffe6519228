"""The layouts of HW3P2: <split>/mfcc/*.npy of shape (T, F), <split>/transcript/*.npy, a text for each phoneme.

Spring 2023 has train-clean-100, train-clean-360, dev-clean and test-clean, [SOS] … [EOS], and its test files in the order
of their names. Spring 2022 has train, dev and test, <sos> … <eos>, and test/test_order.csv. Fall 2022 is as spring 2023,
with transcripts in transcript/raw.
"""

import io
import re
from collections.abc import Iterator
from typing import cast

import numpy as np

from stages.core.errors import InputError
from stages.data.archive import Archive, find
from stages.data.tables import read_rows
from stages.tasks.speech.raw.item import Item, Problem, Split, Transcript, encode

MEMBER = re.compile(r"(?:.*/)?(train|dev|test)[^/]*/(mfcc|transcript)/(?:raw/)?([^/.][^/]*)\.npy")
ORDER, SAMPLES = "test_order.csv", ("random_submission.csv", "sample_submission.csv")
STARTS, ENDS = ("[SOS]", "<sos>"), ("[EOS]", "<eos>")


def holds(archives: list[Archive]) -> bool:
    """Whether the archives have one of these layouts."""
    return any(MEMBER.fullmatch(name) for archive in archives for name in archive.names)


def read(archives: list[Archive], order: dict[str, int] | None) -> Iterator[Item]:
    """Every utterance, in the order of the archives. order: what test_order gives.

    Transcripts, of some 100 bytes each, are read first and kept; frames are read one file at a time.
    """
    transcripts: dict[tuple[Split, str], Transcript] = {}
    for split, name, where, content in _members(archives, "transcript"):
        if (split, name) in transcripts:
            yield Item(split, name, where, None, None, "is there a second time")
        elif split != "test":
            transcripts[split, name] = _transcript(where, content)
    seen: set[tuple[Split, str]] = set()
    for split, name, where, content in _members(archives, "mfcc"):
        seen.add((split, name))
        transcript = transcripts.get((split, name))
        frames, problem = None, None
        if split == "test":
            problem = f"is not listed in {ORDER}" if order is not None and name not in order else None
        elif transcript is None:
            problem = "has no transcript"
        elif transcript.problem is not None:
            where, problem = transcript.where, transcript.problem
        if problem is None:
            try:
                frames = read_frames(content)
            except Problem as error:
                problem = str(error)
        yield Item(split, name, where, frames, None if transcript is None else transcript.classes, problem)
    for key, transcript in transcripts.items():
        if key not in seen:
            yield Item(*key, transcript.where, None, None, "has no features")
    for name in order or ():
        if ("test", name) not in seen:
            where = f"{archives[0].path.parent}: {name}.npy"
            yield Item("test", name, where, None, None, f"is listed in {ORDER} but is not there")


def test_order(archives: list[Archive]) -> dict[str, int] | None:
    """The place of each test utterance where the term gives an order (2022), else None. Raises InputError."""
    found = next(find(archives, ORDER), None)
    if found is None:
        return None
    where, content = found
    names = [row.cells[0].removesuffix(".npy") for row in [*read_rows(content, where)][1:]]
    order = {name: place for place, name in enumerate(names)}
    if len(order) < len(names):
        raise InputError(f"{where}: lists {next(name for name in names if names.count(name) > 1)} twice")
    return order


def sample_submission(archives: list[Archive]) -> bytes | None:
    """The competition's sample file, if it is there."""
    found = next(find(archives, *SAMPLES), None)
    return None if found is None else found[1]


def _members(archives: list[Archive], kind: str) -> Iterator[tuple[Split, str, str, bytes]]:
    """(split, name, where, content) of every file of a kind."""
    for archive in archives:
        for member, content in archive.members(_OfKind(kind)):
            match = MEMBER.fullmatch(member)
            assert match is not None
            yield cast(Split, match[1]), match[3], f"{archive.path}: {member}", content


class _OfKind:
    """The members of a kind, told by their names: a set of 100,000 of them would be the largest thing in memory."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __contains__(self, member: object) -> bool:
        match = MEMBER.fullmatch(str(member))
        return match is not None and match[2] == self.kind


def _transcript(where: str, content: bytes) -> Transcript:
    try:
        return Transcript(where, encode(_symbols(content)), None)
    except Problem as problem:
        return Transcript(where, None, str(problem))


def _load(content: bytes) -> np.ndarray:
    try:
        array = np.load(io.BytesIO(content), allow_pickle=False)  # a pickle is a program
    except Exception as error:  # a damaged header can raise nearly anything
        raise Problem(f"is not a readable .npy file ({error})") from None
    if not isinstance(array, np.ndarray):
        raise Problem("is not a .npy file but an .npz archive")
    return array


def read_frames(content: bytes) -> np.ndarray:
    """(T, F), numbers of any kind. Raises Problem."""
    array = _load(content)
    if array.ndim != 2 or not array.size or array.dtype.kind not in "fiu":
        raise Problem(f"must be numbers, frames x coefficients, but has shape {array.shape} and type {array.dtype}")
    return array


def _symbols(content: bytes) -> list[str]:
    """The phonemes between the marks of start and end."""
    array = _load(content)
    if array.ndim != 1 or array.dtype.kind not in "US" or not array.dtype.itemsize:
        raise Problem(f"must be a row of texts, but has shape {array.shape} and type {array.dtype}")
    try:
        symbols = [symbol.decode() if isinstance(symbol, bytes) else symbol for symbol in array.tolist()]
    except (ValueError, SystemError) as error:  # SystemError is NumPy's for numbers beyond Unicode
        raise Problem(f"holds bytes that are no text ({error})") from None
    if symbols and symbols[0] in STARTS:
        symbols = symbols[1:]
    return symbols[:-1] if symbols and symbols[-1] in ENDS else symbols
