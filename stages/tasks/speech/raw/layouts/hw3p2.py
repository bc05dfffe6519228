"""HW3P2 since 2022: <split>/mfcc/*.npy of shape (T, F), <split>/transcript/*.npy, a string for each phoneme.

Spring 2022 has train, dev and test, <sos> … <eos>, and test/test_order.csv. Later terms have train-clean-100, dev-clean and
test-clean, [SOS] … [EOS], and the test order of the file names; fall 2022 has its transcripts in transcript/raw. Since fall
2024 there may be no sample submission.
"""

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, cast

from stages.config.schema import Fold
from stages.core.errors import InputError
from stages.data import folds
from stages.data.archive import Archive, find
from stages.data.tables import read_rows
from stages.tasks.speech.raw import homework
from stages.tasks.speech.raw.item import Item, Problem, Split, Transcript, encode
from stages.tasks.speech.raw.npy import read_frames, read_symbols
from stages.tasks.speech.raw.source import Form, Source

SIGN = re.compile(r"(?:.*/)?(train|dev|test)[^/]*/(mfcc|transcript)/(?:raw/)?([^/]+)\.npy")
IGNORED = re.compile(r".*\.(py|md|txt)", re.IGNORECASE)
ORDER, SAMPLES = "test_order.csv", ("random_submission.csv", "sample_submission.csv")
MARKS_2022 = ("<sos>", "<eos>")
STARTS, ENDS = ("[SOS]", MARKS_2022[0]), ("[EOS]", MARKS_2022[1])
# The terms after spring 2022 by the number of features.
TERMS = {
    15: "fall 2022",
    27: "spring 2023 or 2024",
    28: "fall 2023, fall 2024 or later",
}


def missing(names: Sequence[str]) -> str | None:
    """Return a required kind of file that is missing, if any."""
    found = {(match[1], match[2]) for match in map(SIGN.fullmatch, names) if match}
    wanted = [(split, kind) for split in ("train", "dev") for kind in ("mfcc", "transcript")]
    return next((f"{split}*/{kind}/*.npy" for split, kind in wanted if (split, kind) not in found), None)


def read(archives: list[Archive], *, may_skip: bool, fold: Fold | None, seed: int) -> Source:
    """Read the layout: first all transcripts, some 100 bytes each, then the frames, one file at a time.

    Raises InputError for another homework, and a test_order.csv that is damaged or, in spring 2022, missing.
    """
    folds.refuse(fold, archives[0].path.parent)
    transcripts = _read_transcripts(archives)
    order = test_order(archives)
    if order is None and transcripts.are_of_2022 and any(_is_test(name) for archive in archives for name in archive.names):
        raise InputError(
            f"{archives[0].path.parent}: the transcripts are those of spring 2022 ({MARKS_2022[0]} …), but {ORDER}, which "
            "gives the order of the test utterances, is missing"
        )
    sample = next((content for _, content in find(archives, *SAMPLES)), None)
    return Source(_items(archives, transcripts, order), functools.partial(form, is_2022=order is not None), order, sample)


def form(width: int, *, is_2022: bool) -> Form:
    """Return the form of the term. width: the number of features."""
    if is_2022:
        return Form("HW3P2 of spring 2022", ("id", "predictions"), "2022")
    # The terms with 28 features have no sample submission; their header is the one in the other terms' samples.
    return Form(f"HW3P2 of {TERMS.get(width, '2022 or later')}", ("index" if width == 28 else "id", "label"), "2023")


def test_order(archives: list[Archive]) -> dict[str, int] | None:
    """Return the row of each test utterance by test_order.csv (2022), or None without one. Raises InputError."""
    found = next(find(archives, ORDER), None)
    if found is None:
        return None
    where, content = found
    names = [row.cells[0].removesuffix(".npy") for row in [*read_rows(content, where)][1:]]
    order = {name: place for place, name in enumerate(names)}
    if len(order) < len(names):
        raise InputError(f"{where}: lists {next(name for name in names if names.count(name) > 1)} twice")
    return order


class _Transcripts(NamedTuple):
    """by_name: of labelled utterances. duplicates: repeated ones. are_of_2022: they have the marks of 2022."""

    by_name: dict[tuple[Split, str], Transcript]
    duplicates: list[Item]
    are_of_2022: bool


def _read_transcripts(archives: list[Archive]) -> _Transcripts:
    found, duplicates, first = dict[tuple[Split, str], Transcript](), list[Item](), list[list[str]]()
    for split, name, where, content in _members(archives, "transcript"):
        if (split, name) in found:
            duplicates.append(Item(split, name, where, None, None, "is a duplicate"))
        elif split != "test":
            try:
                symbols = read_symbols(content)
                first += [symbols] if len(first) < homework.FIRST else []
                found[split, name] = Transcript(where, encode(_without_marks(symbols)), None)
            except Problem as problem:
                found[split, name] = Transcript(where, None, str(problem))
    homework.check_letters(archives[0].path.parent, [_without_marks(symbols) for symbols in first])
    return _Transcripts(found, duplicates, bool(first) and all(symbols[:1] == [MARKS_2022[0]] for symbols in first))


def _without_marks(symbols: list[str]) -> list[str]:
    if symbols and symbols[0] in STARTS:
        symbols = symbols[1:]
    return symbols[:-1] if symbols and symbols[-1] in ENDS else symbols


def _items(archives: list[Archive], transcripts: _Transcripts, order: Mapping[str, int] | None) -> Iterator[Item]:
    yield from transcripts.duplicates
    folder, first, seen = archives[0].path.parent, list[tuple[int, int]](), set[tuple[Split, str]]()
    for split, name, where, content in _members(archives, "mfcc"):
        seen.add((split, name))
        item = _item(split, name, where, content, transcripts.by_name.get((split, name)), order)
        if len(first) < homework.FIRST and item.frames is not None and item.classes is not None:
            first.append((len(item.classes), len(item.frames)))
            if len(first) == homework.FIRST:
                homework.check_frames(folder, first)
        yield item
    if len(first) < homework.FIRST:
        homework.check_frames(folder, first)
    for key, transcript in transcripts.by_name.items():
        if key not in seen:
            yield Item(*key, transcript.where, None, None, "has no features")
    for name in order or ():
        if ("test", name) not in seen:
            yield Item("test", name, f"{folder}: {name}.npy", None, None, f"is listed in {ORDER} but missing")


def _item(
    split: Split, name: str, where: str, content: bytes, transcript: Transcript | None, order: Mapping[str, int] | None
) -> Item:
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
    return Item(split, name, where, frames, None if transcript is None else transcript.classes, problem)


def _members(archives: list[Archive], kind: str) -> Iterator[tuple[Split, str, str, bytes]]:
    """Yield (split, name, where, content) of every file of a kind."""
    for archive in archives:
        for member, content in archive.members(_OfKind(kind)):
            match = SIGN.fullmatch(member)
            assert match is not None
            yield cast(Split, match[1]), match[3], f"{archive.path}: {member}", content


class _OfKind:
    """A container of the members of a kind, which needs no memory for 100,000 names."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __contains__(self, member: object) -> bool:
        match = SIGN.fullmatch(str(member))
        return match is not None and match[2] == self.kind


def _is_test(member: str) -> bool:
    match = SIGN.fullmatch(member)
    return match is not None and match[1] == "test" and match[2] == "mfcc"
