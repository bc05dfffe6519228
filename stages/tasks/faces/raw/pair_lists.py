"""Lists of image pairs, one per line: two names and, if known, 1 for the same person or 0."""

import unicodedata
from collections.abc import Callable, Collection
from typing import NamedTuple

from stages.core.errors import InputError
from stages.data.tables import Row, read_rows
from stages.images.raw.listing import File, Listing
from stages.tasks.faces.raw.layout import Missing, Pair

KINDS = {"0": False, "1": True}


class Line(NamedTuple):
    """A pair and its line in the file, from 1."""

    line: int
    pair: Pair


class Lists(NamedTuple):
    """Patterns for the names of the dev and test lists; the dev list and the image folder, for messages."""

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
    """Read the pairs of dev and test, or none if the archives have no verification.

    names: of the images. renames: functions that turn the dev and the test list's names into these. Dev pairs without their
    images are added to `problems`. Raises Missing, and InputError, naming the line, for a wrong list.
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
        raise InputError(f"{listing.where(dev)}: has only one kind of pairs; there must be pairs of one person and of two")
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
            missing.append((f"{where}: line {line}", f"names {absent}, which is missing"))
        else:
            raise InputError(f"{where}: line {line}: names {absent}, which is missing, but a submission needs every pair")
    if not pairs:
        raise InputError(f"{missing[0][0]}: {missing[0][1]}; no pair has its images, so add the archive of these images")
    problems += missing
    return pairs


def parse(content: bytes, where: str, *, is_csv: bool, is_labelled: bool) -> list[Line]:
    """Parse the pairs of a CSV table with a header, or of a text with columns separated by spaces.

    Raises InputError, naming the line, for a wrong number of columns or a third column other than 0 and 1, or if there are
    no pairs.
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
            raise InputError(f"{where}: line {line}: must end in 1 (same person) or 0, but ends in {kind[0]!r}")
        lines.append(Line(line, Pair(first, second, KINDS[kind[0]] if is_labelled else None)))
    if not lines:
        raise InputError(f"{where}: lists no pair")
    return lines


def text_lines(content: bytes, where: str) -> list[tuple[int, str]]:
    """Return (number from 1, stripped line) of the lines that are not empty, in Unicode's NFC form, as in archives.

    Raises InputError if the content is not UTF-8.
    """
    try:
        text = unicodedata.normalize("NFC", content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise InputError(f"{where}: is not UTF-8 text") from None
    lines = enumerate(map(str.strip, text.split("\n")), 1)
    return [(number, line) for number, line in lines if line]


def named_in(pairs: Collection[Pair]) -> set[str]:
    """Return the names of the images in these pairs."""
    return {name for pair in pairs for name in pair[:2]}


def is_number(text: str) -> bool:
    """Whether the text is a whole number of at most nine digits."""
    return text.isascii() and text.isdecimal() and len(text) < 10
