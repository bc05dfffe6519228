"""Lists of pairs of images, a pair a line: two names and, where it is known, 1 for one person or 0 for two."""

import unicodedata
from collections.abc import Callable, Collection
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import Row, read_rows
from stages.images.raw.listing import File, Listing
from stages.tasks.faces.raw.layout import Missing, Pair

KINDS = {"0": False, "1": True}


class Line(NamedTuple):
    """A pair, and its line in the file, counted from 1."""

    line: int
    pair: Pair


class Lists(NamedTuple):
    """Patterns for the names of the two lists; what the first is called, and the folder of the images, for messages."""

    dev: str
    test: str
    shown: str
    folder: str


def read_both(
    listing: Listing,
    lists: Lists,
    names: Collection[str],
    problems: list[tuple[str, str]],
    renames: tuple[Callable[[str], str], Callable[[str], str]] = (str, str),
) -> tuple[list[Pair], list[Pair]]:
    """The pairs of dev and of test, by the images' `names`; none where the archives have no verification.

    renames: make such a name of one in the list of dev, and of test. A dev pair without its images is added to `problems`.
    Raises Missing; InputError, naming the line, for a list that is not as it must be.
    """
    dev, test = listing.table(lists.dev), listing.table(lists.test)
    if not names and dev is None and test is None:
        return [], []
    if not names:
        raise Missing(f"{lists.folder} is missing")
    if dev is None:
        raise Missing(f"{lists.shown} is missing")
    dev_pairs = _read(listing, dev, names, problems, is_labelled=True, rename=renames[0])
    if len({pair.same for pair in dev_pairs}) < 2:
        raise InputError(f"{listing.where(dev)}: has pairs of one kind only; there must be pairs of one person and of two")
    if test is None:
        return dev_pairs, []
    return dev_pairs, _read(listing, test, names, problems, is_labelled=False, rename=renames[1])


def _read(
    listing: Listing,
    table: File,
    names: Collection[str],
    problems: list[tuple[str, str]],
    *,
    is_labelled: bool,
    rename: Callable[[str], str],
) -> list[Pair]:
    where, content = listing.where(table), listing.read(table)
    is_csv = table.member.lower().endswith(".csv")
    if is_csv and not {rename(cell) for cell in next(read_rows(content, where), Row(1, [])).cells}.isdisjoint(names):
        raise InputError(f"{where}: line 1: must name the columns, but names an image; add a first line")
    pairs, missing = [], []
    for line, pair in parse(content, where, is_csv=is_csv, is_labelled=is_labelled):
        pair = Pair(rename(pair.name), rename(pair.other), pair.same)
        absent = next((name for name in pair[:2] if name not in names), None)
        if absent is None:
            pairs.append(pair)
        elif is_labelled:
            missing.append((f"{where}: line {line}", f"names {absent}, which is not there"))
        else:
            raise InputError(f"{where}: line {line}: names {absent}, which is not there, and a submission needs every pair")
    if not pairs:
        raise InputError(f"{missing[0][0]}: {missing[0][1]}; nor is any other pair, so give the archive of these images")
    problems += missing
    return pairs


def parse(content: bytes, where: str, *, is_csv: bool, is_labelled: bool) -> list[Line]:
    """The pairs of a table, whose first row names the columns, or of a text without a first row, divided by spaces.

    Raises InputError, naming the line: more or fewer columns, a third that is neither 0 nor 1, no pairs at all.
    """
    if is_csv:
        rows = list(read_rows(content, where))[1:]
    else:
        rows = [Row(line, text.split()) for line, text in text_lines(content, where)]
    names = "two names and 0 or 1" if is_labelled else "two names"
    lines = []
    for line, cells in rows:
        if len(cells) != 2 + is_labelled:
            raise InputError(f"{where}: line {line}: must have {names}, but has {len(cells)} columns")
        first, second, *kind = (cell.strip() for cell in cells)
        if is_labelled and kind[0] not in KINDS:
            raise InputError(f"{where}: line {line}: must end in 1 for one person or 0 for two, but ends in {kind[0]!r}")
        lines.append(Line(line, Pair(first, second, KINDS[kind[0]] if is_labelled else None)))
    if not lines:
        raise InputError(f"{where}: lists no pair")
    return lines


def text_lines(content: bytes, where: str) -> list[tuple[int, str]]:
    """The lines that are not empty, without the spaces around them, numbered from 1. Raises InputError if they are no text.

    Unicode has the form NFC, as the names of archives do.
    """
    try:
        text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{where}: is not UTF-8 text") from None
    lines = enumerate(map(str.strip, text.split("\n")), 1)
    return [(number, line) for number, line in lines if line]


def named_in(pairs: Collection[Pair]) -> set[str]:
    """The images of these pairs."""
    return {name for pair in pairs for name in pair[:2]}
