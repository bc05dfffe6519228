"""What each layout comes to: which file is which image, the pairs to compare, and what a submission looks like."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from stages.images.raw.listing import File

NOTHING = re.compile(r"$^")


class Item(NamedTuple):
    """An image: its file, its name in its split, its label or -1. is_needed: a bad one cannot be left out."""

    file: File
    name: str
    label: int = -1
    is_needed: bool = False


class Pair(NamedTuple):
    """Two names of the split `verification`, and whether they are of one person; None in a test."""

    name: str
    other: str
    same: bool | None


class Submission(NamedTuple):
    """A submission file: its header; what its ids are, and what its labels.

    ids: the image's name, the row's number from 0, or the pair's two names with a space between them.
    labels: the class's index, the identity's name, or the cosine similarity.
    """

    header: Sequence[str]
    ids: Literal["name", "row", "pair"]
    labels: Literal["index", "identity", "score"]


@dataclass(frozen=True)
class Layout:
    """classes, known: identities, sorted; the index is the label. splits: the images of each, in its order.

    problems: (where, what is wrong) of items that have no place. pairs: of dev, and perhaps of test, by table order.
    submissions: by file stem, where there are test items. samples: files to copy. remark: follows the layout's name.
    ignored: a pattern for the members that the layout has and nobody needs.
    """

    classes: list[str]
    splits: Mapping[str, list[Item]]
    submissions: Mapping[str, Submission]
    problems: list[tuple[str, str]]
    known: list[str] = field(default_factory=list)
    pairs: Mapping[str, list[Pair]] = field(default_factory=dict)
    samples: Mapping[str, bytes] = field(default_factory=dict)
    ignored: re.Pattern[str] = NOTHING
    name: str = ""
    remark: str = ""


class Missing(Exception):
    """What a layout cannot do without, in words; `layouts.find` says which layout it is."""
